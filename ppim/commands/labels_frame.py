"""`ppim labels check --frame`: how are maps of unknown origin stored?"""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ppim.commands import Parser, import_paddle_quietly

if TYPE_CHECKING:
    from ppim.checks.frames import Found, Way
    from ppim.token_labels.maps import LabelMap

READABLE = ("rows-first", "columns-first")  # what TOKEN_LABEL.ORIENTATION knows
UNDECIDED = 2  # exit code
ANY = 1 << 15  # classes: whichever ids the maps have; all kinds of numbers in maps can hold it


def find_frame(args: argparse.Namespace, parser: Parser) -> int:
    """Print how maps are stored, with what to set, or that it cannot be told; the exit code.

    Raises:
        ValueError: the card of the maps says otherwise.
    """
    if not args.against and not (args.config and args.load):
        parser.error("--frame wants an annotator to hold maps against (-c FILE --load WEIGHTS), or maps of whole "
                     "photos that can be trusted (--against DIR)")
    from ppim.checks.frames import PCTS, Way, find, ways
    from ppim.data.datasets import find_images
    from ppim.engine.map_check import readable, spread
    from ppim.token_labels.card import Reading, read_card
    from ppim.token_labels.store import open_maps

    tried = ways(args.crop_pcts or PCTS)
    images, card = find_images(args.images, args.split), read_card(args.maps)
    exif = card.exif if card else "ignore"
    stored = open_maps(args.maps, args.classes or ANY, Reading(exif=exif))
    sizes = dict(readable(lambda i: (i, images.photo(i, exif).size), spread(len(images), args.photos)))
    files = [images.paths[index] for index in sizes]
    found = find([stored.read(name, (1, 1)) for name in files], _said(args, images.root, files, exif),
                 list(sizes.values()), tried)
    print(*lines(found, args.maps), sep="\n")
    if args.json:
        _write_json(args.json, found)
    stated = card and Way(card.orientation, card.crop_pct if card.frame == "centre-crop" else None)
    if found.is_decided and stated and stated != found.best:
        raise ValueError(f"the card in {args.maps} says {stated}, but the maps are stored {found.best}; correct "
                         "the card")
    return 0 if found.is_decided else UNDECIDED


def lines(found: Found, folder: str) -> list[str]:
    """What was found, for people; the last line is the verdict."""
    told = [f"{'how well maps so laid fit their photos, beyond chance':<56}{'mean':>8}"]
    told += [f"  {str(way):<54}{mean:>8.3f}" for way, mean in found.fits[:5]]
    told.append(f"the best is better than {found.rival} by {found.margin:.3f} [{found.low:.3f}, {found.high:.3f}] over "
                f"{found.photos} photos, sign test p {found.p:.1g}")
    if found.is_decided:
        return [*told, f"stored as: {found.best}", *_to_set(found.best, folder)]
    for what, known, value in (("orientation", found.orientation, found.best.orientation),
                               ("frame", found.frame, str(found.best).partition(", ")[2])):
        told += [f"{what} by itself: {value}"] if known else []
    return [*told, f"undecided: {found.why}"]


def _to_set(way: Way, folder: str) -> list[str]:
    if way.orientation in READABLE:
        frame = "whole" if way.crop_pct is None else f"centre-crop TOKEN_LABEL.FRAME_CROP_PCT {way.crop_pct:g}"
        return [f"set: -o TOKEN_LABEL.ORIENTATION {way.orientation} TOKEN_LABEL.FRAME {frame}"]
    frame = "whole" if way.crop_pct is None else f"centre-crop --frame-crop-pct {way.crop_pct:g}"
    return [f"convert: ppim labels convert {folder} NEW_DIR --orientation {way.orientation} --frame {frame}"]


def _said(args: argparse.Namespace, root: str, files: list[str], exif: str) -> list[LabelMap]:
    """What an annotator, or other maps, say of photos below `root`, as maps of the whole photo."""
    if args.against:
        return _trusted(args.against, files)
    import_paddle_quietly()
    from ppim.annotate.seen import annotator, said_of

    return said_of(*annotator(args.config, args.load, args.input_size, exif), root, files)


def _trusted(folder: str, files: list[str]) -> list[LabelMap]:
    from ppim.token_labels.card import read_card
    from ppim.token_labels.store import open_maps

    reading = read_card(folder)
    if reading is None or reading.frame != "whole":
        raise ValueError(f"--against {folder}: wanted maps with a card that says frame whole, got "
                         f"{'maps without a card' if reading is None else reading}; take an annotator (-c, --load)")
    maps = open_maps(folder, ANY, reading)
    return [maps.read(name, (1, 1)) for name in files]


def _write_json(path: str, found: Found) -> None:
    from ppim.report.tables import write_text
    from ppim.strict_json import dumps

    write_text(path, dumps({
        **found._asdict(), "decided": found.is_decided, "best": found.best._asdict(), "rival": found.rival._asdict(),
        "fits": [{**way._asdict(), "fit": fit} for way, fit in found.fits]}, indent=1) + "\n")
