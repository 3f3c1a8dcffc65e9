#!/usr/bin/env bash
# Predict pictures or whole scenes on several GPUs, or in several processes on a machine without one.
#
#   tools/dist_predict.sh CONFIG GPUS [CHECKPOINT] BEFORE AFTER --out DIR [options of tools/predict.py]
#
# GPUS may follow CHECKPOINT instead. A number counts only if no file has that name.
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set; all of
# them have to see the images and DIR. PYTHON names the interpreter (default: python).
set -euo pipefail

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/process_options.sh"
if ! take_processes 3 "$@"; then
    echo "usage: $0 CONFIG GPUS [CHECKPOINT] BEFORE AFTER --out DIR [options of tools/predict.py]" >&2
    exit 2
fi
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m tfinet_mm.engine.launcher "${LAUNCH[@]}" \
    "$TOOLS/predict.py" "${ARGUMENTS[@]}" --launcher pytorch
