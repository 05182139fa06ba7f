"""How long does a step wait for a checkpoint?

    python tools/benchmark/checkpoint_stall.py [--model deit_small] [--rounds 7] [--folder DIR]

Model, AdamW's moments and running average are saved as a run saves them, with last.pdparams and last_ema.pdparams. In
turns: waiting for the disk, which is what every save did before a thread wrote, and in the background, where the step
waits for the copy alone. Memory is the most that was resident during the saves above what it was before them.
"""
from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ppim  # noqa: E402, F401


def resident(field: str) -> int:
    """Bytes of VmRSS (now) or VmHWM (highest so far)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def prepared(model_name: str, folder: Path):
    """A run of the model's recipe that has made one step, without data."""
    from ppim.config import get_config
    from ppim.engine import build
    from ppim.engine.distributed import World
    from ppim.engine.lock import FolderLock
    from ppim.engine.optimizer import take_step
    from ppim.engine.run import Meter, Run
    from ppim.engine.run_folder import RunFolder
    from ppim.engine.train_state import build_model_for, build_train_state

    config = get_config(model_name, ["SAVE", str(folder), "TRAIN.MODEL_EMA", "True"])
    model = build_model_for(config)
    state = build_train_state(config, model, World())
    state.optimizer.set_lr(1e-4)
    sum(parameter.sum() for parameter in model.parameters() if not parameter.stop_gradient).backward()
    take_step(state.optimizer, state.scaler)
    state.ema.update()
    batches = build.train_batches(config, 1_281_167, World())
    return Run(config, World(), RunFolder(folder), state, batches, None, None, None, None, Meter(), FolderLock())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="deit_small")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="on the disk to be measured; the system's folder for temporary files")
    args = parser.parse_args()

    from ppim.engine.saving import finish, save

    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        run = prepared(args.model, Path(folder))
        times = {"waiting": [], "background": [], "written after": []}
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far starts again here
        for run.state.step in range(1, args.rounds + 1):
            start = time.perf_counter()
            save(run, run.state.step)
            finish(run)
            times["waiting"].append(time.perf_counter() - start)
            start = time.perf_counter()
            save(run, run.state.step)
            times["background"].append(time.perf_counter() - start)
            finish(run)
            times["written after"].append(time.perf_counter() - start)
        newest = max((Path(folder) / "checkpoints").iterdir())
        size = sum(file.stat().st_size for file in newest.iterdir())
        peak = resident("VmHWM") - before
    parameters = sum(parameter.size for parameter in run.state.model.parameters())
    print(f"{args.model}, {parameters / 1e6:.1f} M parameters, a checkpoint of {size / 2**20:.0f} MiB, medians of "
          f"{args.rounds}")
    for name, seconds in times.items():
        print(f"{name:15} {statistics.median(seconds):6.3f} s ({min(seconds):.3f} to {max(seconds):.3f})")
    print(f"memory          {peak / size:.2f} x the checkpoint at most")


if __name__ == "__main__":
    main()
