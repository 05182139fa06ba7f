"""The commands: what is typed, handed to what does the work. A user's mistake ends in one line and exit code 1."""
from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from ppim.config import published_recipes
from ppim.dialects import translate
from ppim.memory import keep_freed_memory
from ppim.zoo.command import models


def train(argv: Sequence[str] | None = None) -> None:
    """`tools/train.py`: train, or evaluate with --evaluate-only."""
    words, notes = translate(sys.argv[1:] if argv is None else argv, published_recipes())
    parser = train_parser()
    args = parser.parse_args(words)
    weights = args.load or args.finetune or args.resume
    if not args.config and not (args.evaluate_only and weights):
        parser.error("give a recipe: -c FILE or --model NAME; only weights that are evaluated can do without one")
    if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        for note in [*notes, *_unused_devices()]:
            print(f"note: {note}", flush=True)

    from ppim.engine.command import run

    run(args.config, args.override, load=args.load, finetune=args.finetune, resume=args.resume,
        evaluate_only=args.evaluate_only, new_heads=args.new_heads)


def train_parser() -> argparse.ArgumentParser:
    """What is left once the dialects are translated: --model and --tl-align stand here for --help alone."""
    parser = argparse.ArgumentParser(
        prog="train.py", description="Train a model, or evaluate one.",
        epilog="The flags of PaddleViT, DeiT, TL-Align, T2T-ViT and TokenLabeling are understood as well, see "
               "docs/coming_from.md.",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe: a yaml file, or the name of a published one")
    parser.add_argument("--model", metavar="NAME", help="recipe: the published one of this model")
    parser.add_argument("--load", metavar="WEIGHTS", help="weights to start from or to evaluate, suffix optional")
    parser.add_argument("--new-heads", action="store_true",
                        help="with --load: start the heads afresh, for other classes")
    parser.add_argument("--finetune", metavar="WEIGHTS",
                        help="as --load; the heads start afresh if their number of classes is another")
    parser.add_argument("--resume", nargs="?", const="auto", metavar="PATH",
                        help="go on from the newest checkpoint of the run folder, or from PATH")
    parser.add_argument("--evaluate-only", action="store_true", help="evaluate and stop; touches no training file")
    parser.add_argument("--tl-align", action="store_true",
                        help="token-label alignment, with cutmix on the token grid and, unless --mixup is given, no "
                             "mixup; short for keys of MIX and TRAIN")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o TRAIN.NUM_EPOCHS 100 SAVE output/short")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _unused_devices() -> list[str]:
    """Other programs start a process per visible GPU themselves; here the launcher does, so say what is left idle."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if len(visible) < 2 or "PADDLE_TRAINER_ID" in os.environ:
        return []
    return [f"CUDA_VISIBLE_DEVICES names {len(visible)} GPUs and this process uses one; for all of them start with "
            "python -m paddle.distributed.launch"]


def guarded(command: Callable[[], object]) -> int:
    """Run `command`; its exit code. Mistakes of the user's are one line, bugs keep their traceback."""
    keep_freed_memory()
    _import_paddle_quietly()
    try:
        command()
    except (ValueError, OSError, FloatingPointError) as error:
        if "--debug" in sys.argv:
            raise
        rank = os.environ.get("PADDLE_TRAINER_ID")
        place = f"[process {rank}] " if int(os.environ.get("PADDLE_TRAINERS_NUM") or 1) > 1 else ""
        print(f"{place}error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(stop or "stopped", file=sys.stderr)
        return 130
    return 0


def _import_paddle_quietly() -> None:
    """Paddle warns about any thread count but 1, and about a missing ccache; neither is news to its user.

    Paddle 2.6 also logs the end of a job, after the result, which is to be the last line.
    """
    import warnings

    os.environ.setdefault("GLOG_minloglevel", "1")

    notices = io.StringIO()
    with contextlib.redirect_stderr(notices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddle  # noqa: F401
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")
    for line in notices.getvalue().splitlines():
        if "OMP_NUM_THREADS" not in line:
            print(line, file=sys.stderr)


def main() -> int:
    """`ppim COMMAND ...`"""
    commands = {"train": train, "models": models}
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in commands:
        print(f"usage: ppim COMMAND ...\ncommands: {', '.join(commands)}\n`ppim COMMAND --help` tells more")
        return 0 if name in ("-h", "--help") else 2
    return guarded(lambda: commands[name](sys.argv[2:]))
