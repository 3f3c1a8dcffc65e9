#!/usr/bin/env bash
# Predict pictures or whole scenes on several GPUs, or in several processes on a machine without one.
#
#   tools/dist_predict.sh GPUS CONFIG [CHECKPOINT] BEFORE AFTER --out DIR [options of tools/predict.py]
#
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set; images and
# DIR have to be where all of them see them. PYTHON names the interpreter (default: python).
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 GPUS CONFIG [CHECKPOINT] BEFORE AFTER --out DIR [options of tools/predict.py]" >&2
    exit 2
fi
GPUS=$1
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m torch.distributed.run "${LAUNCH[@]}" \
    "$TOOLS/predict.py" "${@:2}" --launcher pytorch
