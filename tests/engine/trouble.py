"""Run under the launcher, or alone: train slowly, and at one step of this start send a signal.

    trouble.py RANK:STEP:SIGNAL:TO CONFIG [--resume] [-o KEY VALUE ...]     TO: self, launcher
"""
import os
import signal
import sys
import time

from ppim.__main__ import start
from ppim.commands import import_paddle_quietly

rank, step, name, to = sys.argv.pop(1).split(":")
mine = rank == os.environ.get("PADDLE_TRAINER_ID", "0")
sys.argv.insert(1, "-c")


def troubled(take_step):
    """`take_step` of the trainer, with the trouble before it."""
    taken = 0

    def take(*args):
        nonlocal taken
        taken += 1
        if mine and taken == int(step):
            os.kill(os.getpid() if to == "self" else os.getppid(), signal.Signals[f"SIG{name}"])
        time.sleep(0.04)
        return take_step(*args)

    return take


if __name__ == "__main__":
    import_paddle_quietly()
    from ppim.engine import train

    train.take_step = troubled(train.take_step)
    sys.exit(start("train"))
