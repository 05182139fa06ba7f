"""`ppim finetune PHOTOS`: a folder of photos to a trained model, with settings chosen for these photos, in one line."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly

_VAL_SHARE = 0.2
_MODEL = "deit_tiny"  # the smallest with published weights that Paddle reads


def finetune(argv: list[str]) -> None:
    """Adapt published weights to a folder of your own photos."""
    args = finetune_parser().parse_args(argv)
    if args.load and args.from_scratch:
        raise ValueError(f"--load {args.load} and --from-scratch contradict each other; give one of them")
    import_paddle_quietly()
    if args.resume:
        _go_on(args)
    else:
        _start(args)


def finetune_parser() -> Parser:
    """What `ppim finetune` takes."""
    parser = Parser(
        prog="ppim finetune", description=finetune.__doc__ + " Batch size, epochs and the rest are "
        "chosen for the number of photos and this machine, and told with the reason; -o changes any of them.")
    parser.add_argument("photos", help="folder with a folder of photos per class; or with train/ and val/ of such; "
                                       "where there is no val/, a fifth of the photos is set aside by name")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--model", metavar="NAME", help=f"start from the published weights of this model ({_MODEL})")
    start.add_argument("--load", metavar="WEIGHTS", help="start from these weights: a file, or the folder of a run")
    parser.add_argument("--from-scratch", action="store_true",
                        help="start from no weights: wants thousands of photos and far more time")
    parser.add_argument("--epochs", type=int, help="how often each photo is seen")
    parser.add_argument("--freeze", metavar="WHAT", help="what stays as it is: embedding, a number (the embedding and "
                        "so many of the first blocks), or backbone, all but the heads")
    parser.add_argument("--layer-decay", type=float, metavar="D", help="each layer learns D times as fast as the one "
                        "behind it, e.g. 0.75")
    parser.add_argument("--hours", type=float, metavar="H", help="end after H hours of training, however far it is")
    parser.add_argument("--patience", type=int, metavar="N", help="end after N evaluations without a better best")
    parser.add_argument("--val-share", type=float, metavar="SHARE",
                        help="share of the photos set aside where there are no validation photos (0.2)")
    parser.add_argument("--output", metavar="DIR", help="run folder (output/finetune_MODEL)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the run folder")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the configuration")
    return parser


def _go_on(args: argparse.Namespace) -> None:
    from ppim.config import get_config
    from ppim.engine.command import run
    from ppim.engine.finetune import as_pairs, asked_for

    for flag, is_said in (("--val-share", args.val_share is not None), ("--from-scratch", args.from_scratch)):
        if is_said:
            raise ValueError(f"{flag} is settled when a run starts; leave it out with --resume")
    output = Path(args.output or _output(args))
    if not (output / "config.yaml").is_file():
        raise FileNotFoundError(f"{output}: no run to go on with there; give beside --resume the --model, --load or "
                                "--output that it was started with, after which its folder is called")
    theirs = get_config(str(output / "config.yaml"), args.override).DATA.DATA_PATH
    if os.path.realpath(args.photos) != os.path.realpath(theirs) and "DATA.DATA_PATH" not in args.override[::2]:
        raise ValueError(f"{args.photos} is not what the run in {output} trains on; go on with {theirs}, or start "
                         "another run with another --output")
    epochs = ["TRAIN.NUM_EPOCHS", str(args.epochs)] if args.epochs is not None else []
    run(str(output / "config.yaml"), ["MODEL.RESUME", "auto", "SAVE", str(output), *epochs,
                                      *as_pairs(asked_for(**_flags(args))), *args.override])


def _start(args: argparse.Namespace) -> None:
    import paddle

    from ppim.data.datasets import find_images
    from ppim.data.split import has_validation, set_aside
    from ppim.engine.command import run
    from ppim.engine.finetune import as_overrides, asked_for, settings_for
    from ppim.threads import usable_cores

    images = find_images(args.photos, "train")
    own_val = has_validation(args.photos)
    share = _VAL_SHARE if args.val_share is None else args.val_share
    train = images if own_val else set_aside(images, share)[0]
    recipe, changes, weights = _beginning(args)
    output = args.output or _output(args)
    processes = int(os.environ.get("PADDLE_TRAINERS_NUM") or 1)
    device = "gpu" if paddle.get_device().startswith("gpu") else "cpu"
    cores = max(1, usable_cores() // int(os.environ.get("PADDLE_LOCAL_SIZE") or 1))
    settings = settings_for(len(train), cores, device, processes=processes, from_weights=bool(weights),
                            epochs=args.epochs, of_classes=_counts(train, args.override),
                            heads_only=_leaves_the_rest(recipe, args)) + asked_for(**_flags(args))
    if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        print(f"settings for {len(train):,} training photos of {len(images.classes)} classes, {cores} cores"
              f"{' and a GPU' if device == 'gpu' else ''} a process")
        for setting in settings:
            print(f"  {setting.key:<22}{str(setting.value):<22}{setting.why}")
        print(f"  besides               photos are shown whole and unmixed, no running average; all is in "
              f"{output}/config.yaml, and -o changes any of it", flush=True)
    advised = [*changes, *as_overrides(settings), "DATA.DATA_PATH", args.photos, "DATA.VAL_SHARE",
               "0.0" if own_val else str(share), "MODEL.NUM_CLASSES", str(len(images.classes)),
               "SAVE", output]
    start = ["MODEL.PRETRAINED", weights, "MODEL.NEW_HEADS", "always"] if weights else []
    run(recipe, [*args.override, *start], advised=advised)


def _flags(args: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(args, name) for name in ("freeze", "layer_decay", "hours", "patience")}


def _leaves_the_rest(recipe: str, args: argparse.Namespace) -> bool:
    """Does the recipe train the heads alone, and nobody says otherwise?"""
    from ppim.config import get_config

    said = args.freeze or dict(zip(args.override[::2], args.override[1::2])).get("TRAIN.FREEZE") or "backbone"
    return get_config(recipe).TRAIN.FREEZE == said == "backbone"


def _counts(images, overrides: list[str]) -> list[int]:
    """Photos of each class; none where the overrides say what is done about uneven ones."""
    is_said = {"LOSS.CLASS_BALANCE", "DATA.SAMPLING"} & set(overrides[::2])
    return [] if is_said else images.counts().tolist()


def _output(args: argparse.Namespace) -> str:
    name = args.model or (Path(args.load).stem if args.load else _MODEL)
    return str(Path("output") / f"finetune_{name}")


def _beginning(args: argparse.Namespace) -> tuple[str, list[str], str | None]:
    """The recipe, keys that belong to it, and the weights to start from.

    Raises:
        OSError, ValueError: there are no weights to be had; says how to go on.
    """
    if args.load:
        from ppim.engine.loaded import refuse_pixels
        from ppim.engine.run_folder import recipe_of, weights_file

        refuse_pixels(args.load)
        recipe, changes, _ = recipe_of(args.load)
        return recipe, changes, weights_file(args.load, args.load, "auto")[0]
    from ppim.config import recipe_path
    from ppim.names import normalise_name
    from ppim.zoo.download import DownloadError
    from ppim.zoo.hub import published_weights

    model = normalise_name(args.model or _MODEL)
    recipe = str(recipe_path(model))
    if args.from_scratch:
        return recipe, [], None
    try:
        return recipe, [], str(published_weights(model))
    except DownloadError as error:
        raise DownloadError(f"{error} with --load; or start from no weights at all with --from-scratch") from error
