"""`ppim COMMAND ...`: which command is meant?"""
from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata

import ppim
from ppim.commands import guarded
from ppim.commands.bench import bench
from ppim.commands.check import check
from ppim.commands.cifar import unpack_cifar
from ppim.commands.collage import collage
from ppim.commands.convert import convert
from ppim.commands.data_check import check_data
from ppim.commands.data_index import index_data
from ppim.commands.data_shards import make_shards
from ppim.commands.demo import demo
from ppim.commands.doctor import doctor
from ppim.commands.export import export
from ppim.commands.finetune import finetune
from ppim.commands.imagenet import lay_out
from ppim.commands.knn import knn
from ppim.commands.labels import make
from ppim.commands.labels_audit import audit_labels
from ppim.commands.labels_check import check_labels
from ppim.commands.labels_convert import convert_labels
from ppim.commands.labels_pack import pack_labels
from ppim.commands.labels_show import show_labels
from ppim.commands.models import models
from ppim.commands.plan import plan
from ppim.commands.predict import predict
from ppim.commands.probe import probe
from ppim.commands.train import evaluate, train
from ppim.commands.visualize import visualize
from ppim.config.nearest import did_you_mean

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "finetune": finetune,
    "probe": probe,
    "visualize": visualize,
    "knn": knn,
    "check": check,
    "labels make": make,
    "labels check": check_labels,
    "labels audit": audit_labels,
    "labels show": show_labels,
    "labels pack": pack_labels,
    "labels convert": convert_labels,
    "convert": convert,
    "export": export,
    "models": models,
    "plan": plan,
    "demo": demo,
    "doctor": doctor,
    "bench": bench,
    "data check": check_data,
    "data index": index_data,
    "data shards": make_shards,
    "data imagenet": lay_out,
    "data cifar": unpack_cifar,
    "data collage": collage,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command that the first one or two words name; without one, a list of them."""
    words = list(sys.argv[1:] if argv is None else argv)
    for count in (1, 2):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return guarded(COMMANDS[name], words[count:])
    return guarded(_overview, words)


def _overview(words: list[str]) -> int:
    """Which version this is, or which commands there are; the exit code."""
    if words and words[0] in ("--version", "-V"):
        print(f"ppim {ppim.__version__}, {_paddle()}, Python {platform.python_version()}")
        return 0
    if words and not words[0].startswith("-"):
        print(f"no command is called {words[0]}{did_you_mean(words[0], COMMANDS)}\n", file=sys.stderr)
    print("usage: ppim COMMAND ...\n")
    for name, command in COMMANDS.items():
        print(f"  {name:<16}{command.__doc__.splitlines()[0]}")
    print("\n`ppim COMMAND --help` tells more.")
    return 0 if not words or {"-h", "--help"} & set(words) else 2


def _paddle() -> str:
    """Which build of Paddle is installed, without importing it."""
    for name in ("paddlepaddle-gpu", "paddlepaddle"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "no PaddlePaddle"
