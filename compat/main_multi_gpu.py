"""PaddleViT's program for several GPUs: tools/train.py, with the words given, in one process per GPU.

Environment: GPUS says which (GPUS=0,1,2,3), else CUDA_VISIBLE_DEVICES, else all there are. NPROC is the number of
processes, as is needed without GPUs, where two share the CPU otherwise.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppim.commands import import_paddle_quietly  # noqa: E402


def launcher_words(env: Mapping[str, str], gpus: int) -> list[str]:
    """What Paddle's launcher is to be told, where it sees `gpus` GPUs."""
    if env.get("GPUS"):
        return [f"--gpus={env['GPUS']}"]
    if env.get("NPROC") or not gpus:
        return [f"--nproc_per_node={env.get('NPROC') or 2}"]
    return []


def launch() -> None:
    """Become Paddle's launcher."""
    import_paddle_quietly()
    import paddle

    gpus = paddle.device.cuda.device_count()
    words = launcher_words(os.environ, gpus)
    if not gpus:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # processes on the CPU would look for these devices
        print(f"note: Paddle sees no GPU here; on the CPU: {' '.join(words)} (NPROC sets the number)", flush=True)
    program = str(ROOT / "tools" / "train.py")
    os.execv(sys.executable, [sys.executable, "-m", "paddle.distributed.launch", *words, program, *sys.argv[1:]])


if __name__ == "__main__":
    launch()
