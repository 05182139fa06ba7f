"""`ppim labels check`: are label maps whole and sound, do they fit their photos, and how are they stored?"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppim.commands import Parser
from ppim.commands.check import show
from ppim.commands.frames import add_crop_pct, crop_pct_of
from ppim.commands.numbers import COUNT, SHARE

if TYPE_CHECKING:
    from ppim.data.images import ImageList
    from ppim.engine.map_check import Looked
    from ppim.token_labels.disagreement import Ranked
    from ppim.token_labels.store import Maps

FIND = "find"  # also what --frame means without a word
_SHOWN = 40  # classes in the table; of more, those that agree least


def check_labels(argv: list[str]) -> int:
    """Look at the label maps of a folder, and whether they fit the photos they belong to."""
    parser = labels_parser()
    args = parser.parse_args(argv)
    if args.frame == FIND:
        from ppim.commands.labels_frame import find_frame

        return find_frame(args, parser)
    maps, images, names = opened(args)
    from ppim.engine.map_check import LOOKED, look_over

    seen = look_over(maps, images, len(images) if args.all else LOOKED)
    agreeing = agreement(seen, images)
    for line in [*_table(agreeing), *(f"broken: {text}" for text in seen.survey.broken[:_SHOWN])]:
        print(line)
    if args.json:
        _write_json(args.json, told(maps, images, seen, agreeing))
    if args.page or args.ranks:
        _disagreement(args, maps, images, seen, names)
    show(seen.findings)
    return 0


def labels_parser() -> Parser:
    """The options of `ppim labels check`."""
    parser = Parser(prog="ppim labels check", description=check_labels.__doc__ + " Exit code 1 where there is a fault "
                    "that is certain. With --frame alone: find out how maps of unknown origin are stored, by what an "
                    "annotator (-c, --load) or other maps (--against) say of the same photos; exit code 2 where that "
                    "stays undecided.", formatter_class=argparse.RawTextHelpFormatter)
    add_reading(parser)
    parser.add_argument("--all", action="store_true", help="open every map, not 2,000 spread evenly")
    parser.add_argument("--json", metavar="FILE", help="also write all of it as JSON")
    parser.add_argument("--page", metavar="FILE", help="write a page of the photos whose maps disagree most with their "
                        "folder,\nand a table of all ranks beside it")
    parser.add_argument("--most", type=COUNT, default=12, metavar="N", help="photos on that page (12)")
    parser.add_argument("--ranks", metavar="FILE", help="where the table of all ranks goes (beside the page, .csv)")
    parser.add_argument("--frame", nargs="?", default="whole", const=FIND, choices=("whole", "centre-crop", FIND),
                        help="what maps without a card show of a photo (whole); without a word: find out")
    found = parser.add_argument_group("to find the frame")
    found.add_argument("-c", "--config", metavar="FILE", help="yaml file of an annotator of any classes")
    found.add_argument("--load", metavar="WEIGHTS", help="its weights")
    found.add_argument("--input-size", type=COUNT, metavar="PX", help="side of what it sees (DATA.IMAGE_SIZE)")
    found.add_argument("--against", metavar="DIR", help="instead of an annotator: maps of whole photos that can be "
                       "trusted")
    found.add_argument("--crop-pcts", type=SHARE, nargs="+", metavar="PCT", help="centre crops to try (1 0.875)")
    found.add_argument("--photos", type=COUNT, default=250, metavar="N", help="photos that are looked at (250)")
    return parser


def add_reading(parser: Parser) -> None:
    """Which maps and photos are meant, and how maps without a card are read; but for --frame, which `opened` asks too.
    """
    parser.add_argument("maps", metavar="DIR", help="folder of the maps")
    parser.add_argument("--images", required=True, metavar="DIR", help="the photos: a data path, or a split's folder")
    parser.add_argument("--split", default="train", choices=("train", "val"), help="split of a data path (train)")
    parser.add_argument("--classes", type=COUNT, metavar="N",
                        help="classes of the annotator (the card's, else those of the photos)")
    parser.add_argument("--orientation", default="rows-first", choices=("rows-first", "columns-first"),
                        help="of maps without a card (rows-first)")
    add_crop_pct(parser)


class Agreement(NamedTuple):
    """Of a class (or all): photos looked at, and of how many the map's best class is that of the folder."""

    name: str
    photos: int
    agree: int


def opened(args: argparse.Namespace) -> tuple[Maps, ImageList, list[str]]:
    """The maps that the options name, their photos labelled with the maps' ids, and what those ids are called."""
    from ppim.data.classes import match
    from ppim.data.datasets import find_images
    from ppim.token_labels.card import Reading, load_card, read_card
    from ppim.token_labels.store import open_maps

    images = find_images(args.images, args.split)
    card = load_card(args.maps) or {}
    if card.get("classes") and images.names:
        images = match(images, card["classes"], f"the card in {args.maps}")
    stated = Reading("whole" if args.frame == FIND else args.frame, crop_pct_of(args), args.orientation)
    count = args.classes or card.get("num_classes") or len(images.classes)
    return open_maps(args.maps, count, read_card(args.maps) or stated), images, list(images.names)


def agreement(seen: Looked, images: ImageList) -> list[Agreement]:
    """How often maps name the class of their folder: each class that was looked at, then all."""
    import numpy as np

    labels = images.labels[seen.chosen]
    hits = seen.survey.named == labels
    rows = [Agreement(images.classes[label], int((labels == label).sum()), int(hits[labels == label].sum()))
            for label in np.unique(labels).tolist()]
    return [*rows, Agreement("all classes", len(labels), int(hits.sum()))]


def told(maps: Maps, images: ImageList, seen: Looked, agreeing: list[Agreement]) -> dict[str, object]:
    """All that was found, for programs."""
    from ppim.checks.maps import scores_are

    *rows, whole = agreeing
    survey = seen.survey
    return {
        "maps": maps.path, "images": images.root, "reading": str(maps.reading), "photos": len(images),
        "looked_at": len(survey.looked), "num_classes": maps.num_classes, "forms": survey.forms,
        "scores": scores_are(survey), "highest_id": survey.highest_id, "missing": seen.missing, "lone": seen.lone,
        "broken": survey.broken, "unsorted": survey.unsorted, "improbable": survey.improbable,
        "agreement": {"photos": whole.photos, "agree": whole.agree,
                      "classes": {row.name: {"photos": row.photos, "agree": row.agree} for row in rows}},
        "findings": [finding._asdict() for finding in seen.findings],
    }


def _table(agreeing: list[Agreement]) -> list[str]:
    *rows, whole = agreeing
    if not whole.photos:
        return []
    shown = sorted(rows, key=lambda row: row.agree / row.photos)[:_SHOWN]
    left = [f"({len(rows) - _SHOWN:,} classes that agree better are left out)"] if len(rows) > _SHOWN else []
    width = max(len(row.name) for row in (*shown, whole))
    return [f"{'class':<{width}}{'photos':>10}{'map agrees':>14}",
            *(f"{row.name:<{width}}{row.photos:>10,}{100 * row.agree / row.photos:>12.1f} %"
              for row in (*shown, whole)), *left]


def _write_json(path: str, found: dict[str, object]) -> None:
    from ppim.report.tables import write_text
    from ppim.strict_json import dumps

    write_text(path, dumps(found, indent=1) + "\n")


def _disagreement(args: argparse.Namespace, maps: Maps, images: ImageList, seen: Looked, names: list[str]) -> None:
    """The page and the table that were asked for."""
    from ppim.look.words import called
    from ppim.report.tables import write_csv
    from ppim.token_labels.disagreement import ranked

    sound = seen.chosen[seen.survey.named >= 0]
    found = ranked(maps, images.paths, images.labels, sound)
    ranks = args.ranks or str(Path(args.page).with_suffix(".csv"))
    rows = zip(found.index.tolist(), found.other.tolist(), found.p_folder, found.p_other, found.margin)
    write_csv(ranks, ("rank", "image", "folder", "map", "p_folder", "p_map", "margin"), (
        (rank, images.paths[index], called(names, int(images.labels[index])), called(names, other),
         f"{p:.6g}", f"{q:.6g}", f"{margin:.6g}")
        for rank, (index, other, p, q, margin) in enumerate(rows, 1)))
    print(f"ranks of {len(found.index):,} photos: {ranks}")
    if args.page:
        _write_page(args, maps, images, found, names)


def _write_page(args: argparse.Namespace, maps: Maps, images: ImageList, found: Ranked, names: list[str]) -> None:
    from ppim.look.disagreeing import Shown, disagreement_page
    from ppim.look.words import called, readable
    from ppim.pages import save_page

    shown = []
    for at, index in enumerate(found.index[:args.most].tolist()):
        photo = images.photo(index, maps.reading.exif)
        shown.append(Shown(readable(images.paths[index]), photo, maps.read(images.paths[index], photo.size),
                           int(images.labels[index]), int(found.other[at]), float(found.p_folder[at]),
                           float(found.p_other[at]), float(found.margin[at])))
    against = int((found.margin < 0).sum())
    about = (f"{len(found.index):,} photos of {images.root} and their maps in {maps.path}; of {against:,} the map "
             f"favours another class than the folder. Here are the first {len(shown)}.")
    save_page(args.page, disagreement_page(shown, about, lambda number: called(names, number)))
    print(f"page: {args.page}")
