"""A row of the zoo: what others have published of a model, and the view it was evaluated in.

Read from the section `published` of the families' yaml files. Every figure is published, not re-measured. Sources:
`original` is the authors' code and paper (arXiv 2104.10858 LV-ViT, 2101.11986 T2T-ViT, 2012.12877 DeiT), `PPIM`
Paddle-Image-Models, `PaddleViT` its table. What is counted from our own models (parameters, multiply-accumulates) is in
counts.json, see `counts`.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ppim.families import Facts, facts
from ppim.names import normalise_name
from ppim.zoo.download import name_of

NOTE = "published, not re-measured"
CLASSES = 1000  # of every published file


class Accuracy(NamedTuple):
    """On the 50,000 validation images of ImageNet-1k, in percent.

    `crop_pct` is the view it was measured in: the short side to floor(size / crop_pct), then the centre crop. None: the
    source does not say.
    """

    source: str
    top1: float
    top5: float | None = None
    crop_pct: float | None = None


class Macs(NamedTuple):
    """A published number of multiply-accumulates for one image, in 10^9; some tables call it FLOPs.

    `attention`: whether the products inside attention are in it. Nobody says so; our own count does. None: the figure
    fits the network neither way.
    """

    source: str
    giga: float
    attention: bool | None = True


class File(NamedTuple):
    """Weights to be had. `name` is empty where the link leads to a page that shows it; Baidu asks for `code`."""

    source: str
    url: str
    name: str = ""
    code: str = ""

    @property
    def is_paddle(self) -> bool:
        """Whether the link itself gives a .pdparams file."""
        return self.name.endswith(".pdparams")


class Row(NamedTuple):
    """One published model. `crop_pct` is the evaluation view of our recipe, which may be one of several published."""

    name: str
    family: str
    image_size: int
    crop_pct: float
    alias: str = ""  # PPIM's name, where it is another
    accuracy: tuple[Accuracy, ...] = ()
    macs: tuple[Macs, ...] = ()
    files: tuple[File, ...] = ()
    interpolation: str = "bicubic"

    @property
    def download(self) -> File | None:
        """The file `pretrained=True` fetches."""
        return next((file for file in self.files if file.is_paddle), None)


def ppim_resize(size: int) -> int:
    """The short side before the centre crop of `size` pixels, on PPIM's pages: a margin at 224 pixels only."""
    return 248 if size == 224 else size


def _file(source: str, url: str = "", page: str = "", code: str = "") -> File:
    """`url` gives the file itself, `page` shows a link to it."""
    return File(source, url or page, name_of(url) if url else "", code)


def _row(family: Facts, name: str) -> Row:
    published = family.published[name]
    return Row(
        name,
        family.type,
        image_size=family.sizes[name].get("image_size", 224),
        crop_pct=published["crop_pct"],
        alias=published.get("ppim", ""),
        accuracy=tuple(Accuracy(**entry) for entry in published.get("accuracy", ())),
        macs=tuple(Macs(**entry) for entry in published.get("macs", ())),
        files=tuple(_file(**entry) for entry in published.get("files", ())),
    )


ROWS = tuple(_row(family, name) for family in facts().values() for name in family.published)


def find(name: str) -> Row | None:
    """The row of a model by any of its names."""
    return next((row for row in ROWS if row.name == normalise_name(name)), None)


def counts() -> dict[str, dict[str, int]]:
    """{model: {parameters, macs, attention_macs}}, as tools/generate_model_zoo.py counted them; rows since then lack.

    `parameters` includes tables that are never trained; `attention_macs` is the part of `macs` inside attention.
    """
    return json.loads(Path(__file__).with_name("counts.json").read_text(encoding="utf-8"))
