"""`ppim train` and `ppim evaluate`: every flag becomes a key of the configuration, with which the run starts."""
from __future__ import annotations

import os

from ppim.commands import Parser, import_paddle_quietly
from ppim.config import published_recipes
from ppim.dialects import KNOWN_FLAGS, translate


def train(argv: list[str]) -> None:
    """Train a model, or evaluate one with --evaluate-only."""
    _start("ppim train", argv)


def evaluate(argv: list[str]) -> None:
    """Evaluate a model: as train, with --evaluate-only."""
    _start("ppim evaluate", ["--evaluate-only", *argv])


def _start(prog: str, argv: list[str]) -> None:
    config, overrides = parse_train(prog, argv)
    import_paddle_quietly()
    from ppim.engine.command import run

    run(config, overrides)


def parse_train(prog: str, argv: list[str]) -> tuple[str | None, list[str]]:
    """The recipe and the changed keys, by turns with their values, that the words after `prog` ask for."""
    parser = train_parser(prog)
    words, notes = translate(argv, published_recipes())
    args = parser.parse_args(words)
    said = dict(zip(args.override[::2], args.override[1::2]))
    evaluates_weights = "EVAL.ONLY" in said and (said.get("MODEL.PRETRAINED") or said.get("MODEL.RESUME"))
    goes_on = not said.get("MODEL.PRETRAINED") and said.get("MODEL.RESUME", "auto") != "auto"
    if not args.config and not evaluates_weights and not goes_on:
        parser.error("give a recipe: -c FILE or --model NAME; only weights that are evaluated, and a run that goes on "
                     "(--resume FOLDER), can do without one")
    if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        for note in [*notes, *_unused_devices()]:
            print(f"note: {note}", flush=True)
    return args.config, args.override


def train_parser(prog: str) -> Parser:
    """What is left once `translate` has made keys of the flags; those besides -c and -o stand here for --help alone."""
    parser = Parser(
        also=KNOWN_FLAGS, prog=prog, description="Train a model, or evaluate one.",
        epilog="The flags of PaddleViT, DeiT, TL-Align, T2T-ViT and TokenLabeling are understood as well.",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe: a yaml file, or the name of a published one")
    parser.add_argument("--model", metavar="NAME", help="recipe: the published one of this model")
    parser.add_argument("--load", metavar="WEIGHTS", help="weights to start from or to evaluate, suffix optional")
    parser.add_argument("--new-heads", action="store_true",
                        help="with --load: start the heads afresh, for other classes")
    parser.add_argument("--classes", metavar="FILE",
                        help="names of the classes, one a line, in the order of the heads' rows; for weights that do "
                             "not know theirs, and for images of some of the classes; or imagenet")
    parser.add_argument("--finetune", metavar="WEIGHTS",
                        help="as --load; the heads start afresh where the classes are others")
    parser.add_argument("--resume", nargs="?", metavar="PATH",
                        help="go on from the newest checkpoint of the run folder, or from PATH, a run or a checkpoint; "
                             "with PATH the recipe may be left out")
    parser.add_argument("--evaluate-only", action="store_true", help="evaluate and stop; touches no training file")
    parser.add_argument("--report", metavar="DIR",
                        help="evaluation: also write a report: every class, confusions, calibration, worst mistakes")
    parser.add_argument("--dump", metavar="FILE.csv", help="evaluation: also write what was answered of every image")
    parser.add_argument("--real", metavar="real.json", help="evaluation: also count by ImageNet's ReaL labels")
    parser.add_argument("--among", choices=("all", "shown"),
                        help="evaluation: shown: only classes that the images have may be answered, as for ImageNet-A "
                             "and ImageNet-R")
    parser.add_argument("--tl-align", action="store_true",
                        help="token-label alignment, with cutmix on the token grid and, unless --mixup is given, no "
                             "mixup; short for keys of MIX and TRAIN")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o TRAIN.NUM_EPOCHS 100 SAVE=output/short")
    return parser


def _unused_devices() -> list[str]:
    """Other programs start a process per visible GPU themselves; here the launcher does, so say what is left idle."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if len(visible) < 2 or "PADDLE_TRAINER_ID" in os.environ:
        return []
    return [f"CUDA_VISIBLE_DEVICES names {len(visible)} GPUs and this process uses one; for all of them start with "
            "python -m paddle.distributed.launch"]
