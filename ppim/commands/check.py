"""`ppim check`: what a run of this configuration would do wrong without a word, found before and within its first step.
"""
from __future__ import annotations

from ppim.commands import import_paddle_quietly
from ppim.commands.train import parse_train


def check(argv: list[str]) -> None:
    """Look for mistakes that raise nothing, in data, maps, weights and the first step; trains nothing, leaves no file.
    """
    config, overrides = parse_train("ppim check", argv)
    import_paddle_quietly()
    from ppim.engine.command import check as look

    show(look(config, overrides))


def show(found) -> None:
    """Findings as a table on a terminal, as lines elsewhere.

    Raises:
        ValueError: one of them is a mistake that is certain.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"fine": "green", "unknown": "cyan", "warning": "yellow", "error": "red"}
    words = {"fine": "fine", "unknown": "cannot tell", "warning": "warning", "error": "error"}
    table = Table("check", "result", "what was seen", highlight=False)
    for finding in found:
        table.add_row(finding.check, Text(words[finding.level], colours[finding.level]),
                      Text(finding.text, overflow="fold"))
    console = Console()
    if console.is_terminal:
        console.print(table)
    else:
        print(*(f"{words[finding.level]:<13}{finding.check:<30}{finding.text}" for finding in found), sep="\n")
    certain = [finding for finding in found if finding.level == "error"]
    if certain:
        raise ValueError(f"{len(certain)} of {len(found)} checks have found a mistake, the first: {certain[0].check}")
