"""`ppim export --load WEIGHTS --output DIR`: a bundle that predicts without ppim."""
from __future__ import annotations

import os
import shlex
from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.export.engines import FORMATS, check_installed


def export(argv: list[str]) -> None:
    """Write a trained model as a bundle that predicts without ppim, preprocessing and class names included."""
    args = export_parser().parse_args(argv)
    os.environ.setdefault("GLOG_minloglevel", "2")  # Paddle 3 warns of what it meets in its own code while it traces
    import_paddle_quietly()
    import paddle

    from ppim.export import bundle, segmenter, source
    from ppim.weights.recognise import pixel_classes

    bundle.check_free(args.output)
    check_installed(args.formats)
    paddle.set_device("cpu")  # where the engines are asked as well
    names_pixels = bool(pixel_classes(args.load))
    if names_pixels and args.tokens:
        raise ValueError(f"--tokens asks for the logits of tokens, {args.load} names pixels; leave it out")
    found = (segmenter if names_pixels else source).load(args.load, args.config or args.model, args.classes,
                                                         args.override)
    print(*found.told, sep="\n", flush=True)
    checks = bundle.export(found, args.output, args.formats, args.photos, tokens=args.tokens)
    print(*checks, sep="\n")
    for name in args.formats:
        if FORMATS[name].note:
            print(f"{name:<9} {FORMATS[name].note}")
    print(f"wrote {args.output}; try: python {shlex.quote(str(args.output / 'infer.py'))} photo.jpg")


def export_parser() -> Parser:
    """The options of `ppim export`."""
    parser = Parser(
        prog="ppim export",
        description="Write a trained model as a folder that predicts without ppim: the network, what is done to a "
                    "photo before, the names of the classes, and a program. It is checked against the model on photos "
                    "before it appears.",
    )
    parser.add_argument("--load", required=True, metavar="WEIGHTS", help="weights, or the folder of a run")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the bundle, a folder to be made")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["paddle"], metavar="FORMAT",
                        help=f"of {', '.join(FORMATS)}: for which engines (paddle)")
    parser.add_argument("--photos", nargs="+", default=[], metavar="PATH",
                        help="check on these files and folders (default: on drawn pictures)")
    parser.add_argument("--tokens", action="store_true", help="give the logits of every token as a second output")
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe of the model: a yaml file, or a published name")
    parser.add_argument("--model", metavar="NAME",
                        help="the published model; without it and -c the run, its card or the shapes tell")
    parser.add_argument("--classes", metavar="FILE", help="names of the classes in the order of the logits, one a "
                        "line; for weights that do not know them")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o MODEL.EVAL_TOKENS never")
    return parser
