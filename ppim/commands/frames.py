"""How is it said on the command line which part of a photo label maps show?"""
from __future__ import annotations

import argparse

from ppim.commands import Parser
from ppim.commands.numbers import SHARE


def add_crop_pct(parser: Parser) -> None:
    """The flag that goes with `--frame centre-crop`."""
    parser.add_argument("--frame-crop-pct", type=SHARE, metavar="PCT",
                        help="with --frame centre-crop: side of the square per short side (1)")


def crop_pct_of(args: argparse.Namespace) -> float:
    """What it says, 1 where it is left out.

    Raises:
        ValueError: it is given for maps of no centre crop.
    """
    if args.frame_crop_pct is not None and args.frame != "centre-crop":
        raise ValueError(f"--frame-crop-pct {args.frame_crop_pct:g} is the side of a centre crop, and --frame is "
                         f"{args.frame or 'not given'}; add --frame centre-crop, or leave it out")
    return 1.0 if args.frame_crop_pct is None else args.frame_crop_pct
