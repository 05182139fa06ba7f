"""How fast do networks compute here? Forward, training steps, and what token labels and alignment add to them."""
from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import paddle

from ppim.bench.exported import exported
from ppim.bench.machine import Machine
from ppim.bench.material import drawn_map
from ppim.bench.rounds import Seconds, exponent, take_turns, times_as_fast
from ppim.bench.row import Row
from ppim.engine.inference import Inferred, has_products
from ppim.engine.optimizer import build_optimizer, take_step
from ppim.geometry import crop
from ppim.mixing import draw_mix, mixed_rows
from ppim.models import create_model
from ppim.models.base import TokenModel
from ppim.objective.objective import Objective
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.targets import concat, token_targets
from ppim.zoo.macs import count_macs

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Batch = dict[str, paddle.Tensor]


def drawn_batch(model: TokenModel, size: int, shares: bool = False, **mix: float) -> Batch:
    """Random pictures with the targets of random crops of random maps; `mix` as of `mixing.draw_mix`, by default none.
    """
    rng = np.random.default_rng(0)
    classes = model.num_classes
    pairs = []
    for _ in range(size):
        scores, ids, _ = drawn_map(rng, classes)
        label_map = LabelMap(scores.astype(np.float32), ids.astype(np.int32))
        view = crop(*rng.uniform(0, 100, 2), 300, 250, (500, 375))
        pairs.append(token_targets(label_map, [view], model.grid, classes))
    batch = {"image": rng.integers(0, 256, (size, 3, *model.image_size)).astype("uint8"),
             "index": np.arange(size), "erase_at": np.zeros(1, "int64"),
             "erase_value": np.full((1, 3), np.nan, "float32")}
    for kind, targets in zip(("class", "token"), map(concat, zip(*pairs))):
        batch |= {f"{kind}_{name}": value for name, value in targets._asdict().items()}
    if mix:
        drawn = draw_mix(rng, size, model.image_size, model.grid, **mix)
        batch |= mixed_rows(drawn, model.image_size, model.grid, with_shares=shares).as_fields()
    return {name: paddle.to_tensor(value) for name, value in batch.items()}


def stepping(model: TokenModel, dense_weight: float = 0.0) -> Callable[[Batch], float]:
    """A training step with AdamW; it gives the loss."""
    model.train()
    optimizer = build_optimizer(model, "AdamW", weight_decay=0.05)
    optimizer.set_lr(1e-6)
    objective, scaler = Objective(model, 1.0, dense_weight, MEAN, STD), paddle.amp.GradScaler(enable=False)

    def step(batch: Batch) -> float:
        terms = objective(batch)
        terms.total.backward()
        take_step(optimizer, scaler)
        return terms.total.item()

    return step


def step_of(model: TokenModel, batch: Batch, dense_weight: float = 0.0) -> Callable[[], float]:
    """The same with always the same batch."""
    return partial(stepping(model, dense_weight), batch)


def measure(name: str, size: int, rounds: int, machine: Machine) -> list[Row]:
    """One model: forward, step, step with token labels where it has a head on tokens; shares of the products' limit."""
    model = create_model(name)
    macs = count_macs(model)
    batch = drawn_batch(model, size)
    images = batch["image"].astype("float32") / 255

    def forward():
        with paddle.no_grad():
            return model(images).numpy()

    model.eval()
    seconds = take_turns({"forward": forward}, rounds)
    ways = {"plain": step_of(model, batch)}
    if model.has_token_head:
        ways["taught"] = step_of(model, batch, 0.5)
    seconds |= take_turns(ways, rounds)
    rate = {way: size / float(np.median(found)) for way, found in seconds.items()}
    about = f"{name}, {size} images"
    found = [Row("network", f"{about}: {what}", rate[way], "/s", flops * macs * rate[way] / machine.products)
             for what, way, flops in (("forward", "forward", 2), ("training step", "plain", 6))]
    if "taught" in rate:
        found.append(Row("network", f"{about}: step with token labels", rate["taught"], "/s", None,
                         times_as_fast(seconds["taught"], seconds["plain"]), "plain labels"))
    return found


def measure_alignment(name: str, size: int, rounds: int) -> list[Row]:
    """A step whose class shares come from alignment, beside one with shares by area."""
    ways = {}
    for rule in ("area", "alignment"):
        model = create_model(name)
        model.share_rule = rule
        ways[rule] = step_of(model, drawn_batch(model, size, rule != "area", cutmix_alpha=1.0))
    seconds = take_turns(ways, rounds)
    return [Row("network", f"{name}, {size} images: step with alignment", size / float(np.median(seconds["alignment"])),
                "/s", None, times_as_fast(seconds["alignment"], seconds["area"]), "shares by area")]


def time_engines(name: str, size: int, rounds: int) -> Seconds:
    """Seconds of a batch by each engine of evaluation, and by runtimes of exported networks that are here."""
    model = create_model(name)
    model.eval()
    pixels = np.random.default_rng(0).normal(0, 1, (size, 3, *model.image_size)).astype(np.float32)
    images = paddle.to_tensor(pixels)
    engines = {"dygraph": model, "paddle.inference, float32": Inferred(model)}
    if has_products("bfloat16"):
        engines["paddle.inference, bfloat16"] = Inferred(model, precision="bfloat16")
    ways = {key: lambda ask=ask: ask(images).numpy() for key, ask in engines.items()}
    others = exported(model, int(os.environ.get("OMP_NUM_THREADS") or 1))
    ways |= {key: lambda ask=ask: ask(pixels) for key, ask in others.items()}
    with paddle.no_grad():
        return take_turns(ways, rounds)


def measure_engines(name: str, size: int, rounds: int) -> list[Row]:
    """Evaluation by either engine."""
    seconds = time_engines(name, size, rounds)
    return [Row("evaluation", f"{name}, {size} images: {key}", size / float(np.median(found)), "/s", None,
                times_as_fast(found, seconds["dygraph"]) if key != "dygraph" else None,
                "dygraph" if key != "dygraph" else "") for key, found in seconds.items()]


def measure_growth(name: str, batches: tuple[int, ...], sides: tuple[int, ...], classes: tuple[int, ...],
                   rounds: int) -> list[Row]:
    """By which power do a step's seconds grow with the batch, the tokens and the classes?"""
    model = create_model(name)
    of_batch = take_turns({str(size): step_of(model, drawn_batch(model, size)) for size in batches}, rounds)
    models = [create_model(name, image_size=side) for side in sides]
    of_tokens = take_turns({str(side): step_of(one, drawn_batch(one, batches[0])) for side, one in zip(sides, models)},
                           rounds)
    headed = [create_model(name, num_classes=count) for count in classes]
    of_classes = take_turns({str(count): step_of(one, drawn_batch(one, batches[0]), 0.5 * one.has_token_head)
                             for count, one in zip(classes, headed)}, rounds)
    tokens = [one.grid[0] * one.grid[1] for one in models]
    return [_growth(f"{name}: seconds of a step by {what}", sizes, found) for what, sizes, found in (
        ("images", batches, of_batch), ("tokens", tokens, of_tokens), ("classes", classes, of_classes))]


def _growth(what: str, sizes, seconds: Seconds) -> Row:
    medians = [float(np.median(found)) for found in seconds.values()]
    return Row("growth", f"{what}, {sizes[0]:,} to {sizes[-1]:,}", exponent(sizes, medians), "power")
