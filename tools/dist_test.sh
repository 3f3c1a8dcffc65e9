#!/usr/bin/env bash
# Test on several GPUs, or in several processes on a machine without one (gloo).
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
# PYTHON names the interpreter (default: python).
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m torch.distributed.run "${LAUNCH[@]}" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
