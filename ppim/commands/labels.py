"""`ppim labels make`: label maps of the photos in a folder, by whatever knows what is where in them."""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.numbers import COUNT, SHARE
from ppim.engine.pace import time_left

_KINDS = ("load", "annotator", "masks", "boxes")


def make(argv: list[str]) -> None:
    """Write label maps of the photos in a folder, by a network, masks, boxes or a few labelled pictures."""
    parser = make_parser()
    args = parser.parse_args(argv)
    check(parser, args)
    from ppim.mkl import answer_alike

    answer_alike()
    import_paddle_quietly()
    from ppim.annotate.asked import annotation
    from ppim.annotate.folder import claim, places_of
    from ppim.annotate.generate import image_files
    from ppim.annotate.write import share_of, write_maps
    from ppim.engine.distributed import join_world

    photos = image_files(args.images)
    files = photos[: args.limit]
    world = join_world()
    launcher = os.getppid() if world.size > 1 else None
    with world.together():  # the one time that anybody waits: until it is clear whose maps these are
        made = annotation(args, files, world.is_main)
        if world.is_main:
            print(*made.told, sep="\n", end="\n" * bool(made.told), flush=True)
            claim(args.output, made.reading, made.origin, args.overwrite, places_of(photos, args.output))
    share = world.rank, world.size
    with progress(len(share_of(len(files), made.source.batch_size, *share))) as advance:
        report = write_maps(made.source, files, args.output, share=share, advance=ending_with(launcher, advance))
    rows, columns = made.source.grid
    who = f"process {world.rank} of {world.size}: " if world.size > 1 else ""
    print(f"{who}{report.written} maps of {rows} x {columns} cells written to {args.output}, {report.skipped} kept")


def check(parser: Parser, args: argparse.Namespace) -> None:
    """End with a line about options that do not go together."""
    kinds = [kind for kind in _KINDS if getattr(args, kind) is not None]
    if len(kinds) != 1:
        parser.error(f"wanted one annotator, --load, --annotator, --masks or --boxes, got "
                     f"{' and '.join(f'--{kind}' for kind in kinds) or 'none'}")
    only = {"cells": "annotator", "output_name": "annotator"}
    for name in (name for name, kind in only.items() if getattr(args, name) is not None and kind not in kinds):
        parser.error(f"--{name.replace('_', '-')} goes with --{only[name]}")
    if args.labelled and kinds[0] in ("masks", "boxes"):
        parser.error(f"--labelled teaches a network; --{kinds[0]} needs none")
    if args.labelled_masks and not args.labelled:
        parser.error("--labelled-masks are of pictures in --labelled DIR")
    if args.input_size and len(args.input_size) > 2:
        parser.error(f"--input-size wants HEIGHT WIDTH, or one side, got {' '.join(map(str, args.input_size))}")
    if len(args.grid) > 2:
        parser.error(f"--grid wants ROWS COLUMNS, or one number of both, got {' '.join(map(str, args.grid))}")


def make_parser() -> Parser:
    """The options of `ppim labels make`."""
    parser = Parser(
        prog="ppim labels make",
        description="Write label maps of the photos in a folder. Maps that exist are kept, so an interrupted run is "
                    "simply started again; several processes share the photos.",
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photos, sub-folders included")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the maps")
    _add_kinds(parser.add_argument_group("the annotator, one of"))
    _add_fitting(parser.add_argument_group("a network that does not know the classes"))
    how = parser.add_argument_group("how")
    how.add_argument("-c", "--config", metavar="FILE", help="yaml file of the annotator (for --load; known for weights "
                     "of a run folder)")
    how.add_argument("--classes", metavar="FILE", help="names of the classes, one a line, in the annotator's order")
    how.add_argument("--input-size", type=COUNT, nargs="+", metavar="PX",
                     help="side of what a network sees, or HEIGHT WIDTH (DATA.IMAGE_SIZE)")
    how.add_argument("--mean", type=float, nargs=3, metavar="M", help="of pixel values in [0, 1] (ImageNet's)")
    how.add_argument("--std", type=float, nargs=3, metavar="S", help="the same, their standard deviation")
    how.add_argument("--cells", choices=("BNC", "BHWC", "BCHW"), help="what the axes of --annotator's output are, "
                     "where its shape does not tell")
    how.add_argument("--output-name", metavar="NAME", help="which output of --annotator is meant, where it has several")
    how.add_argument("--grid", type=COUNT, nargs="+", default=[18], metavar="N",
                     help="rows and columns of maps of masks and boxes (18)")
    how.add_argument("--centre-crop", type=SHARE, metavar="PCT", help="show the annotator the centre square alone, "
                     "PCT of the resized short side wide (default: the whole photo, squashed)")
    how.add_argument("--top-k", type=COUNT, metavar="K", help="classes kept per cell (5, or all of fewer)")
    how.add_argument("--batch-size", type=COUNT, default=64, metavar="B", help="photos per forward pass (64)")
    how.add_argument("--limit", type=COUNT, metavar="N", help="only the first N photos")
    how.add_argument("--overwrite", action="store_true", help="make maps anew that exist already")
    how.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                     help="change keys of the config")
    return parser


def _add_kinds(group) -> None:
    group.add_argument("--load", metavar="WEIGHTS", help="weights of a model of ours, suffix optional, or a run's "
                       "folder: an LV-ViT trained with token labels, or a classifier of paddle.vision")
    group.add_argument("--annotator", metavar="FILE", help="a network of others that gives logits of cells: .onnx, or "
                       ".json or .pdmodel of paddle.jit.save")
    group.add_argument("--masks", metavar="DIR", help="PNG masks of the same paths: 0 nothing, 1 the first class, ..., "
                       "255 not known")
    group.add_argument("--boxes", metavar="FILE", help="COCO annotations (.json)")


def _add_fitting(group) -> None:
    group.add_argument("--labelled", metavar="DIR", help="labelled pictures, in class folders: a head is fitted on the "
                       "network's features of them")
    group.add_argument("--labelled-masks", metavar="DIR", help="masks of these pictures: the head learns every cell")
    group.add_argument("--head", choices=("linear", "knn"), default="linear", help="which head (linear)")


def ending_with(launcher: int | None, advance: Callable[[int], None]) -> Callable[[int], None]:
    """`advance`, which raises ValueError once the launcher of this process, its parent, is gone; None: it has none."""
    def told(count: int) -> None:
        advance(count)
        if launcher is not None and os.getppid() != launcher:
            raise ValueError("the launcher of this process is gone; start again, maps that are there are kept")

    return told


@contextmanager
def progress(total: int, what: str = "photos") -> Iterator[Callable[[int], None]]:
    """A function to call with the number done: a bar on a terminal, a line every tenth otherwise."""
    if sys.stdout.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        with Progress(what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)
        return
    yield _Lines(total, what)


def map_progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    """The same, of label maps."""
    return progress(total, "maps")


class _Lines:
    """A line every tenth of `what`, with the time that is left by those done since the start."""

    def __init__(self, total: int, what: str):
        self._what = what
        self._total, self._done, self._kept, self._began = max(total, 1), 0, None, time.perf_counter()

    def __call__(self, count: int) -> None:
        before, self._done = self._done, self._done + count
        if self._kept is None:  # the first word is of maps that were there
            self._kept = self._done
        if before * 10 // self._total == self._done * 10 // self._total:
            return
        left = self._total - self._done
        told = time_left(time.perf_counter() - self._began, self._done - self._kept, left)
        print(f"{self._done}/{self._total} {self._what}{f', {told} left' if left else ''}", flush=True)
