"""Run under the launcher: train, then each process writes its own weights and evaluation where it is told.

    report_rank.py OUTPUT CONFIG [KEY VALUE ...]
"""
import sys
from pathlib import Path

import numpy as np

from ppim.config import get_config
from ppim.engine import command, run
from ppim.engine.distributed import World

built = []
original = run.build_train_state
run.build_train_state = lambda *args: built.append(original(*args)) or built[-1]

if __name__ == "__main__":
    output, config, *options = sys.argv[1:]
    result = command.run(config, options)
    import paddle.distributed as dist

    rank = dist.get_rank()
    assert isinstance(World(), World) and get_config(config)
    state = {name: value.numpy() for name, value in built[0].model.state_dict().items()}
    np.savez(Path(output) / f"rank{rank}.npz", evaluation=np.array([result.top1, result.loss, result.count]), **state)
