"""A convolutional network that labels CIFAR-10's photos cell by cell, for the experiments of docs/en/results.md.

    python tools/proof/annotator.py --photos data/cifar10 --half all --output output/annotator_all

trains a residual network (2.8 million parameters, a cell of 8 pixels) on all training photos or on every second, says
how often it is right on the test photos, and saves it for `ppim labels make --annotator`. It goes on where it was
stopped.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import ppim  # noqa: F401  (threads, before Paddle)

import numpy as np  # isort: skip
import paddle  # isort: skip
import paddle.nn.functional as F  # isort: skip
from paddle import nn  # isort: skip
from PIL import Image

from ppim.data.datasets import find_images
from ppim.data.images import ImageList
from ppim.files import write_whole

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SIDES = (32, 40, 48)  # of the photos of a batch, in pixels: collages show them in sizes of their own
CELL = 8  # pixels
BATCH, PEAK_LR, DECAY, SMOOTHING, SEED = 128, 0.1, 5e-4, 0.1, 0
HALVES = {"even": slice(0, None, 2), "odd": slice(1, None, 2), "all": slice(None)}  # as `ppim data collage` has them


class Block(nn.Layer):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2D(inputs, outputs, 3, stride, 1, bias_attr=False), nn.BatchNorm2D(outputs), nn.ReLU(),
            nn.Conv2D(outputs, outputs, 3, 1, 1, bias_attr=False), nn.BatchNorm2D(outputs))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Sequential(
            nn.Conv2D(inputs, outputs, 1, stride, bias_attr=False), nn.BatchNorm2D(outputs))

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x))


def network(classes: int) -> nn.Layer:
    """(B, 3, h, w) normalised photos -> (B, classes, h/8, w/8) logits of cells."""
    layers = [nn.Conv2D(3, 32, 3, 2, 1, bias_attr=False), nn.BatchNorm2D(32), nn.ReLU()]
    for inputs, width in ((32, 32), (32, 64), (64, 128)):
        layers += [Block(inputs, width, 1 if inputs == width else 2), Block(width, width, 1), Block(width, width, 1)]
    return nn.Sequential(*layers, nn.Conv2D(128, classes, 1))


def enlarged(photos: np.ndarray, side: int) -> np.ndarray:
    """(B, h, w, 3) uint8 -> (B, side, side, 3) uint8."""
    return np.stack([np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC))
                     for photo in photos])


def read(images: ImageList) -> np.ndarray:
    """(n, 32, 32, 3) uint8."""
    return np.stack([np.asarray(Image.open(images.full_path(i)).convert("RGB")) for i in range(len(images))])


def views(rng: np.random.Generator, photos: np.ndarray, side: int) -> np.ndarray:
    """Photos (B, 32, 32, 3) resized to `side`, moved by up to an eighth, mirrored or not: (B, 3, side, side)."""
    move = side // 8
    out = np.empty((len(photos), side, side, 3), np.uint8)
    for row, grown in enumerate(enlarged(photos, side)):
        padded = np.pad(grown, ((move, move), (move, move), (0, 0)), mode="reflect")
        top, left = rng.integers(0, 2 * move + 1, 2)
        view = padded[top:top + side, left:left + side]
        out[row] = view[:, ::-1] if rng.random() < 0.5 else view
    return normalised(out)


def normalised(photos: np.ndarray) -> np.ndarray:
    """(B, h, w, 3) uint8 -> (B, 3, h, w) float32."""
    return ((photos / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)


def rate(done: float) -> float:
    """The learning rate after a share `done` of the steps: up for a quarter, then down to zero, in straight lines."""
    return PEAK_LR * (done / 0.25 if done < 0.25 else (1 - done) / 0.75)


def train(net: nn.Layer, photos: np.ndarray, labels: np.ndarray, epochs: int, folder: Path,
          sides: Sequence[int] = SIDES) -> None:
    """Train to the end, from the epoch that `folder` holds."""
    steps = len(photos) // BATCH
    optimizer = paddle.optimizer.Momentum(0.0, 0.9, net.parameters(), use_nesterov=True, weight_decay=DECAY)
    first = _take_up(net, optimizer, folder)
    net.train()
    for epoch in range(first, epochs):
        rng = np.random.default_rng((SEED, epoch))
        order = rng.permutation(len(photos))
        for step in range(steps):
            rows = order[step * BATCH:(step + 1) * BATCH]
            optimizer.set_lr(rate((epoch + step / steps) / epochs))
            x = paddle.to_tensor(views(rng, photos[rows], sides[rng.integers(len(sides))]))
            targets = F.label_smooth(F.one_hot(paddle.to_tensor(labels[rows]), net[-1].weight.shape[0]),
                                     epsilon=SMOOTHING)
            loss = F.cross_entropy(net(x).mean([2, 3]), targets, soft_label=True)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
        print(f"epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
        _keep(net, optimizer, folder, epoch + 1)


def _keep(net: nn.Layer, optimizer, folder: Path, epochs: int) -> None:
    arrays = {f"net/{name}": value.numpy() for name, value in net.state_dict().items()}
    held = optimizer.state_dict()
    arrays |= {f"held/{place}": held[name].numpy() for place, name in enumerate(_velocities(held))}
    write_whole(folder / "state.npz", lambda beside: _save(beside, arrays, epochs))


def _save(path: Path, arrays: dict[str, np.ndarray], epochs: int) -> None:
    with open(path, "wb") as file:
        np.savez(file, epochs=epochs, **arrays)


def _take_up(net: nn.Layer, optimizer, folder: Path) -> int:
    if not (folder / "state.npz").exists():
        return 0
    state = np.load(folder / "state.npz")
    net.set_state_dict({name: state[f"net/{name}"] for name in net.state_dict()})
    # an optimizer has nothing to hold before its first step: one whose gradients are zero
    for parameter in net.parameters():
        parameter.grad = paddle.zeros_like(parameter)
    optimizer.step()
    optimizer.clear_grad()
    held = optimizer.state_dict()
    for place, name in enumerate(_velocities(held)):
        held[name].set_value(state[f"held/{place}"])
    return int(state["epochs"])


def _velocities(held: dict) -> list[str]:
    return [name for name in held if "velocity" in name]


def right(net: nn.Layer, photos: np.ndarray, labels: np.ndarray, side: int) -> float:
    """The share of photos, enlarged to `side`, whose class is that of the mean over their cells."""
    net.eval()
    hits = 0
    with paddle.no_grad():
        for start in range(0, len(photos), 500):
            shown = paddle.to_tensor(normalised(enlarged(photos[start:start + 500], side)))
            said = net(shown).mean([2, 3]).argmax(1).numpy()
            hits += int((said == labels[start:start + 500]).sum())
    return hits / len(photos)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="CIFAR-10 as class folders, train/ and test/")
    parser.add_argument("--half", choices=HALVES, default="all", help="which training photos")
    parser.add_argument("--output", type=Path, required=True, help="folder for the network")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, metavar="PX",
                        help=f"of the photos it learns from and is tested on, multiples of {CELL} (%(default)s)")
    args = parser.parse_args()
    if any(side % CELL for side in args.sides):
        parser.error(f"--sides {args.sides}: wanted multiples of {CELL}")
    args.output.mkdir(parents=True, exist_ok=True)
    images, test = find_images(str(args.photos), "train"), find_images(str(args.photos), "val")
    half = HALVES[args.half]
    paddle.seed(SEED)
    net = network(len(images.classes))
    train(net, read(images)[half], images.labels[half], args.epochs, args.output, args.sides)
    shown, shares = read(test), {}
    for side in sorted(args.sides):
        share = shares[side] = right(net, shown, test.labels, side)
        print(f"right on {100 * share:.2f} % of {len(test):,} test photos, enlarged to {side} pixels", flush=True)
    paddle.jit.save(net, str(args.output / "annotator"),
                    input_spec=[paddle.static.InputSpec([None, 3, None, None], "float32")])
    (args.output / "classes.txt").write_text("\n".join(images.classes) + "\n")
    about = {"half": args.half, "epochs": args.epochs, "test_accuracy": shares}
    (args.output / "annotator.about.json").write_text(json.dumps(about, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
