"""`ppim data cifar`: CIFAR-10 or CIFAR-100 as class folders."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Parser
from ppim.commands.numbers import Number
from ppim.config.row import Bounds


def unpack_cifar(argv: list[str]) -> None:
    """Lay out CIFAR-10 or CIFAR-100 from its archive as class folders."""
    args = _parser().parse_args(argv)
    from ppim.data.cifar import COMPLETE, read_archive, write_split
    from ppim.weights.pickles import run_at

    archive = read_archive(args.archive, lambda pickled: run_at(pickled)[0])
    output = args.output or Path("data") / archive.name
    for split, complete in COMPLETE.items():
        count = write_split(archive, split, output / split, args.quality)
        lacks = "" if count == complete else f" ({archive.name} has {complete:,})"
        print(f"{output / split}: {count:,} photos of {len(archive.classes)} classes{lacks}", flush=True)


def _parser() -> Parser:
    parser = Parser(
        prog="ppim data cifar",
        description="Lay out CIFAR-10 or CIFAR-100 as class folders, train/CLASS/NUMBER.png and test/..., numbers as "
                    "in the order of the archive: cifar-10-binary.tar.gz, cifar-10-python.tar.gz, or those of "
                    "cifar-100 (with its 100 fine classes). Pickles are read without running them. A split that is "
                    "there is left alone.",
    )
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="as the data sets' page gives it out")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="gets train/ and test/ (data/cifar10 or data/cifar100)")
    parser.add_argument("--quality", type=Number(int, Bounds(1, 95)), metavar="Q",
                        help="write JPEG files of this quality, 1 to 95, instead of PNG files, which lose nothing")
    return parser
