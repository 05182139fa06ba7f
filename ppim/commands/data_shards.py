"""`ppim data shards`: a data set in few large files."""
from __future__ import annotations

import os

from ppim.commands import Parser
from ppim.commands.labels import progress
from ppim.commands.numbers import COUNT


def make_shards(argv: list[str]) -> None:
    """Put photos, classes and label maps into tar files, for file systems that dislike many small ones."""
    args = _parser().parse_args(argv)
    from ppim.data.datasets import find_images
    from ppim.data.indexing import index_split, places_of
    from ppim.data.sharding import write_shards

    places = places_of(args.data)
    for split, option, maps, whose in (("train", "--labels", args.labels, "training"),
                                       ("val", "--val-labels", args.val_labels, "validation")):
        if maps and split not in places:
            raise ValueError(f"{option} {maps}: {args.data} has no {whose} photos for these maps; leave {option} out, "
                             "or give the data path above both splits")
    for split in places:
        images = find_images(args.data, split)
        folder = os.path.join(args.output, split) if len(places) > 1 else args.output
        maps = args.labels if split == "train" else args.val_labels
        with progress(len(images)) as advance:
            count = write_shards(images, folder, maps, args.size * 10**6, split == "train", advance)
        kept = index_split(folder, "train", lambda _: None)
        print(f"{folder}: {len(kept):,} photos of {len(kept.about['classes']):,} classes in {count:,} tar files",
              flush=True)


def _parser() -> Parser:
    parser = Parser(
        prog="ppim data shards",
        description="Put the photos of a data set, their classes and label maps into tar files, in a random order that "
                    "is always the same, and index them. OUT is a data path like any other then; files that are there "
                    "are kept, so an interrupted run is simply started again. The webdataset library reads them too.",
    )
    parser.add_argument("data", metavar="DIR", help="what DATA.DATA_PATH names")
    parser.add_argument("output", metavar="OUT", help="folder for the tar files, of each split in train/ and val/")
    parser.add_argument("--labels", metavar="MAPS", help="folder of label maps (.npy) of the training photos")
    parser.add_argument("--val-labels", metavar="MAPS", help="the same of the validation photos")
    parser.add_argument("--size", type=COUNT, default=256, metavar="MB", help="least size of a tar file (256)")
    return parser
