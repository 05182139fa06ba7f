"""`ppim data check`: every photo of a data set decoded, and all that is wrong said at once."""
from __future__ import annotations

import json
from collections.abc import Mapping

from ppim.commands import Parser
from ppim.commands.labels import progress
from ppim.commands.numbers import COUNT

_SHOWN = 40  # classes in the table; of more, the smallest and the largest


def check_data(argv: list[str]) -> None:
    """Decode every photo of a data set and list all that is wrong with it."""
    args = _parser().parse_args(argv)
    from ppim.data.check import check
    from ppim.files import write_whole
    from ppim.threads import usable_cores

    report = check(args.data, args.jobs or usable_cores(), progress)
    for line in [*table(report.classes), *report.notes, *(f"fault: {fault.text}" for fault in report.faults)]:
        print(line, flush=True)
    if args.json:
        text = json.dumps({"data_path": args.data, **report.as_dict()}, indent=1, ensure_ascii=False,
                          allow_nan=False) + "\n"
        write_whole(args.json, lambda beside: beside.write_text(text, encoding="utf-8", errors="backslashreplace"))
    if report.faults:
        raise ValueError(f"{len(report.faults):,} faults in {args.data}, {len(report.photos):,} photos looked at; see "
                         "the lines that begin with fault:")
    print(f"no faults in {args.data}, {len(report.photos):,} photos looked at")


def table(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Photos of each class in each split; of many classes the smallest and the largest."""
    names = sorted({name for counts in classes.values() for name in counts})
    totals = {name: sum(counts.get(name, 0) for counts in classes.values()) for name in names}
    left_out = []
    if len(names) > _SHOWN:
        by_size = sorted(names, key=totals.get)
        left_out = [f"({len(names) - 10:,} classes between the five smallest and the five largest are left out)"]
        names = [*by_size[:5], *by_size[-5:]]
    width = max(map(len, ["all classes", *names]))
    rows = [("class", *classes), *((name, *(counts.get(name, 0) for counts in classes.values())) for name in names),
            ("all classes", *(sum(counts.values()) for counts in classes.values()))]
    return [f"{row[0]:<{width}}" + "".join(f"{cell:>12,}" if isinstance(cell, int) else f"{cell:>12}"
                                           for cell in row[1:]) for row in rows] + left_out


def _parser() -> Parser:
    parser = Parser(
        prog="ppim data check",
        description="Decode every photo of a data set and list all that is wrong: photos that cannot be read, class "
                    "folders that cannot be used, classes of validation alone, the same photo in both splits or in two "
                    "classes. Exit code 1 if there is any.",
    )
    parser.add_argument("data", metavar="DIR",
                        help="what DATA.DATA_PATH names: train/ and val/, lists, or class folders")
    parser.add_argument("--jobs", type=COUNT, metavar="N", help="processes that decode (all cores)")
    parser.add_argument("--json", metavar="FILE", help="also write all of it as JSON")
    return parser
