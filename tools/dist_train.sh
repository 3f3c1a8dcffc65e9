#!/usr/bin/env bash
# Train on several GPUs, or in several processes on a machine without one (gloo).
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
# PYTHON names the interpreter (default: python).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m tfinet_mm.engine.launcher "${LAUNCH[@]}" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
