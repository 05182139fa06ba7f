"""`ppim data collage PHOTOS DIR`: pictures of which is known what lies where, put together from photos of classes."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Parser
from ppim.commands.numbers import COUNT, FROM_ZERO


def collage(argv: list[str]) -> None:
    """Put pictures together from photos of classes, with exact label maps and masks."""
    parser = Parser(prog="ppim data collage", description=collage.__doc__)
    parser.add_argument("photos", help="folder with train/ and val/ (or test/), small square photos in class folders, "
                                       "such as CIFAR-10's")
    parser.add_argument("folder", type=Path, help="where pictures, masks and label maps go")
    parser.add_argument("--seed", type=FROM_ZERO, default=0)
    parser.add_argument("--train", type=COUNT, default=6000, metavar="N", help="training pictures (6000)")
    parser.add_argument("--val", type=COUNT, default=2000, metavar="N", help="validation pictures (2000)")
    args = parser.parse_args(argv)
    if args.folder.exists() and any(args.folder.iterdir()):
        raise ValueError(f"{args.folder} is not empty; name another folder, or remove it")
    from ppim.data.classes import match
    from ppim.data.collage import write_collages
    from ppim.data.datasets import find_images

    train = find_images(args.photos, "train")
    val = match(find_images(args.photos, "val"), train.classes, train.root)
    write_collages(args.folder, train, val, args.seed, (args.train, args.val))
    print(f"{args.train:,} training and {args.val:,} validation pictures of {len(train.classes)} classes in "
          f"{args.folder}/data, masks and label maps beside them")
