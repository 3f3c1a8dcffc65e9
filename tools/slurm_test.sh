#!/usr/bin/env bash
# Test through slurm.
#
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS="..."] [PY_ARGS="..."] [PORT=...] \
#       tools/slurm_test.sh PARTITION JOB_NAME CONFIG [CHECKPOINT] [options of tools/test.py]
#
# An ensemble is tested without CHECKPOINT.
# GPUS is the number of processes. GPUS_PER_NODE=0 asks for no GPU: the processes then
# run on CPUs, TASKS_PER_NODE of them on each machine.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [CHECKPOINT] [options of tools/test.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
shift 2
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/srun_options.sh"

# PY_ARGS and SRUN_ARGS hold several words each, so they are split on purpose.
# shellcheck disable=SC2086
exec srun "${SRUN[@]}" ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$TOOLS/test.py" \
    "$@" --launcher slurm ${PY_ARGS:-}
