"""For which engines can a bundle be made, and what has to be installed for that?"""
from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple


class Engine(NamedTuple):
    """What a format is to its users.

    Attributes:
        files: of the bundle, as its README has them; `what`: they are.
        package: that runs them.
        needs: packages that writing and checking want beyond ppim's own; the extra of the format's name has them.
        note: what a program other than `infer.py` has to know to get the same logits; in words, or empty.
    """

    files: str
    what: str
    package: str
    needs: tuple[str, ...]
    note: str = ""


FORMATS = {
    "paddle": Engine("`model.json` or `model.pdmodel`, `model.pdiparams`", "the network for paddle.inference",
                     "paddlepaddle", ()),
    "onnx": Engine("`model.onnx`", "the network for onnxruntime, and for whatever else reads ONNX", "onnxruntime",
                   ("paddle2onnx", "onnx", "onnxruntime")),
    "openvino": Engine("`model.xml`, `model.bin`", "the network for OpenVINO", "openvino",
                       ("paddle2onnx", "onnx", "openvino"),
                       "a program of your own has to compile it with INFERENCE_PRECISION_HINT f32, as infer.py does: "
                       "by itself OpenVINO computes in bfloat16 on processors that can, and logits move"),
}


def missing(name: str) -> list[str]:
    """Packages that a format needs and that are not installed."""
    return [package for package in FORMATS[name].needs if find_spec(package) is None]


def check_installed(wanted: Sequence[str]) -> None:
    """Raise ValueError where a format needs a package that is not installed."""
    for name in wanted:
        lacking = missing(name)
        if lacking:
            raise ValueError(f"--formats {name} wants packages that are not installed ({', '.join(lacking)}): "
                             f"pip install \"ppim[{name}]\"{older_converter()}")


def older_converter() -> str:
    """The paddle2onnx that goes with the Paddle installed, as words for pip, where it is not the newest."""
    for package in ("paddlepaddle", "paddlepaddle-gpu"):
        try:
            if metadata.version(package).startswith("2."):
                return ' "paddle2onnx<2"'
        except metadata.PackageNotFoundError:
            continue
    return ""
