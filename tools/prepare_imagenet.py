"""Lay out ImageNet (ILSVRC2012) for training: class folders from the archives that image-net.org hands out.

    python tools/prepare_imagenet.py /path/to/archives
    python tools/prepare_imagenet.py /path/to/archives --output /data/imagenet

The folder holds ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and, for the classes of the latter,
ILSVRC2012_devkit_t12.tar.gz, whose meta.mat is read with scipy. Either split may be missing. What is whole is kept, so
an interrupted run is simply started again. The archives are left as they are.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.cli import guarded  # noqa: E402


def prepare(argv=None) -> None:
    parser = argparse.ArgumentParser(description="Lay out ImageNet (ILSVRC2012) from its archives as class folders.")
    parser.add_argument("archives", type=Path, help="folder with the archives of image-net.org")
    parser.add_argument("--output", type=Path, default=Path("data/ILSVRC2012"), metavar="DIR",
                        help="gets train/ and val/ (data/ILSVRC2012, where the recipes look)")
    parser.add_argument("--synsets", type=Path, metavar="FILE",
                        help="WordNet ids of the classes in the order of the devkit's ids, one a line, instead of its "
                             "meta.mat and scipy")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)

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


if __name__ == "__main__":
    sys.exit(guarded(prepare))
