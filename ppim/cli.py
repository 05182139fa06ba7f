"""`ppim COMMAND ...`: which command is meant?"""
from __future__ import annotations

import sys
from collections.abc import Sequence

from ppim.commands import guarded
from ppim.commands.check import check, check_labels
from ppim.commands.collage import collage
from ppim.commands.convert import convert
from ppim.commands.data_check import check_data
from ppim.commands.demo import demo
from ppim.commands.finetune import finetune
from ppim.commands.imagenet import lay_out
from ppim.commands.labels import make
from ppim.commands.models import models
from ppim.commands.probe import probe
from ppim.commands.train import evaluate, train

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "finetune": finetune,
    "probe": probe,
    "check": check,
    "labels make": make,
    "labels check": check_labels,
    "convert": convert,
    "models": models,
    "demo": demo,
    "data check": check_data,
    "data imagenet": lay_out,
    "data collage": collage,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command that the first one or two words name; without one, a list of them."""
    words = list(sys.argv[1:] if argv is None else argv)
    for count in (1, 2):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return guarded(COMMANDS[name], words[count:])
    print("usage: ppim COMMAND ...\n")
    for name, command in COMMANDS.items():
        print(f"  {name:<15}{command.__doc__.splitlines()[0]}")
    print("\n`ppim COMMAND --help` tells more.")
    return 0 if not words or {"-h", "--help"} & set(words) else 2
