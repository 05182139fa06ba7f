# Read by run_*_multi.sh: the words that make Paddle start several processes, from $GPUS or $NPROC.
launcher() {
    if [ -n "${GPUS-}" ]; then
        echo "-m paddle.distributed.launch --gpus=$GPUS"
    elif [ -z "${NPROC-}" ] && { [ -n "${CUDA_VISIBLE_DEVICES-}" ] || command -v nvidia-smi >/dev/null; }; then
        echo "-m paddle.distributed.launch"
    else
        echo "-m paddle.distributed.launch --nproc_per_node=${NPROC:-2}"
    fi
}
