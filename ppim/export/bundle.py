"""What lies in a bundle, and how does one appear? Whole, checked against the model, or not at all."""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from string import Template

import paddle

import ppim
from ppim.data import preprocess
from ppim.export import formats
from ppim.export.compare import Agreement, compare
from ppim.export.engines import FORMATS, check_installed
from ppim.export.pictures import photos_for
from ppim.export.source import Source, lines_of
from ppim.files import sha256, sync
from ppim.strict_json import dumps


def check_free(output: Path) -> None:
    """Raise ValueError where something lies at the path of a bundle to be written, or it cannot be put in place."""
    if output.resolve() == Path.cwd():
        raise ValueError(f"--output {output} is the folder this was started in, which cannot be put in place as a "
                         "whole; name another folder")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ValueError(f"--output {output} exists already; remove it, or name another folder")


def export(
    source: Source, output: Path, wanted: Sequence[str], photos: Sequence[str] = (), *, tokens: bool = False,
    say: Callable[[str], object] = print,
) -> list[Agreement]:
    """Write a bundle and check it on photos.

    Args:
        output: a folder that does not exist, or is empty.
        wanted: names of `FORMATS`.
        photos: files and folders; none: pictures are drawn.
        tokens: the logits of the tokens besides.
        say: takes a line now and then.

    Raises:
        ValueError: `output` is taken, a package is missing, a converter or engine fails, or the bundle's logits are
            not the model's. Nothing is left at `output` then.
    """
    chosen, output = tuple(name for name in FORMATS if name in wanted), output.resolve()
    check_free(output)
    check_installed(chosen)
    output.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, since a folder moves in one step within one file system only
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    beside.mkdir()
    try:
        scratch = beside / "scratch"
        scratch.mkdir()
        named = photos_for(photos, scratch / "drawn", max(source.model.image_size), source.kind.drawn)
        formats.write(source.model, beside, chosen, tokens)
        _write_program(source, beside, chosen, tokens)
        found = compare(source.kind.comparison, source.model, source.preprocess, beside, chosen, named, scratch, tokens,
                        say)
        _check(found)
        _write_card(source, beside, found, drawn=not photos)
        shutil.rmtree(scratch)
        _settle(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return found


def _check(found: Sequence[Agreement]) -> None:
    for agreement in found:
        if not agreement.holds:
            raise ValueError(f"the exported model is not the model: {agreement}, more than {agreement.limit:.2g}; "
                             "nothing is written. Try another version of the engine, or leave it out of --formats")


def _write_program(source: Source, folder: Path, wanted: Sequence[str], tokens: bool) -> None:
    """All but the network and the card."""
    (folder / "preprocess.json").write_text(dumps(source.preprocess, indent=1) + "\n", encoding="utf-8")
    (folder / "classes.txt").write_text(lines_of(source.ids, source.names), encoding="utf-8", errors="surrogateescape")
    shutil.copyfile(preprocess.__file__, folder / "preprocess.py")
    for name, ours in source.kind.program.items():
        shutil.copyfile(Path(__file__).with_name(ours), folder / name)
    page = Template(resources.files("ppim.export").joinpath(source.kind.page).read_text(encoding="utf-8"))
    height, width = source.preprocess["image_size"]
    rows, columns = source.model.grid
    (folder / "README.md").write_text(page.substitute(
        model=source.card["model"], version=ppim.__version__, height=height, width=width, classes=len(source.names),
        files="\n".join(f"| {one.files} | {'; '.join(filter(None, (one.what, one.note)))} |"
                        for one in map(FORMATS.get, wanted)),
        package=FORMATS[wanted[-1]].package, engine=wanted[-1],
        tokens=f", then `token_logits`: (batch, {rows * columns}, {len(source.names)}), the tokens of a grid of "
               f"{rows} x {columns}, row by row" if tokens else "",
    ), encoding="utf-8")


def _write_card(source: Source, folder: Path, found: Sequence[Agreement], drawn: bool) -> None:
    checks = [{**agreement.as_dict(), "drawn": drawn} for agreement in found]
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name.startswith("model.")}
    card = {**source.card, "ppim": ppim.__version__, "paddle": paddle.__version__, "files": files, "checked": checks}
    (folder / "card.json").write_text(dumps(card, indent=1) + "\n", encoding="utf-8")


def _settle(beside: Path, output: Path) -> None:
    """Have the disk keep the files, then give the folder its name."""
    shutil.rmtree(beside / "__pycache__", ignore_errors=True)
    for path in (*beside.iterdir(), beside):
        sync(path)
    check_free(output)  # another export may have been faster
    os.rename(beside, output)
    sync(output.parent)
