"""`ppim data index`: what is in a data set, found out once."""
from __future__ import annotations

import os
from collections.abc import Callable

from ppim.commands import Parser

_TOLD = 1_000_000  # images between two lines that say how far it is


def index_data(argv: list[str]) -> None:
    """Write down once which images a data set has, so that runs start without looking for them."""
    args = _parser().parse_args(argv)
    from ppim.data.indexing import difference, index_split, places_of
    from ppim.data.manifest import manifest_folder, open_manifest

    for split, place in places_of(args.data).items():
        if args.check:
            kept = open_manifest(place)
            if kept is None:
                raise FileNotFoundError(f"{manifest_folder(place)}: nothing is written down there; run `ppim data "
                                        f"index {args.data}`")
            kept.verify()
            found = difference(args.data, split, kept, _counting(place))
            if found:
                raise ValueError(f"{kept.path}: {found}; run `ppim data index {args.data}` again")
            print(f"{place}: {len(kept):,} images, all as written down", flush=True)
            continue
        kept = index_split(args.data, split, _counting(place))
        shared = f"; no label maps for these: {kept.about['shared']} as a stem" if kept.about["shared"] else ""
        print(f"{place}: {len(kept):,} images of {len(kept.about['classes']):,} classes, "
              f"{kept.field('bytes').sum(dtype=int) / 1e9:,.1f} GB, written down in "
              f"{os.path.relpath(kept.path)}{shared}", flush=True)


def _counting(place: str) -> Callable[[int], None]:
    """Says how far it is, now and then."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if before // _TOLD != done // _TOLD:
            print(f"{place}: {done:,} images so far", flush=True)

    return advance


def _parser() -> Parser:
    parser = Parser(
        prog="ppim data index",
        description="Write down once, in DIR/.ppim-index or that of each split's folder, which images a data set has "
                    "(class folders, lists, tar shards); every command that is given DIR then maps this into memory "
                    "instead of listing folders. It is noticed when files have come, gone or been renamed since.",
    )
    parser.add_argument("data", metavar="DIR", help="what DATA.DATA_PATH names")
    parser.add_argument("--check", action="store_true",
                        help="compare what is written down with everything that is there; exit code 1 if it differs")
    return parser
