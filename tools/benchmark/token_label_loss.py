"""What do token-label targets and their loss cost? Ours (sparse) against the dense way, forward and backward.

    python tools/benchmark/token_label_loss.py [--runs 7] [--batch 64] [--classes 1000]

A batch: 18x18 maps of 5 classes a cell, one random resized crop (with flip) each, 14x14 tokens and the class token.
Both sides start from the maps in memory and end with the gradient of the logits, and both losses are compared.

Dense, as well as we can write it: bilinear ROI weights as a matrix (tokens x cells), maps scattered to (cells x C), one
matmul, softmax, smoothing in place, Paddle's fused soft-label cross entropy. In two forms, of which the faster counts:
'batched' (put_along_axis and bmm over the whole batch) and 'looped' (one image at a time through a reused buffer).

Time: medians over runs that take turns. Memory: peak resident memory of a fresh process during one pass, beyond what
it held before (the maps and the logits) and beyond the gradient of the logits, which every way must have.
"""
from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402

from ppim import geometry  # noqa: E402
from ppim.bench.material import CELLS, GRID, KEPT, drawn_map, noise_map  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.objective.losses import sparse_cross_entropy  # noqa: E402
from ppim.token_labels.maps import LabelMap  # noqa: E402
from ppim.token_labels.points import view_points  # noqa: E402
from ppim.token_labels.targets import SparseTargets, concat, token_targets  # noqa: E402

SMOOTHING = 0.1
PHOTO = (500, 375)


def draw_map(rng, ids: str, classes: int) -> LabelMap:
    """'few': 30 classes, each strong in some region, as in photos; 'random': any classes anywhere."""
    scores, kept, _ = drawn_map(rng, classes) if ids == "few" else noise_map(rng, classes)
    return LabelMap(scores.astype(np.float32), kept.astype(np.int32))


def draw_history(rng) -> list[geometry.Step]:
    """A random resized crop of 8 to 100 % of the area, flipped half of the time."""
    width, height = np.sqrt(rng.uniform(0.08, 1)) * np.array(PHOTO)
    crop = geometry.crop(rng.uniform(0, PHOTO[0] - width), rng.uniform(0, PHOTO[1] - height), width, height, PHOTO)
    return [crop, geometry.hflip()] if rng.random() < 0.5 else [crop]


def draw_inputs(batch: int, ids: str, classes: int):
    rng = np.random.default_rng(0)
    maps, histories = [draw_map(rng, ids, classes) for _ in range(batch)], [draw_history(rng) for _ in range(batch)]
    logits = [paddle.to_tensor(rng.standard_normal((rows, classes), np.float32), stop_gradient=False)
              for rows in (batch, batch * GRID[0] * GRID[1])]
    return maps, histories, logits


def to_tensors(targets: SparseTargets) -> SparseTargets:
    return SparseTargets(*(paddle.to_tensor(array) for array in targets))


def sparse_loss(maps, histories, logits):
    classes = logits[0].shape[1]
    samples = [token_targets(m, steps, GRID, classes, smoothing=SMOOTHING) for m, steps in zip(maps, histories)]
    whole, tokens = (concat(rows) for rows in zip(*samples))
    del samples
    whole, tokens = to_tensors(whole), to_tensors(tokens)
    return sparse_cross_entropy(logits[0], whole) + sparse_cross_entropy(logits[1], tokens)


def roi_weights(steps) -> np.ndarray:
    """(1 + N, cells) float32: the share of each cell in the class token and in each token."""
    points, row, asked = view_points(steps, (0, 0, 1, 1), CELLS, GRID)
    points, _ = geometry.trace(points, steps)
    place = np.clip(points * CELLS[::-1] - 0.5, 0, np.array(CELLS[::-1]) - 1)
    low = np.minimum(place.astype(int), np.array(CELLS[::-1]) - 2)
    high = place - low
    weights = np.zeros(len(asked) * CELLS[0] * CELLS[1])
    for dy, y in ((0, 1 - high[:, 1]), (1, high[:, 1])):
        for dx, x in ((0, 1 - high[:, 0]), (1, high[:, 0])):
            cell = (low[:, 1] + dy) * CELLS[1] + low[:, 0] + dx
            weights += np.bincount(row * CELLS[0] * CELLS[1] + cell, x * y / asked[row], minlength=len(weights))
    return weights.reshape(len(asked), -1).astype(np.float32)


def batched_scores(maps, histories, classes: int):
    # (K, h, w) -> (cells, K)
    ids, scores = (np.stack([getattr(m, name).reshape(KEPT, -1).T for m in maps]) for name in ("ids", "scores"))
    table = paddle.put_along_axis(paddle.zeros([len(maps), CELLS[0] * CELLS[1], classes]),
                                  paddle.to_tensor(ids.astype(np.int64)), paddle.to_tensor(scores), 2)
    return paddle.bmm(paddle.to_tensor(np.stack([roi_weights(steps) for steps in histories])), table)


def looped_scores(maps, histories, classes: int):
    table = np.zeros((CELLS[0] * CELLS[1], classes), np.float32)
    cell = np.arange(len(table))[:, None]
    out = np.empty((len(maps), 1 + GRID[0] * GRID[1], classes), np.float32)
    for label_map, steps, rows in zip(maps, histories, out):
        ids = label_map.ids.reshape(KEPT, -1).T
        table[cell, ids] = label_map.scores.reshape(KEPT, -1).T
        np.matmul(roi_weights(steps), table, out=rows)
        table[cell, ids] = 0
    return paddle.to_tensor(out)


def dense_loss(scores, maps, histories, logits):
    classes = logits[0].shape[1]
    target = F.softmax(scores(maps, histories, classes), axis=-1)
    target.scale_(1 - SMOOTHING + SMOOTHING / classes, bias=SMOOTHING / classes)
    # (B, 1 + N, C) -> (B, C), (B * N, C)
    targets = target[:, 0], target[:, 1:].reshape([-1, classes])
    del target
    return sum(F.cross_entropy(x, t, soft_label=True) for x, t in zip(logits, targets))


WAYS = {
    "ours": sparse_loss,
    "dense, batched": lambda *inputs: dense_loss(batched_scores, *inputs),
    "dense, looped": lambda *inputs: dense_loss(looped_scores, *inputs),
}


def one_pass(way: str, inputs) -> tuple[float, float]:
    """Milliseconds and the loss."""
    start = time.perf_counter()
    loss = WAYS[way](*inputs)
    loss.backward()
    # On a device this waits for the work; on a CPU it is done already.
    value = loss.item()
    milliseconds = 1e3 * (time.perf_counter() - start)
    for logits in inputs[2]:
        logits.clear_gradient(set_to_zero=False)
    return milliseconds, value


def resident(key: str) -> float:
    """MiB of /proc/self/status: VmRSS now, VmHWM at its peak."""
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) / 1024


def measure_memory(way: str, batch: int, ids: str, classes: int) -> None:
    """Print peak MiB beyond inputs and gradient; runs in a process of its own."""
    # A small pass first, so that libraries and thread pools are not counted.
    one_pass(way, draw_inputs(2, ids, classes))
    inputs = draw_inputs(batch, ids, classes)
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed above would be used again, uncounted
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = resident("VmRSS")
    one_pass(way, inputs)
    gradient = sum(4 * x.size for x in inputs[2]) / 2 ** 20
    print(resident("VmHWM") - before - gradient)


def memory(way: str, batch: int, ids: str, classes: int) -> float:
    return float(subprocess.run([sys.executable, __file__, "--measure", way, ids, "--batch", str(batch), "--classes",
                                 str(classes)], check=True, capture_output=True, text=True).stdout.split()[-1])


def report(batch: int, ids: str, classes: int, runs: int) -> None:
    inputs = draw_inputs(batch, ids, classes)
    values = {way: one_pass(way, inputs)[1] for way in WAYS}
    assert np.ptp(list(values.values())) < 1e-4, values
    times = {way: [] for way in WAYS}
    for _ in range(runs):
        for way, taken in times.items():
            taken.append(one_pass(way, inputs)[0])
    dense = min((way for way in WAYS if way != "ours"), key=lambda way: np.median(times[way]))
    peak = {way: memory(way, batch, ids, classes) for way in WAYS}
    print(f"{ids} ids, B = {batch}, C = {classes}:")
    for way, taken in times.items():
        print(f"  {way:15s} {np.median(taken):7.1f} ms ({min(taken):.1f} .. {max(taken):.1f}), "
              f"{np.median(taken) / batch:5.2f} ms an image, {peak[way]:7.1f} MiB")
    print(f"  ours against {dense}: {np.median(times[dense]) / np.median(times['ours']):.1f}x as fast, "
          f"1/{peak[dense] / max(peak['ours'], 0.1):.0f} of the memory", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "IDS"), help="internal: memory of one way")
    args = parser.parse_args()
    if args.measure:
        measure_memory(args.measure[0], args.batch, args.measure[1], args.classes)
        return
    keep_freed_memory()  # as in training, for every way alike
    for ids in ("few", "random"):
        report(args.batch, ids, args.classes, args.runs)
    batch = max(1, args.batch // 8)
    print(f"memory of ours beyond the logits and their gradient as classes grow, few ids, B = {batch}:")
    for classes in (1000, 5000, 21841):
        print(f"  C = {classes:5d}: {memory('ours', batch, 'few', classes):6.1f} MiB, the logits "
              f"{4 * batch * (1 + GRID[0] * GRID[1]) * classes / 2 ** 20:6.1f} MiB")


if __name__ == "__main__":
    main()
