#!/usr/bin/env bash
# Make pseudo labels on several GPUs, or in several processes on a machine without one (gloo).
#
#   tools/dist_pseudo_label.sh GPUS CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR [options]
#
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set; DIR has to
# be one folder that all of them see. PYTHON names the interpreter (default: python).
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 GPUS CONFIG CHECKPOINT [CONFIG CHECKPOINT ...] --out DIR [options]" >&2
    exit 2
fi
GPUS=$1
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m torch.distributed.run "${LAUNCH[@]}" \
    "$TOOLS/pseudo_label.py" "${@:2}" --launcher pytorch
