# Sourced by the dist_*.sh: GPUS and the variables that MMSegmentation's
# scripts know become LAUNCH, the options of torchrun.
NNODES=${NNODES:-1}
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ] && [ -z "${MASTER_ADDR:-}" ]; then
    # One machine and no PORT given: torchrun takes a free port, so that several runs don't clash.
    LAUNCH=(--standalone)
else
    LAUNCH=(
        --nnodes="$NNODES"
        --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi
LAUNCH+=(--nproc_per_node="$GPUS")
