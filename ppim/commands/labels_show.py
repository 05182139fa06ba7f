"""`ppim labels show MAPS --images DIR --output DIR`: how do label maps look on their photos?"""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.labels_check import add_reading, opened
from ppim.commands.numbers import COUNT, FROM_ZERO


def show_labels(argv: list[str]) -> None:
    """Show label maps on their photos, what training makes of them, and what a model says: a page and a sheet."""
    args = parser().parse_args(argv)
    if args.config and args.split != "train":
        raise ValueError("-c shows what training makes of the photos; leave --split out, or -c")
    import_paddle_quietly()
    from ppim.data.classes import read_names
    from ppim.engine import labels_shown
    from ppim.engine.looking import load_subject
    from ppim.look.drawn import save_png
    from ppim.look.labelled import document, sheet
    from ppim.look.words import called
    from ppim.pages import save_page

    maps, images, names = opened(args)
    if args.names:
        names = list(read_names(args.names))
    chosen = labels_shown.chosen_photos(images, args.pick, args.photos)
    taught = args.config and labels_shown.taught_by(args.config, args.images, maps, args.epoch, args.override)
    subject = args.load and load_subject(args.load)[0]
    shown = labels_shown.show_labels(maps, images, chosen, lambda number: called(names, number), taught or None,
                                     subject or None)
    title = "Photos and their label maps"
    about = f"{len(chosen)} of {len(images):,} photos of {images.root}; maps: {maps}"
    args.output.mkdir(parents=True, exist_ok=True)
    save_page(args.output / "index.html", document(shown, title, about))
    save_png(args.output / "sheet.png", sheet(shown, title))
    print(f"page: {args.output / 'index.html'}\nsheet: {args.output / 'sheet.png'}")


def parser() -> Parser:
    """The options of `ppim labels show`."""
    made = Parser(prog="ppim labels show", description="Photos with their label maps in colours; with a recipe, the "
                  "view of a training sample and what its tokens are taught; with weights, what a model's tokens say. "
                  "A page of HTML that needs nothing beside it, and a picture.")
    add_reading(made)
    made.add_argument("--frame", default="whole", choices=("whole", "centre-crop"),
                      help="what maps without a card show of a photo (whole)")
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="where index.html and sheet.png go")
    made.add_argument("--photos", type=COUNT, default=12, metavar="N", help="how many, spread over all (12)")
    made.add_argument("--pick", nargs="+", default=[], metavar="PHOTO", help="instead: these, by their paths there")
    made.add_argument("--names", metavar="FILE", help="names of the classes, one a line (the folders', or the card's)")
    made.add_argument("-c", "--config", metavar="FILE", help="also show training samples as this recipe draws them")
    made.add_argument("--epoch", type=FROM_ZERO, default=0, metavar="N",
                      help="of the samples: which epoch, 0 the first (0)")
    made.add_argument("--load", metavar="WEIGHTS", help="also show what this model says: a run's folder or weights")
    made.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                      help="change keys of the recipe")
    return made
