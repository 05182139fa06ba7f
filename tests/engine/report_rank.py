"""Run under the launcher: train, then each process writes where it is told its own weights, its evaluation, and the
BatchNorm statistics it had after every step.

    report_rank.py OUTPUT CONFIG [KEY VALUE ...]
"""
import sys
from pathlib import Path

import numpy as np

from ppim.config import get_config
from ppim.engine import command, run, train
from ppim.engine.distributed import World

built = []
original = run.build_train_state
run.build_train_state = lambda *args: built.append(original(*args)) or built[-1]

statistics, step = [], train.one_step


def one_step(*args) -> int:
    micro = step(*args)
    state = built[0].model.state_dict()
    statistics.append([state[name].numpy() for name in sorted(state) if name.endswith(("._mean", "._variance"))])
    return micro


train.one_step = one_step

if __name__ == "__main__":
    output, config, *options = sys.argv[1:]
    result = command.run(config, options)
    import paddle.distributed as dist

    rank = dist.get_rank()
    assert isinstance(World(), World) and get_config(config)
    state = {name: value.numpy() for name, value in built[0].model.state_dict().items()}
    np.savez(Path(output) / f"rank{rank}.npz", evaluation=np.array([result.top1, result.loss, result.count]),
             statistics=np.array(statistics), **state)
