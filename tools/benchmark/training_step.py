"""What does teaching tokens cost? A training step with token labels against the plain one, LV-ViT-S at 224 px.

    python tools/benchmark/training_step.py [--model lvvit_s] [--batch 8] [--rounds 7]

Forward, loss, backward and AdamW of the same model on the same pictures: with the class loss alone (the token head is
not run), and with the token loss and MixToken of the recipe. Steps take turns; medians and their ratio are printed.
"""
import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import numpy as np  # noqa: E402
import paddle  # noqa: E402

from ppim import geometry  # noqa: E402
from ppim.engine.optimizer import build_optimizer, take_step  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.mixing import draw_mix, mixed_rows  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.objective.objective import Objective  # noqa: E402
from ppim.objective.pixels import as_tensors  # noqa: E402
from ppim.token_labels.maps import LabelMap  # noqa: E402
from ppim.token_labels.targets import concat, token_targets  # noqa: E402


def make_batch(rng: np.random.Generator, size: int, grid: tuple, side: int) -> dict:
    """Random pictures with the targets of random crops of 18x18x5 maps of about 25 classes."""
    pairs = []
    for _ in range(size):
        ids = rng.choice(1000, 25, replace=False)[rng.integers(0, 25, (5, 18, 18))].astype(np.int32)
        label_map = LabelMap(rng.normal(5, 2, (5, 18, 18)).astype(np.float32), ids)
        crop = geometry.crop(*rng.uniform(0, 100, 2), 300, 250, (500, 375))
        pairs.append(token_targets(label_map, [crop], grid, 1000))
    batch = {"image": rng.integers(0, 256, (size, 3, side, side)).astype("uint8"),
             "erase_at": np.zeros(1, "int64"), "erase_value": np.full((1, 3), np.nan, "float32")}
    for kind, targets in zip(("class", "token"), map(concat, zip(*pairs))):
        batch.update({f"{kind}_{name}": value for name, value in targets._asdict().items()})
    return {name: paddle.to_tensor(value) for name, value in batch.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lvvit_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    keep_freed_memory()
    rng = np.random.default_rng(0)
    model = create_model(args.model)
    model.train()
    optimizer = build_optimizer(model, "AdamW", weight_decay=0.05)
    optimizer.set_lr(1e-5)
    scaler = paddle.amp.GradScaler(enable=False)
    batch = make_batch(rng, args.batch, model.grid, model.image_size[0])
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ways = {"plain labels": (0.0, 0.0), "plain labels, MixToken": (0.0, 1.0), "token labels, MixToken": (1.0, 1.0)}
    objectives = {name: Objective(model, 1.0, dense, mean, std) for name, (dense, _) in ways.items()}
    seconds = {name: [] for name in ways}
    for turn in range(args.rounds + 1):
        for name, (_, alpha) in ways.items():
            mix = draw_mix(rng, args.batch, model.image_size, model.grid, token_alpha=alpha)
            before = time.perf_counter()
            terms = objectives[name](batch, as_tensors(mixed_rows(mix, model.image_size, model.grid)))
            terms.total.backward()
            take_step(optimizer, scaler)
            terms.total.item()
            if turn:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - before)
    base = np.array(seconds["plain labels"])
    for name, values in seconds.items():
        ratio = np.median(np.array(values) / base)
        median = 1e3 * np.median(values)
        print(f"{name:<24} median {median:7.0f} ms a step of {args.batch}, {ratio:.3f} of plain labels")


if __name__ == "__main__":
    main()
