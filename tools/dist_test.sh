#!/usr/bin/env bash
# Test on several GPUs, or in several processes on a machine without one (gloo).
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#   tools/dist_test.sh CONFIG GPUS [options of tools/test.py]      (an ensemble)
#
# The second argument is the number of GPUs where it is a number and there is no such file.
# Several machines: run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
# PYTHON names the interpreter (default: python).
set -euo pipefail

TESTED=("${@:1:2}")
if [[ "${2:-}" =~ ^[0-9]+$ && ! -e $2 ]]; then
    TESTED=("$1")
fi
if [ $# -le ${#TESTED[@]} ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    echo "       $0 CONFIG GPUS [options of tools/test.py]      (an ensemble)" >&2
    exit 2
fi
shift ${#TESTED[@]}
GPUS=$1
shift
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/launch_options.sh"

exec "${PYTHON:-python}" -m tfinet_mm.engine.launcher "${LAUNCH[@]}" \
    "$TOOLS/test.py" "${TESTED[@]}" --launcher pytorch "$@"
