"""`ppim check`: mistakes that raise nothing, in all of a run; and how findings are shown."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppim.commands import import_paddle_quietly
from ppim.commands.train import parse_train

if TYPE_CHECKING:
    from ppim.checks.finding import Finding

_WORDS = {"fine": "fine", "unknown": "cannot tell", "warning": "warning", "error": "error"}
_COLOURS = {"fine": "green", "unknown": "cyan", "warning": "yellow", "error": "red"}


def check(argv: list[str]) -> None:
    """Look for mistakes that raise nothing, in data, maps, weights and a first step; leaves no file."""
    config, overrides = parse_train("ppim check", argv)
    import_paddle_quietly()
    from ppim.engine.command import check as look

    show(look(config, overrides))


def show(found: Sequence[Finding]) -> None:
    """Findings as a table on a terminal, as lines elsewhere.

    Raises:
        ValueError: one of them is a mistake that is certain.
    """
    from rich.table import Table
    from rich.text import Text

    from ppim.commands.console import Console

    console = Console()
    if console.is_terminal:
        table = Table("check", "result", "what was seen")
        for finding in found:
            table.add_row(finding.check, Text(_WORDS[finding.level], _COLOURS[finding.level]),
                          Text(finding.text, overflow="fold"))
        console.print(table)
    else:
        print(*(f"{_WORDS[finding.level]:<13}{finding.check:<32}{finding.text}" for finding in found), sep="\n")
    certain = [finding for finding in found if finding.level == "error"]
    if certain:
        raise ValueError(f"{len(certain)} of {len(found)} checks have found a mistake, the first: {certain[0].check}")
