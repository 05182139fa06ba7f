"""`ppim data imagenet`: ImageNet's archives as class folders."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Parser


def lay_out(argv: list[str]) -> None:
    """Lay out ImageNet (ILSVRC2012) from its archives as class folders."""
    args = _parser().parse_args(argv)
    from ppim.data import imagenet

    def tell(line: str) -> None:
        print(line, flush=True)

    def conclude(split: str, found: imagenet.Counts) -> None:
        wanted = imagenet.COMPLETE[split]
        lacks = f" (ILSVRC2012 has {wanted.images:,} in {wanted.classes:,})" if found != wanted else ""
        tell(f"{split}: {found.images:,} images in {found.classes:,} classes{lacks}")

    training, validation = args.archives / imagenet.TRAINING, args.archives / imagenet.VALIDATION
    if not training.is_file() and not validation.is_file():
        raise FileNotFoundError(f"{args.archives} holds neither {training.name} nor {validation.name}; download them "
                                "from https://image-net.org, where an account is asked for")
    if training.is_file():
        conclude("train", imagenet.lay_out_training(training, args.output / "train", tell))
    else:
        tell(f"train: no {training.name} in {args.archives}, left out")
    if validation.is_file():
        classes = imagenet.classes_of_validation(args.archives / imagenet.DEVKIT, args.synsets)
        conclude("val", imagenet.lay_out_validation(validation, classes, args.output / "val", tell))
    else:
        tell(f"val: no {validation.name} in {args.archives}, left out")


def _parser() -> Parser:
    parser = Parser(
        prog="ppim data imagenet",
        description="Lay out ImageNet (ILSVRC2012) as class folders. ARCHIVES holds ILSVRC2012_img_train.tar, "
                    "ILSVRC2012_img_val.tar and, for the classes of the latter, ILSVRC2012_devkit_t12.tar.gz, whose "
                    "meta.mat is read with scipy. Either split may be missing. What is whole is kept, so an "
                    "interrupted run is simply started again; the archives are left as they are.",
    )
    parser.add_argument("archives", type=Path, metavar="ARCHIVES", help="folder with the archives of image-net.org")
    parser.add_argument("--output", type=Path, default=Path("data/ILSVRC2012"), metavar="DIR",
                        help="gets train/ and val/ (data/ILSVRC2012, where the recipes look)")
    parser.add_argument("--synsets", type=Path, metavar="FILE",
                        help="WordNet ids of the classes in the order of the devkit's ids, one a line, instead of its "
                             "meta.mat and scipy")
    return parser
