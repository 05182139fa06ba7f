"""`ppim probe --load WEIGHTS --masks DIR`: what a linear layer can tell from frozen tokens."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.strict_json import dumps


def probe(argv: list[str]) -> None:
    """Train a linear layer on a model's frozen tokens to tell what lies where, and report its mIoU."""
    parser = Parser(prog="ppim probe", description=probe.__doc__)
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe; known for weights of a run folder")
    parser.add_argument("--load", required=True, metavar="WEIGHTS", help="weights to probe")
    parser.add_argument("--masks", required=True, type=Path, metavar="DIR",
                        help="folder with train/ and val/, which hold a PNG of palette indices for every picture: 0 "
                             "ground, 1 + class, 255 unknown")
    parser.add_argument("--layers", type=int, nargs="+", default=[-1], metavar="N",
                        help="blocks whose tokens are read, side by side: 0 the first, -1 the last (-1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to a file")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o DATA.DATA_PATH data/collage/data")
    args = parser.parse_args(argv)
    import_paddle_quietly()
    from ppim.engine.command import probe_weights
    from ppim.report.tables import write_text

    found = probe_weights(args.config, args.load, args.masks, args.layers, args.override)
    for name, value in found.iou.items():
        print(f"{name:<24}{'-' if value is None else f'{value:6.2f}'}")
    print(found)
    told = dumps(found._asdict())
    print(told)
    if args.json:
        write_text(args.json, told + "\n")
