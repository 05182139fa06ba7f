"""What does loading a large file cost beside `paddle.load` + `set_state_dict`?

    python tools/benchmark/load_weights.py [--model lvvit_l] [--repeats 5]

Each measurement is a process of its own that builds the model, then loads once. Time is that of loading; memory is the
peak resident memory of the process above what it held before loading, plus the model's own weights, over the size of
the file. Ratios are of medians within one run.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
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


def measure(how: str, model_name: str, path: str) -> None:
    """One loading in this process; prints seconds and bytes as JSON."""
    import paddle

    from ppim.models import create_model
    from ppim.weights import load_weights

    model = create_model(model_name)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far starts again here
    start = time.perf_counter()
    if how == "paddle":
        paddle.nn.Layer.set_state_dict(model, paddle.load(path))
    else:
        load_weights(model, path)
    print(json.dumps([time.perf_counter() - start, resident("VmHWM") - before], allow_nan=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lvvit_l")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("HOW", "PATH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure[0], args.model, args.measure[1])

    from ppim.models import create_model
    from ppim.weights import save_state

    with tempfile.TemporaryDirectory() as folder:
        state = create_model(args.model).state_dict()
        files = {"pdparams": f"{folder}/w.pdparams", "safetensors": f"{folder}/w.safetensors"}
        for path in files.values():
            save_state(state, path)
        size = os.path.getsize(files["pdparams"])
        kinds = {"paddle.load + set_state_dict": ("paddle", "pdparams"), "ours, .pdparams": ("ours", "pdparams"),
                 "ours, .safetensors": ("ours", "safetensors")}
        results = {kind: [] for kind in kinds}
        for _ in range(args.repeats):
            for kind, (how, suffix) in kinds.items():
                command = [sys.executable, __file__, "--model", args.model, "--measure", how, files[suffix]]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                results[kind].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{args.model}, file of {size / 2**20:.0f} MiB, medians of {args.repeats}")
    reference = statistics.median(seconds for seconds, _ in results["paddle.load + set_state_dict"])
    for kind, runs in results.items():
        seconds = statistics.median(run[0] for run in runs)
        peak = statistics.median(run[1] for run in runs)
        print(f"{kind:30} {seconds:6.2f} s, {seconds / reference:5.2f} of Paddle's; peak {(peak + size) / size:.2f} x "
              "the file, the model's weights included")


if __name__ == "__main__":
    main()
