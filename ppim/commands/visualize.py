"""`ppim visualize PHOTO... --load WEIGHTS`: what goes on inside a trained model while it looks at photos."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.numbers import FROM_ZERO


def visualize(argv: list[str]) -> None:
    """Show what a model looks at in photos and what its tokens say; or what its training samples are taught."""
    args = _checked(parser(), argv)
    import_paddle_quietly()
    from ppim.engine.looking import load_subject, look_at_samples, look_into
    from ppim.weights.run_folders import config_of

    if args.sample:
        path = args.config or config_of(args.load)
        if path is None:
            raise ValueError(f"{args.load} is in no run's folder with config.yaml and log.jsonl, which says how its "
                             "samples were drawn; give the recipe with -c FILE")
        look_at_samples(str(path), args.sample, args.epoch or 0, args.output, args.override)
        return
    photos = _photos(args.photos)
    subject, notes = load_subject(args.load, args.config, args.override)
    print(*notes, sep="\n", flush=True)
    look_into(subject, photos, args.output, layers=args.layers or [-1], heads=args.heads, asked=args.asked,
              token=tuple(args.token) if args.token else None)


def parser() -> Parser:
    """The options of `ppim visualize`."""
    made = Parser(prog="ppim visualize", description="Pictures of what a model looks at in photos, what made it say a "
                  "class, and what each of its tokens says it sees; and a page of HTML to turn them over by hand.")
    made.add_argument("photos", nargs="*", metavar="PHOTO", help="image files, folders of them, patterns, or - and a "
                      "path a line on stdin")
    made.add_argument("--load", metavar="WEIGHTS", help="weights of LV-ViT, T2T-ViT, DeiT or ViT, or the folder of a "
                      "run")
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the pictures go")
    made.add_argument("-c", "--config", metavar="FILE", help="recipe; known for weights of a run folder and for "
                      "published ones")
    made.add_argument("--layers", type=int, nargs="+", metavar="N",
                      help="blocks whose attention is drawn: 0 the first, -1 the last (-1)")
    made.add_argument("--heads", type=int, nargs="+", metavar="N", help="their heads (all)")
    made.add_argument("--token", type=FROM_ZERO, nargs=2, metavar=("ROW", "COLUMN"),
                      help="the token that looks, 0 0 the upper left one (the class token)")
    made.add_argument("--class", dest="asked", metavar="NAME", help="the class whose relevance is drawn, by name or "
                      "number (the one the model says)")
    made.add_argument("--sample", type=FROM_ZERO, nargs="+", metavar="N",
                      help="instead of photos: training samples of the recipe or run, by their number, with what their "
                           "tokens are taught")
    made.add_argument("--epoch", type=FROM_ZERO, metavar="N",
                      help="of --sample: in which epoch, 0 the first (0)")
    made.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                      help="change keys of the recipe")
    return made


def _photos(typed: list[str]) -> list[str]:
    """The photos meant by files, folders and patterns, as of `ppim predict`.

    Raises:
        ValueError: one of them means none.
    """
    from ppim.data.paths import meant

    found = meant(typed)
    wrong = next((photo.error for photo in found if photo.error), None)
    if wrong:
        raise ValueError(wrong)
    return [photo.path for photo in found]


def _checked(made: Parser, argv: list[str]):
    args = made.parse_args(argv)
    if args.sample and args.photos:
        made.error("--sample shows training samples; leave the photos out")
    unused = ("layers", "heads", "token", "asked") if args.sample else ("epoch",)
    said = next((name for name in unused if getattr(args, name) is not None), None)
    if said:
        made.error(f"--{'class' if said == 'asked' else said} says "
                   + ("how photos are looked into, which --sample does not do; leave it out" if args.sample
                      else "in which epoch --sample is drawn; leave it out, or give --sample"))
    if args.sample and not (args.load or args.config):
        made.error("--sample wants a run's folder (--load) or a recipe (-c)")
    if not args.sample and not (args.photos and args.load):
        made.error("wanted photos and --load WEIGHTS, or --sample N")
    return args
