"""`ppim predict PATH... --load WEIGHTS`: what does a trained model say photos show?"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.numbers import COUNT

_MASKS = "output/masks"


def predict(argv: list[str]) -> None:
    """Say what photos show, by a trained model: the most probable classes of each, or a segmenter's masks.

    Raises:
        ValueError: photos could not be read; the others have been told.
    """
    args = parser().parse_args(argv)
    from ppim.data.paths import meant

    photos = meant(args.paths)
    import_paddle_quietly()
    from ppim.weights.recognise import pixel_classes

    if args.masks or pixel_classes(args.load):
        _draw_masks(photos, args)
        return
    from ppim.trained.predict import predictions
    from ppim.trained.ready import of_weights

    ready = of_weights(args.load, args.model, args.classes, args.override)
    print(*ready.notes, sep="\n", file=sys.stderr)
    found = []
    with _progress(len(photos)) as advance:
        for one in predictions(ready, photos, args.topk):
            found.append(one)
            _tell(one, args.json)
            advance()
    _write(found, ready.config.DATA.EXIF, args)
    bad = sum(bool(one.error) for one in found)
    if bad:
        raise ValueError(f"{bad:,} of {len(found):,} photos could not be read, they are named above")


def _draw_masks(photos: Sequence, args) -> None:
    """What a segmenter says of photos, as PNGs, and in shares of their pixels; a line of JSON for each if asked for."""
    from ppim.files import printable
    from ppim.strict_json import dumps
    from ppim.trained.masks import reader_of, write_masks

    others = [option for option, value in (("--csv", args.csv), ("--page", args.page)) if value]
    if others:
        raise ValueError(f"masks go without {', '.join(others)}, which tell of classes of whole photos; leave them out")
    reader, unread = reader_of(args.load, args.model, args.override, args.classes), 0
    print(*reader.notes, sep="\n", file=sys.stderr)
    for one in write_masks(reader, photos, args.masks or _MASKS, args.pictures):
        unread += bool(one.error)
        if one.error:
            print(f"error: {printable(one.error)}", file=sys.stderr, flush=True)
        if args.json:
            told = {"error": one.error} if one.error else {"mask": one.mask, "classes": one.told(reader)}
            print(dumps({"path": one.path, **told}), flush=True)
        elif not one.error:
            shares = (f"  {100 * seen['share']:6.2f} %  {seen['name']}" for seen in one.told(reader, args.topk))
            print(f"{printable(one.path)} -> {printable(one.mask)}", *shares, sep="\n", flush=True)
    if unread:
        raise ValueError(f"{unread:,} of {len(photos):,} photos could not be read, they are named above")


def _tell(one, as_json_lines: bool) -> None:
    """What can be told at once: a line of JSON, and what is wrong."""
    from ppim.files import printable
    from ppim.trained.show import as_json

    if one.error:
        print(f"error: {printable(one.error)}", file=sys.stderr, flush=True)
    if as_json_lines:
        print(as_json(one), flush=True)


def _write(found: Sequence, exif: str, args) -> None:
    """Everything else that was asked for."""
    from ppim import pages
    from ppim.commands.console import Console
    from ppim.trained import show

    if not args.json:
        # a pipe has no width; rich would take it for 80 characters wide
        show.print_table(found, Console() if sys.stdout.isatty() else Console(width=10_000))
    if args.csv:
        show.write_csv(found, args.csv)
    if args.pictures:
        show.save_pictures(found, args.pictures, exif).tell()
    if args.page:
        pages.save_page(args.page, show.page_of(found, exif, f"Predictions of {args.load}"))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each photo: a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from ppim.commands.console import Console

    with Progress("photos", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True),
                  transient=True) as bar:
        task = bar.add_task("photos", total=total)
        yield lambda: bar.advance(task)


def parser() -> Parser:
    """The options of `ppim predict`."""
    parser = Parser(
        prog="ppim predict",
        description="Say what photos show: the most probable classes of each, by a model that sees them exactly as in "
                    "evaluation. Photos that cannot be read are named, and the rest is told; the exit code is 1 then.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH",
                        help="a photo, a folder of photos (with those inside it), a pattern such as 'photos/*.jpg', or "
                             "- for paths on stdin, one a line")
    parser.add_argument("--load", required=True, metavar="WEIGHTS",
                        help="weights of any project, suffix optional; a run folder or a checkpoint")
    parser.add_argument("--model", metavar="NAME",
                        help="the model or recipe, where weights do not lie in a run folder and are not recognised")
    parser.add_argument("--classes", metavar="FILE",
                        help="names of all classes, one a line, in the order of the head's rows, UTF-8; or imagenet")
    parser.add_argument("--topk", type=COUNT, default=5, metavar="K",
                        help="classes told of each photo (5); a segmenter's are the largest")
    parser.add_argument("--json", action="store_true",
                        help="a line of JSON a photo, {path, predictions} or {path, error}, instead of the table; of a "
                             "segmenter {path, mask, classes}")
    parser.add_argument("--csv", metavar="FILE", help="also write a table, one row a photo")
    parser.add_argument("--pictures", metavar="DIR", help="also write each photo with its classes below it; of a "
                        "segmenter: half covered by their colours")
    parser.add_argument("--masks", metavar="DIR",
                        help="of a segmenter: where what it says lies where goes, a coloured PNG of palette indices a "
                             f"photo ({_MASKS})")
    parser.add_argument("--page", metavar="FILE.html", help="also write one page with all photos and their classes")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o DATA.EXIF apply")
    return parser
