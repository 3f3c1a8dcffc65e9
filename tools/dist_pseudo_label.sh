#!/usr/bin/env bash
# Make pseudo labels on several GPUs, or in several processes on a machine without one (gloo).
#
#   tools/dist_pseudo_label.sh CONFIG GPUS CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR [options]
#   tools/dist_pseudo_label.sh CONFIG GPUS --out DIR [options]      (an ensemble)
#
# GPUS may follow CHECKPOINT instead. A number counts only if no file has that name.
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set; DIR has to
# be one folder that all of them see. PYTHON names the interpreter (default: python).
set -euo pipefail

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/process_options.sh"
if ! take_processes 3 "$@"; then
    echo "usage: $0 CONFIG GPUS CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR [options]" >&2
    echo "       $0 CONFIG GPUS --out DIR [options]      (an ensemble)" >&2
    exit 2
fi
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m tfinet_mm.engine.launcher "${LAUNCH[@]}" \
    "$TOOLS/pseudo_label.py" "${ARGUMENTS[@]}" --launcher pytorch
