"""`ppim labels pack`: a folder of label maps into a few large files, and back."""
from __future__ import annotations

from ppim.commands import Parser
from ppim.commands.labels import map_progress
from ppim.commands.numbers import COUNT


def pack_labels(argv: list[str]) -> None:
    """Put a folder of label maps into a few large files, or take them out again."""
    args = pack_parser().parse_args(argv)
    from ppim.threads import usable_cores
    from ppim.token_labels.card import load_card
    from ppim.token_labels.manifest import is_pack
    from ppim.transfer.change import Change
    from ppim.transfer.forms import open_source
    from ppim.transfer.packing import Packing, pack
    from ppim.transfer.unpacking import to_files

    if is_pack(args.source) != args.unpack:
        what = "no pack; leave --unpack out" if args.unpack else "a pack; --unpack takes its maps out"
        raise ValueError(f"{args.source} is {what}")
    source, card, jobs = open_source(args.source), load_card(args.source), args.jobs or usable_cores()
    if args.unpack:
        done = to_files(source, args.target, ".npy", card, Change(), None, jobs, map_progress)
        print(f"{done.written:,} maps written to {args.target}, {done.kept:,} kept")
        return
    how = Packing(args.classes, args.round_scores, args.shard_maps, jobs)
    tell_pack(args.target, pack(source, args.target, lambda log_z: card, Change(), how, map_progress))


def tell_pack(target: str, manifest) -> None:
    """Say what was packed."""
    planes = 3 if manifest.log_z else 2
    ids = "uint16" if manifest.ids == "<u2" else "uint32"
    megabytes = manifest.maps * manifest.record.itemsize / 1e6
    print(f"{manifest.maps:,} maps {[planes, *manifest.shape]} in {target}: {len(manifest.shards):,} files, "
          f"{megabytes:,.1f} MB, ids as {ids} up to {manifest.highest_id:,}")
    if manifest.largest_change:
        print(f"scores were rounded to half precision, by at most {manifest.largest_change:.3g}")


def pack_parser() -> Parser:
    """The options of `ppim labels pack`."""
    parser = Parser(
        prog="ppim labels pack",
        description="Put all label maps of a folder into a few large files that are read and copied faster and take no "
                    "million file names. What TOKEN_LABEL.PATH and VAL_PATH name may be either. Every map comes "
                    "back as it was; a folder that half-precision records cannot hold exactly is refused. A packing "
                    "that was interrupted goes on where it was.",
    )
    parser.add_argument("source", metavar="FOLDER", help="folder of the maps (with --unpack: the pack)")
    parser.add_argument("target", metavar="PACK", help="folder for the pack, which is not there yet (with --unpack: "
                        "for the maps)")
    parser.add_argument("--unpack", action="store_true", help="write the maps of a pack as .npy files; those that are "
                        "there are kept")
    add_packing_options(parser)
    return parser


def add_packing_options(parser: Parser) -> None:
    """Options of all commands that write packs."""
    parser.add_argument("--classes", type=COUNT, metavar="N",
                        help="classes of the annotator (what the card says); beyond 65,536 ids take four bytes")
    parser.add_argument("--round-scores", action="store_true",
                        help="round scores that are not exactly half-precision numbers, and say by how much")
    parser.add_argument("--shard-maps", type=COUNT, default=1 << 16, metavar="N", help="maps in one file (65,536)")
    parser.add_argument("--jobs", type=COUNT, metavar="N", help="processes (all cores)")
