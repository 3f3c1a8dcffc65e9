# Sourced by slurm_train.sh and slurm_test.sh: the variables that MMSegmentation's scripts
# know become SRUN, the options of srun.
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
if [ "$GPUS_PER_NODE" -gt "$GPUS" ]; then
    GPUS_PER_NODE=$GPUS
fi
SRUN=(
    --partition="$PARTITION"
    --job-name="$JOB_NAME"
    --ntasks="$GPUS"
    --cpus-per-task="${CPUS_PER_TASK:-5}"
    --kill-on-bad-exit=1
)
if [ "$GPUS_PER_NODE" -gt 0 ]; then
    SRUN+=(--gres=gpu:"$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
elif [ -n "${TASKS_PER_NODE:-}" ]; then
    SRUN+=(--ntasks-per-node="$TASKS_PER_NODE")
fi
if [ -n "${PORT:-}" ]; then
    export MASTER_PORT=$PORT
fi
