"""`ppim labels audit`: where do the labels of somebody else's loader come from?"""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ppim.commands import Parser, import_paddle_quietly
from ppim.commands.frames import add_crop_pct, crop_pct_of
from ppim.commands.numbers import COUNT

if TYPE_CHECKING:
    from ppim.checks.origins import Sample, Verdict
    from ppim.geometry import WH
    from ppim.token_labels.foreign import Foreign
    from ppim.token_labels.maps import LabelMap

CODES = {"right": 0, "wrong": 1, "undecided": 2}
ANY = 1 << 15  # classes: whichever ids the maps have; all kinds of numbers in maps can hold it


def audit_labels(argv: list[str]) -> int:
    """Judge another loader's token labels: do they come from where its views show them?"""
    parser = _parser()
    args = parser.parse_args(argv)
    if not args.maps and not (args.config and args.load):
        parser.error("wanted the maps that the loader reads (--maps DIR), or an annotator (-c FILE --load WEIGHTS)")
    from ppim.checks.origins import audit

    samples, notes = gathered(args)
    verdict = audit(samples)
    print(*notes, *lines(verdict), sep="\n")
    if args.json:
        from ppim.report.tables import write_text
        from ppim.strict_json import dumps

        write_text(args.json, dumps({**verdict._asdict(), "displaced": [one._asdict() for one in verdict.displaced],
                                     "notes": notes}, indent=1) + "\n")
    return CODES[verdict.verdict]


def lines(verdict: Verdict) -> list[str]:
    """What was found, for people; the last line is the verdict."""
    told = [f"{'how well targets fit what is known of the places, beyond chance':<72}{'mean':>8}"]
    told += [f"  {name:<70}{mean:>8.3f}" for name, mean in verdict.fits[:5]]
    told += [f"cannot be told apart: {text}" for text in verdict.like]
    told += [f"labels come from farther to the right and down by {one}, fit {one.fit:.3f}" for one in verdict.displaced]
    return [*told, f"{verdict.verdict}: {verdict.text} ({verdict.samples} samples)"]


def gathered(args: argparse.Namespace) -> tuple[list[Sample], list[str]]:
    """The samples of the file with what is known of their photos, and what is to be said of them."""
    from ppim.checks.origins import Sample
    from ppim.data.photos import read_photo
    from ppim.engine.map_check import spread
    from ppim.token_labels.card import Reading, read_card
    from ppim.token_labels.foreign import read_foreign
    from ppim.token_labels.store import open_maps

    foreign = read_foreign(args.samples)
    chosen = spread(len(foreign.photos), args.most).tolist()
    reading = (args.maps and read_card(args.maps)) or Reading(args.frame, crop_pct_of(args), args.orientation)
    if args.maps:
        maps = open_maps(args.maps, ANY, reading)
    else:
        said = dict(zip(chosen, _said(args, [foreign.photos[i] for i in chosen], reading.exif)))
    samples, left_out = [], 0
    for index in chosen:
        name = foreign.photos[index]
        photo = read_photo(f"{args.images}/{name}", reading.exif)
        box = _box(foreign, index, photo)
        if box is None:
            left_out += 1
            continue
        known: LabelMap = maps.read(name, photo.size) if args.maps else said[index]
        samples.append(Sample(foreign.tables[index], known, *box, photo.size))
    note = [f"{left_out} of {len(chosen)} views are left out: like no part of their photo (turned, sheared, inverted?)"]
    return samples, note if left_out else []


def _box(foreign: Foreign, index: int, photo) -> tuple[tuple[float, float, float, float], bool] | None:
    """Box in shares and mirroring of a sample; None where a view is like no part of the photo."""
    from ppim.checks.matching import LEAST, find_box
    from ppim.token_labels.foreign import in_shares

    wh: WH = photo.size
    if foreign.boxes is None:
        box, flip, alike = find_box(photo, foreign.views[index])
        return (box, flip) if alike >= LEAST else None
    try:
        return in_shares(foreign.boxes[index], foreign.convention, foreign.unit, wh), bool(foreign.flips[index])
    except ValueError as error:
        raise ValueError(f"sample {index}, {foreign.photos[index]}: {error}") from None


def _said(args: argparse.Namespace, files: list[str], exif: str) -> list[LabelMap]:
    import_paddle_quietly()
    from ppim.annotate.seen import annotator, said_of

    return said_of(*annotator(args.config, args.load, args.input_size, exif), args.images, files)


def _parser() -> Parser:
    parser = Parser(
        prog="ppim labels audit",
        description="Say where the token labels of another loader come from: where its views show them, from a box "
                    "with x and y exchanged, from mirrored or transposed places, of a wrong frame, or displaced. Exit "
                    "code 0: right, 1: wrong, 2: undecided.")
    parser.add_argument("samples", metavar="FILE.npz", help="what the loader has made: photos, boxes and flips or "
                        "views, targets; see the documentation of label maps")
    parser.add_argument("--images", required=True, metavar="DIR", help="what the paths of the photos are relative to")
    parser.add_argument("--maps", metavar="DIR", help="the label maps that the loader reads, in the same tree")
    parser.add_argument("--orientation", default="rows-first", choices=("rows-first", "columns-first"),
                        help="of maps without a card (rows-first)")
    parser.add_argument("--frame", default="whole", choices=("whole", "centre-crop"),
                        help="what maps without a card show of a photo (whole); `ppim labels check --frame` finds out")
    add_crop_pct(parser)
    parser.add_argument("-c", "--config", metavar="FILE", help="instead of maps: yaml file of an annotator of any "
                        "classes")
    parser.add_argument("--load", metavar="WEIGHTS", help="its weights")
    parser.add_argument("--input-size", type=COUNT, metavar="PX", help="side of what it sees (DATA.IMAGE_SIZE)")
    parser.add_argument("--most", type=COUNT, default=250, metavar="N", help="samples that are looked at (250)")
    parser.add_argument("--json", metavar="FILE", help="also write the result as JSON")
    return parser
