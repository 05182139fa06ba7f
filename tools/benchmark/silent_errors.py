"""Mistakes that raise nothing, planted one by one: which are named before or within the first step? What are sound
configurations told, and what does looking cost? Writes the tables of docs/en/checks.md.

    python tools/benchmark/silent_errors.py [--output TABLE.md] [--cost-only]

Each case is what `ppim train` does up to its first step, in this process; those of two processes go through Paddle's
launcher. A mistake counts as named where the check that is meant to name it speaks. Takes three minutes on two cores.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppim  # noqa: E402, F401  (sets the thread count before paddle is imported)

# isort: split
from ppim.config import get_config  # noqa: E402
from ppim.data import shapes  # noqa: E402
from ppim.engine import run as run_module  # noqa: E402
from ppim.engine.distributed import World  # noqa: E402
from ppim.engine.first_step import FirstStep  # noqa: E402
from ppim.engine.sound import Guard  # noqa: E402
from ppim.engine.train import one_step  # noqa: E402
from tests.checks.planted import MISTAKES, Mistake  # noqa: E402
from tests.checks.small_runs import draw_data, found_by, mistakes, write_recipe  # noqa: E402
from tests.checks.sound import RUNS  # noqa: E402
from tests.helpers import launch  # noqa: E402

EPOCH, DRAWN, STEPS = 10_000, 500, 6


def planted(root: Path) -> list[tuple[Mistake, str]]:
    """Every mistake, and what the check that is meant said of it; "" where it kept silent."""
    rows = []
    for mistake in MISTAKES:
        if mistake.processes > 1:
            continue
        data = Path(shutil.copytree(root / "drawn", root / "planted"))
        keys = mistake.edit(data) if mistake.edit else []
        with mistake.planted() if mistake.planted else contextlib.nullcontext():
            found = mistakes(found_by(write_recipe(data), keys))
        rows.append((mistake, next((f.level for f in found if f.check == mistake.check), "")))
        print(f"{rows[-1][1] or 'MISSED':<10}{mistake.number:>3}  {mistake.name}", flush=True)
        shutil.rmtree(data)
    return rows


def launched(root: Path) -> tuple[list[tuple[Mistake, str]], int]:
    """The same for mistakes of two processes, and the alarms of a sound run of two."""
    os.environ["PYTHONPATH"] = str(ROOT)
    recipe, output = write_recipe(root / "drawn"), root / "launched.json"
    done = launch(2, ROOT / "tests" / "checks" / "launched.py", recipe, output, log_dir=root / "log")
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    told, rows = json.loads(output.read_text()), []
    for mistake in MISTAKES:
        if mistake.processes > 1:
            level = next((level for check, level, _ in told[mistake.name]
                          if check == mistake.check and level in ("warning", "error")), "")
            rows.append((mistake, level))
            print(f"{level or 'MISSED':<10}{mistake.number:>3}  {mistake.name}", flush=True)
    return rows, sum(level in ("warning", "error") for _, level, _ in told["nothing"])


def sound(root: Path) -> dict[str, int]:
    """Alarms of every sound configuration."""
    alarms = {}
    for case in RUNS:
        data = Path(shutil.copytree(root / "drawn", root / "sound"))
        keys = [*(case.edit(data) if case.edit else []), *case.keys]
        found = mistakes(found_by(write_recipe(data, case.kind), keys))
        alarms[case.name] = len(found)
        print(f"{'ALARM' if found else 'silent':<10}     {case.name}", *found, flush=True)
        shutil.rmtree(data)
    return alarms


def cost(root: Path) -> dict[str, float]:
    """Seconds that looking takes in `lvvit_cifar10` on 10,000 photos, and those of an epoch of it without."""
    data = root / "many"
    shapes.write_dataset(data, seed=0, train=DRAWN, val=DRAWN, wh=(32, 32), grid=(4, 4))
    for path in [*data.glob("*/train/*/*.jpg"), *data.glob("*/train/*/*.npy")]:
        for copy in range(1, EPOCH // DRAWN):
            os.link(path, path.with_stem(f"{path.stem}_{copy}"))
    config = get_config("lvvit_cifar10", ["DATA.DATA_PATH", str(data / "data"), "TOKEN_LABEL.PATH",
                                          str(data / "labels" / "train"), "SAVE", str(root / "run")])
    seconds = {"before the first step": 0.0, "within the first step": 0.0, "an epoch": 0.0}

    def timed(where, function):
        def call(*args):
            before = time.perf_counter()
            result = function(*args)
            seconds[where] += time.perf_counter() - before
            return result
        return call

    methods = ("__init__", "batch", "gradients", "update")
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(run_module, "before_first_step", timed(
            "before the first step", run_module.before_first_step)))
        for name in methods:
            stack.enter_context(patch.object(FirstStep, name, timed("within the first step", getattr(FirstStep, name))))
        run, batches, micro = run_module.start(config, config, World())
        guard = Guard(run)
        micro = one_step(run, batches, micro, guard, FirstStep(run))
    plain = []
    for _ in range(STEPS):
        before = time.perf_counter()
        micro = one_step(run, batches, micro, guard)
        run.state.model.head.bias.sum().item()
        plain.append(time.perf_counter() - before)
    run.close()
    seconds["an epoch"] = statistics.median(plain) * run.steps.per_epoch
    return seconds


def table(rows: list[tuple[Mistake, str]], alarms: dict[str, int], seconds: dict[str, float]) -> str:
    """The tables as markdown."""
    lines = ["| | mistake | named by | as |", "| --- | --- | --- | --- |"]
    lines += [f"| {m.number} | {m.name} | {m.check} | {level or '**missed**'} |"
              for m, level in sorted(rows, key=lambda row: row[0].number)]
    numbers = {m.number for m, _ in rows}
    named = [number for number in numbers if all(level for m, level in rows if m.number == number)]
    looking = sum(value for name, value in seconds.items() if name != "an epoch")
    lines += ["", f"{len(named)} of {len(numbers)} mistakes named in all their {len(rows)} shapes; "
              f"{sum(map(bool, alarms.values()))} of {len(alarms)} sound configurations raised an alarm.", ""]
    lines += ["| seconds | |", "| --- | --- |", *(f"| {name} | {value:.2f} |" for name, value in seconds.items())]
    return "\n".join([*lines, "", f"Looking takes {100 * looking / seconds['an epoch']:.2f} % of an epoch."])


def main() -> None:
    """Plant, run, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the tables to this file as well")
    parser.add_argument("--cost-only", action="store_true", help="measure what looking costs, plant nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if args.cost_only:
            print(cost(root))
            return
        draw_data(root / "drawn")
        rows, (more, two) = planted(root), launched(root)
        text = table(rows + more, {**sound(root), "two processes": two}, cost(root))
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
