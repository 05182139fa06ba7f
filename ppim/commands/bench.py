"""`ppim bench`: how fast is everything, on this machine?"""
from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from ppim.commands import Parser, import_paddle_quietly
from ppim.commands.numbers import COUNT


class Effort(NamedTuple):
    """How much is measured."""

    model: str
    batch: int
    rounds: int
    photos: int
    loader_batches: int
    batches: tuple[int, ...]
    sides: tuple[int, ...]
    classes: tuple[int, ...]


THOROUGH = Effort("lvvit_s", 8, 9, 100, 6, (2, 4, 8, 16), (160, 224, 320), (1000, 5000, 21841))
SMOKE = Effort("lvvit_demo", 4, 1, 10, 1, (2, 4), (48, 96), (10, 20))
PARTS = ("machine", "samples", "loader", "network", "evaluation", "checkpoint", "start", "growth")


def bench(argv: list[str]) -> None:
    """Measure this machine, and how fast samples, training, evaluation and the rest are on it."""
    args = parser().parse_args(argv)
    _check_network(args.model)
    import_paddle_quietly()
    from ppim.bench import tell
    from ppim.memory import keep_freed_memory
    from ppim.report.tables import write_text

    keep_freed_memory()
    effort = SMOKE if args.smoke else THOROUGH
    effort = effort._replace(**{key: value for key, value in (("model", args.model), ("batch", args.batch),
                                                              ("rounds", args.rounds)) if value is not None})
    found, last = [], None
    for row in measured(effort, args.parts, args.photos, args.peer):
        found.append(row)
        part, what, value, share, ratio = tell.cells(row)
        if part != last:
            print(f"{part}:")
        last = part
        print(f"  {what:<58}{value:>18}{share:>8}  {ratio}".rstrip(), flush=True)
    if args.json:
        write_text(args.json, tell.as_json(found, about(effort)))
    if args.markdown:
        write_text(args.markdown, tell.markdown(found))
    if args.plot:
        tell.draw(found, args.plot)


def _check_network(name: str | None) -> None:
    """Raise ValueError where a segmenter's recipe is named instead of a network, before anything is measured."""
    from ppim.config import get_config, published_recipes

    if name in published_recipes():
        config = get_config(published_recipes()[name])
        if config.TASK == "segment":
            raise ValueError(f"--model {name} is a recipe that names pixels (TASK segment), wanted a network's name; "
                             f"--model {config.MODEL.NAME} measures the transformer below it, and `ppim plan -c "
                             f"{name}` works out what all of it takes")


def measured(effort: Effort, parts: list[str], photos: str, peer: str | None):
    """The rows of the parts asked for, as they are had."""
    from ppim.bench import beside, machine, network, samples, waiting

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = samples.prepared(place, photos, effort.photos)
        limits = machine.measure(effort.rounds, [Path(images.full_path(number)).read_bytes()
                                                  for number in range(len(images))])
        ways = {
            "machine": limits.rows,
            "samples": lambda: samples.measure(images, place, effort.rounds, limits),
            "loader": lambda: samples.measure_loader(images, place, range(0, (os.cpu_count() or 1) + 1),
                                                     effort.loader_batches, 32),
            "network": lambda: [*network.measure(effort.model, effort.batch, effort.rounds, limits),
                                *_with_alignment(effort)],
            "evaluation": lambda: network.measure_engines(effort.model, effort.batch, effort.rounds),
            "checkpoint": lambda: waiting.measure_checkpoint(effort.model, effort.batch, effort.rounds),
            "start": lambda: [*waiting.measure_start(effort.rounds), *waiting.measure_first_step(place / "demo")],
            "growth": lambda: network.measure_growth(effort.model, effort.batches, effort.sides, effort.classes,
                                                     effort.rounds),
        }
        for part in PARTS:
            if part in parts:
                yield from ways[part]()
        if peer:
            yield from beside.measure_samples(peer, images, place, effort.rounds)
            yield from beside.measure_network(peer, effort.batch, effort.rounds,
                                              int(os.environ.get("OMP_NUM_THREADS") or 1))


def _with_alignment(effort: Effort):
    from ppim.bench.network import measure_alignment

    return measure_alignment("deit_small" if effort.model == THOROUGH.model else "deit_cifar10", effort.batch,
                             effort.rounds)


def about(effort: Effort) -> dict[str, object]:
    """What the figures are of."""
    import platform

    import numpy as np
    import paddle

    import ppim
    from ppim.mkl import describe_processor

    named = [line.partition(":")[2].strip() for line in describe_processor().splitlines()
             if line.startswith("model name")]
    return {"processor": named[0] if named else platform.machine(), "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"), "mkl": os.environ.get("MKL_DEBUG_CPU_TYPE"),
            "load": os.getloadavg()[0], "ppim": ppim.__version__, "paddle": paddle.__version__,
            "numpy": np.__version__, "python": platform.python_version(), "effort": effort._asdict()}


def parser() -> Parser:
    """The options of `ppim bench`."""
    made = Parser(prog="ppim bench", description="Measures what this machine can do at most (products, memory, "
                  "decoding) and then how fast samples, the loader, training steps, evaluation, checkpoints and the "
                  "start of commands are on it. What is compared takes turns, round by round; medians, with an "
                  "interval of 95 %. Minutes; keep the machine quiet.")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these (all)")
    made.add_argument("--model", metavar="NAME", help=f"of the networks ({THOROUGH.model})")
    made.add_argument("--batch", type=COUNT, metavar="B", help=f"images a step ({THOROUGH.batch})")
    made.add_argument("--rounds", type=COUNT, metavar="N", help=f"how often everything is timed ({THOROUGH.rounds})")
    made.add_argument("--photos", default="", metavar="DIR", help="class folders of photos (drawn ones)")
    made.add_argument("--peer", metavar="PYTHON", help="a Python with torch, torchvision and timm, timed beside ours")
    made.add_argument("--smoke", action="store_true", help="everything once, small: does it run?")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    made.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of what was compared (PNG)")
    return made
