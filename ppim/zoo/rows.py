"""A row of the zoo: what others have published of a model, and the view it was evaluated in.

Read from the section `published` of the families' yaml files. Every figure is published, not re-measured. Sources:
`original` is the authors' code and paper (arXiv 2104.10858 LV-ViT, 2101.11986 T2T-ViT, 2012.12877 DeiT, 2204.07118
DeiT-III, 2304.07193 DINOv2), `PPIM` Paddle-Image-Models, `PaddleViT` and `timm` their tables; what follows a comma
there says how weights of the same source differ from the others. What is counted from our own models (parameters,
multiply-accumulates) is in counts.json, see `counts`.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ppim.families import Facts, facts
from ppim.names import normalise_name
from ppim.zoo.download import name_of

NOTE = "published, not re-measured"
CLASSES = 1000  # of every published file that has a head
_READ = (".pdparams", ".safetensors", ".pth", ".pth.tar")  # ends of what `load_weights` is known to read
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


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
    """Weights to be had. `name` is empty where the link leads to a page that shows it; Baidu asks for `code`.
    `licence`: an SPDX name, as its publisher has it; empty where none was looked up."""

    source: str
    url: str
    name: str = ""
    code: str = ""
    licence: str = ""

    @property
    def is_paddle(self) -> bool:
        """Whether the link itself gives a .pdparams file."""
        return self.name.endswith(".pdparams")

    @property
    def is_readable(self) -> bool:
        """Whether the link itself gives a file that `load_weights` reads."""
        return self.name.endswith(_READ)


class Row(NamedTuple):
    """One published model. `crop_pct` is the evaluation view of our recipe, which may be one of several published, at
    `view_size` pixels; mean and std are of pixel values in [0, 1]."""

    name: str
    family: str
    image_size: int
    crop_pct: float
    alias: str = ""  # PPIM's name, where it is another
    accuracy: tuple[Accuracy, ...] = ()
    macs: tuple[Macs, ...] = ()
    files: tuple[File, ...] = ()
    interpolation: str = "bicubic"
    view_size: int = 224
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    as_ppim: bool = True  # is the family's view that of PPIM's pages?

    @property
    def download(self) -> File | None:
        """The file `pretrained=True` fetches: the first for Paddle, else the first that we read."""
        readable = [file for file in self.files if file.is_readable]
        return next((file for file in readable if file.is_paddle), readable[0] if readable else None)

    def short_side(self, size: int) -> int:
        """Pixels of the short side before the centre crop of `size`, where transforms are asked for by name."""
        return ppim_resize(size) if self.as_ppim else int(size / self.crop_pct)


def ppim_resize(size: int) -> int:
    """The short side before the centre crop of `size` pixels, on PPIM's pages: a margin at 224 pixels only."""
    return 248 if size == 224 else size


def _file(source: str, url: str = "", page: str = "", code: str = "", name: str = "", licence: str = "") -> File:
    """`url` gives the file itself, `page` shows a link to it; `name` where the address says less than one wants."""
    return File(source, url or page, name or (name_of(url) if url else ""), code, licence)


def _row(family: Facts, name: str) -> Row:
    published, image_size = family.published[name], family.sizes[name].get("image_size", 224)
    return Row(
        name,
        family.type,
        image_size=image_size,
        crop_pct=published["crop_pct"],
        alias=published.get("ppim", ""),
        accuracy=tuple(Accuracy(**entry) for entry in published.get("accuracy", ())),
        macs=tuple(Macs(**entry) for entry in published.get("macs", ())),
        files=tuple(_file(**entry) for entry in published.get("files", ())),
        view_size=published.get("view_size", image_size),
        mean=tuple(published.get("mean", _MEAN)),
        std=tuple(published.get("std", _STD)),
        as_ppim=any(file["source"] == "PPIM" for row in family.published.values() for file in row.get("files", ())),
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
