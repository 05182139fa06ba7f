"""What does Paddle say of itself? Run as a process of its own, which may die of it: lines of JSON, told as they come.

    python -m ppim.doctor.answers
"""
from __future__ import annotations

import json
import os
import time

SIDE = 1024  # of the matrices multiplied
ROUNDS = 5


def tell(**known: object) -> None:
    """One line; what comes later may end the process."""
    print(json.dumps(known, allow_nan=False), flush=True)


def gigaflops(paddle) -> float:
    """Attained by products of square float32 matrices on the CPU, the best of some rounds."""
    paddle.set_device("cpu")
    one = paddle.ones([SIDE, SIDE])
    paddle.matmul(one, one)
    best = float("inf")
    for _ in range(ROUNDS):
        before = time.perf_counter()
        paddle.matmul(one, one)
        best = min(best, time.perf_counter() - before)
    return 2 * SIDE**3 / best / 1e9


def main() -> None:
    """Tell the version, then how fast the CPU is, then whether a GPU computes."""
    import paddle  # ppim is imported by now: threads and MKL's kernels are those of a run

    has_cuda = paddle.is_compiled_with_cuda()
    tell(version=paddle.__version__, cuda=paddle.version.cuda() if has_cuda else None,
         threads=os.environ.get("OMP_NUM_THREADS"), mkl=os.environ.get("MKL_DEBUG_CPU_TYPE"))
    tell(gigaflops=round(gigaflops(paddle), 1))
    gpus = paddle.device.cuda.device_count() if has_cuda else 0
    tell(gpus=gpus)
    if gpus:
        paddle.set_device("gpu:0")
        one = paddle.ones([256, 256])
        tell(computes_on_gpu=bool(paddle.matmul(one, one)[0, 0].item() == 256))


if __name__ == "__main__":
    main()
