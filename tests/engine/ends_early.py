"""Run under the launcher: process 1 is told after the third step that its hours are over, in a run that weights layers
and classes as fine-tuning does; then the run goes on, until evaluations find nothing better.

    ends_early.py OUTPUT CONFIG [KEY VALUE ...]
"""
import sys
from pathlib import Path

import numpy as np

from ppim.engine import command, run, train
from ppim.engine.distributed import join_world

built = []
original = run.build_train_state
run.build_train_state = lambda *args: built.append(original(*args)) or built[-1]
one_step = train.one_step


def hurried(*args) -> int:
    micro, started = one_step(*args), args[0]
    if started.world.rank == 1 and started.state.step == 3:
        started.state.clock.before = 1e9
    return micro


train.one_step = hurried

if __name__ == "__main__":
    output, config, *options = sys.argv[1:]
    world = join_world()
    command.join_world = lambda: world  # one job for both runs
    command.run(config, [*options, "TRAIN.MAX_HOURS", "100"])
    first = built[-1]
    state = {name: value.numpy() for name, value in first.model.state_dict().items()}
    # from here on nothing is learnt
    still = ["TRAIN.BASE_LR", "0", "TRAIN.WARMUP_START_LR", "0", "TRAIN.END_LR", "0"]
    command.run(config, [*options, *still, "MODEL.RESUME", "auto", "TRAIN.EARLY_STOP", "2", "VALIDATE_FREQ", "1"])
    np.savez(Path(output) / f"rank{world.rank}.npz", steps=np.array([first.step, built[-1].step]),
             stale=np.array(built[-1].stale), **state)
