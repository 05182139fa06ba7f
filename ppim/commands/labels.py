"""`ppim labels make`: label maps of the photos in a folder, by a trained model."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ppim.commands import Pairs, Parser, import_paddle_quietly


def make(argv: list[str]) -> None:
    """Write label maps of the photos in a folder, by a trained model."""
    args = make_parser().parse_args(argv)
    import_paddle_quietly()
    from ppim.annotate.chance import judge
    from ppim.annotate.generate import View, generate, image_files, load_annotator, write_card
    from ppim.config import get_config
    from ppim.data.classes import read_names
    from ppim.engine.classes import known_names

    if args.centre_crop is not None and not 0 < args.centre_crop <= 1:
        raise ValueError(f"--centre-crop wants a share of the short side above 0, at most 1, got {args.centre_crop:g}")
    size = [] if args.input_size is None else ["DATA.IMAGE_SIZE", str(args.input_size)]
    config = get_config(args.config, [*args.override, *size])
    files = image_files(args.images)[: args.limit]
    model = load_annotator(config, args.load)
    data = config.DATA
    view = View((data.IMAGE_SIZE,) * 2, tuple(data.IMAGENET_MEAN), tuple(data.IMAGENET_STD), data.INTERPOLATION,
                args.centre_crop, data.EXIF)
    folders = {name.split("/")[0] for name in files}
    listed = config.MODEL.CLASSES
    names = read_names(listed) if listed else known_names(args.load, folders, model.num_classes)
    write_card(args.output, model, view, args.top_k, config.MODEL.NAME, args.load, args.overwrite, names)
    found = judge(model, args.images, files, names, view, args.batch_size)
    if found and found.is_chance:
        print(f"warning: {found}: its maps teach nothing; train it longer, or from weights that have learnt something "
              "(--load WEIGHTS --new-heads)", flush=True)
    with progress(len(files)) as advance:
        report = generate(model, args.images, files, args.output, view, top_k=args.top_k,
                          batch_size=args.batch_size, overwrite=args.overwrite, advance=advance)
    print(f"{report.written} maps of {model.grid[0]} x {model.grid[1]} cells written to {args.output}, "
          f"{report.skipped} kept")


def make_parser() -> Parser:
    """The options of `ppim labels make`."""
    parser = Parser(
        prog="ppim labels make",
        description="Write label maps of the photos in a folder, by a trained model: an LV-ViT with its token head, or "
                    "a classifier of paddle.vision that ends in pooling and one linear layer. Maps that exist are "
                    "kept, so an interrupted run is simply started again.",
    )
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="yaml file of the annotator")
    parser.add_argument("--load", required=True, metavar="WEIGHTS", help="the annotator's weights, suffix optional")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photos, sub-folders included")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the maps")
    parser.add_argument("--input-size", type=int, metavar="PX",
                        help="side of what the annotator sees (DATA.IMAGE_SIZE)")
    parser.add_argument("--centre-crop", type=float, metavar="PCT", help="show the annotator the centre square alone, "
                        "PCT of the resized short side wide (default: the whole photo, squashed)")
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="classes kept per cell (5)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="B", help="photos per forward pass (64)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N photos")
    parser.add_argument("--overwrite", action="store_true", help="make maps anew that exist already")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the config")
    return parser


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of photos done: a bar on a terminal, a line every tenth otherwise."""
    if sys.stdout.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        with Progress("photos", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
            task = bar.add_task("photos", total=total)
            yield lambda count: bar.advance(task, count)
        return
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if before * 10 // total != done * 10 // total:
            print(f"{done}/{total} photos", flush=True)

    yield advance
