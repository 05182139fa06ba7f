"""`ppim labels convert`: label maps from elsewhere as maps of ours, and back; the grid put right where it is not."""
from __future__ import annotations

import os

from ppim.commands import Parser
from ppim.commands.frames import add_crop_pct, crop_pct_of
from ppim.commands.labels import map_progress
from ppim.commands.labels_pack import add_packing_options, tell_pack
from ppim.token_labels.orientations import ORIENTATIONS


def convert_labels(argv: list[str]) -> None:
    """Bring label maps from elsewhere (PyTorch's .pt files) into .npy files or a pack, and back."""
    args = convert_parser().parse_args(argv)
    from ppim.threads import usable_cores
    from ppim.token_labels.card import load_card
    from ppim.transfer.change import Change, Stated, card_after
    from ppim.transfer.forms import open_source
    from ppim.transfer.packing import Packing, pack
    from ppim.transfer.unpacking import to_files

    source, card, jobs = open_source(args.source), load_card(args.source), args.jobs or usable_cores()
    stated = Stated(args.orientation, args.frame, crop_pct_of(args), args.exif)
    change = Change(args.orientation, args.planes)
    if str(change) and os.path.realpath(args.source) == os.path.realpath(args.target):
        raise ValueError(f"{args.target}: the maps to change lie there; give another folder for those that are changed")
    if card and args.orientation not in (None, card.get("orientation")):
        print(f"{args.source}: taken as {args.orientation}, against its card, which says {card.get('orientation')}")

    def card_of(log_z: bool):
        return card_after(args.source, card, stated, log_z, change)

    if args.to == "pack":
        how = Packing(args.classes, args.round_scores, args.shard_maps, jobs)
        tell_pack(args.target, pack(source, args.target, card_of, change, how, map_progress))
        return
    planes = len(_first(source, change, args.to))
    classes = args.classes or (card or {}).get("num_classes")
    done = to_files(source, args.target, f".{args.to}", card_of(planes == 3), change, classes, jobs, map_progress)
    print(f"{done.written:,} maps written to {args.target}, {done.kept:,} kept")


def _first(source, change, form: str):
    """The first map as it will be written.

    Raises:
        ValueError: it has a log-sum-exp, and would be written for PyTorch without a word on that.
    """
    stem = next(iter(source.stems()))
    array = change.of(source.place(stem), source.array(stem))
    if form == "pt" and change.planes is None and len(array) == 3:
        raise ValueError(f"{source.place(stem)}: has a log-sum-exp, for which the published form has no place; "
                         "--planes 2 leaves it out, --planes 3 writes it as a third plane")
    return array


def convert_parser() -> Parser:
    """The options of `ppim labels convert`."""
    parser = Parser(
        prog="ppim labels convert",
        description="Write label maps in another form: the published .pt files of PyTorch as .npy files or a pack, "
                    "which needs no PyTorch and runs nothing that the files say; or back. Maps stored another way "
                    "round than rows first are put right with --orientation. What is there is kept, so an interrupted "
                    "conversion is simply started again.",
    )
    parser.add_argument("source", metavar="FROM", help="folder of .pt or .npy files, sub-folders included, or a pack")
    parser.add_argument("target", metavar="TO", help="folder for the maps, or for the pack")
    parser.add_argument("--to", choices=("npy", "pack", "pt"), default="npy", help="form to write (npy)")
    parser.add_argument("--orientation", choices=ORIENTATIONS, metavar="NAME",
                        help=f"how the maps are stored; they are written rows first: {', '.join(ORIENTATIONS)}")
    parser.add_argument("--frame", choices=("whole", "centre-crop"),
                        help="what the maps show of a photo, for the card (what their own card says)")
    add_crop_pct(parser)
    parser.add_argument("--exif", choices=("ignore", "apply"),
                        help="how the photos were read that the maps are of, for the card (ignore)")
    parser.add_argument("--planes", type=int, choices=(2, 3), help="2 leaves the log-sum-exp out")
    add_packing_options(parser)
    return parser
