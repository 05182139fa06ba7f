"""`ppim plan -c CFG --gpus N --gpu NAME`: what a recipe will need, on paper, before anybody pays for GPUs."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.numbers import ABOVE_ZERO, COUNT, SHARE, Number
from ppim.config.row import Bounds
from ppim.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ppim.plan.loader import Rate
    from ppim.plan.tell import Row


def plan(argv: list[str]) -> None:
    """Work out what a recipe will need of GPUs, time, memory and loaders; arithmetic, nothing is measured on a GPU."""
    args = _parser().parse_args(argv)
    from ppim.config import get_config
    from ppim.plan.gpus import find

    config, gpu = get_config(args.config, args.override), find(args.gpu)
    os.environ.setdefault("GLOG_minloglevel", "2")  # it warns of programs that are not to be run
    import_paddle_quietly()
    from ppim.plan.estimate import Job, estimate
    from ppim.plan.loader import usual_rate
    from ppim.plan.roofline import Assumed
    from ppim.plan.task import photos_of
    from ppim.plan.tell import WARNING, as_record, others, rows

    rate = _measured(config, args.measure_loader) if args.measure_loader else usual_rate(config)
    assumed = Assumed(args.launch_us, args.peak_share, args.bandwidth_share, args.overlap, args.network, args.per_node)
    photos = photos_of(config)
    job = Job(config, gpu, args.gpus, assumed, rate, args.images or photos[0], args.val_images or photos[1])
    found = estimate(job)
    if args.json:
        print(dumps(as_record(job, found)))
        return
    show("plan", rows(job, found))
    if config.TASK == "classify":
        show("published by others, for comparison", others())
    print(WARNING)


def _parser() -> Parser:
    parser = Parser(prog="ppim plan", description=plan.__doc__)
    parser.add_argument("-c", "--config", "--model", required=True, metavar="FILE",
                        help="recipe: a yaml file, or the name of a published one")
    parser.add_argument("--gpus", type=COUNT, default=8, metavar="N", help="GPUs, a process each (8)")
    parser.add_argument("--gpu", default="a100", metavar="NAME",
                        help="v100, t4, a100, a10, l4, 3090, 4090, h100, h100-pcie, h20, a800, h800 (a100)")
    parser.add_argument("--per-node", type=COUNT, default=8, metavar="N", help="GPUs of a machine (8)")
    parser.add_argument("--network", type=ABOVE_ZERO, default=25.0, metavar="GB/S",
                        help="of one direction between machines (25: 200 Gbit/s)")
    parser.add_argument("--launch-us", type=ABOVE_ZERO, default=15.0, metavar="US",
                        help="microseconds of the host for one operator (15)")
    parser.add_argument("--peak-share", type=SHARE, default=0.6, metavar="S",
                        help="what large products reach of the GPU's peak (0.6)")
    parser.add_argument("--bandwidth-share", type=SHARE, default=0.8, metavar="S", help="the same of memory (0.8)")
    parser.add_argument("--overlap", type=Number(float, Bounds(0, 1)), default=0.7, metavar="S",
                        help="share of the all-reduce that the backward pass hides (0.7)")
    parser.add_argument("--images", type=COUNT, metavar="N", help="to train on (ImageNet's 1,281,167; for a "
                        "segmenter ADE20K's 20,210)")
    parser.add_argument("--val-images", type=COUNT, metavar="N", help="to evaluate (50,000; 2,000)")
    parser.add_argument("--measure-loader", type=COUNT, nargs="?", const=200, default=0, metavar="N",
                        help="measure here what a core makes of N photos of DATA.DATA_PATH (200)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o DATA.BATCH_SIZE 64 TRAIN.RECOMPUTE True")
    return parser


def _measured(config, count: int) -> Rate:
    from ppim.plan.loader import measured
    from ppim.plan.task import train_samples

    return measured(train_samples(config), count)


def show(title: str, lines: Sequence[Row]) -> None:
    """A table on a terminal, plain lines elsewhere."""
    from rich.table import Table
    from rich.text import Text

    from ppim.commands.console import Console

    console = Console()
    if console.is_terminal:
        table = Table("what", "figure", "how it was found", title=title)
        for line in lines:
            table.add_row(*map(Text, line))  # a source in brackets is no markup
        console.print(table)
    else:
        width = max(len(line[0]) for line in lines)
        print(title, *(f"  {what:<{width}}  {figure:>16}  {how}" for what, figure, how in lines), sep="\n")
