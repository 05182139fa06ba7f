"""`ppim check` and `ppim labels check`: mistakes that raise nothing, in all of a run, or in label maps alone."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppim.commands import Parser, import_paddle_quietly
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


def check_labels(argv: list[str]) -> None:
    """Look at the label maps of a folder, and whether they fit the photos they belong to."""
    args = labels_parser().parse_args(argv)
    import_paddle_quietly()
    from ppim.data.datasets import find_images
    from ppim.engine.checked import THOROUGH, of_map_folder
    from ppim.token_labels.card import Reading, read_card
    from ppim.token_labels.store import open_maps

    images = find_images(args.images, args.split)
    crop_pct = args.frame_crop_pct if args.frame == "centre-crop" else 1.0
    reading = read_card(args.maps) or Reading(args.frame, crop_pct, args.orientation)
    maps = open_maps(args.maps, args.classes or len(images.classes), reading)
    looked = len(images) if args.all else THOROUGH.maps
    show(of_map_folder(maps, images, THOROUGH._replace(maps=looked)))


def labels_parser() -> Parser:
    """The options of `ppim labels check`."""
    parser = Parser(prog="ppim labels check", description=check_labels.__doc__)
    parser.add_argument("maps", metavar="DIR", help="folder of the maps")
    parser.add_argument("--images", required=True, metavar="DIR", help="the photos: a data path, or a split's folder")
    parser.add_argument("--split", default="train", choices=("train", "val"), help="split of a data path (train)")
    parser.add_argument("--classes", type=int, metavar="N", help="classes of the annotator (those of the photos)")
    parser.add_argument("--all", action="store_true", help="open every map, not 2,000 spread evenly")
    parser.add_argument("--orientation", default="rows-first", choices=("rows-first", "columns-first"),
                        help="of maps without a card (rows-first)")
    parser.add_argument("--frame", default="whole", choices=("whole", "centre-crop"),
                        help="what maps without a card show of a photo (whole)")
    parser.add_argument("--frame-crop-pct", type=float, default=1.0, metavar="PCT",
                        help="with --frame centre-crop: side of the square per short side (1)")
    return parser


def show(found: Sequence[Finding]) -> None:
    """Findings as a table on a terminal, as lines elsewhere.

    Raises:
        ValueError: one of them is a mistake that is certain.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

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
