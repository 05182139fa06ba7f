"""How does a network become files? Traced by Paddle, from that ONNX, and from that OpenVINO.

The converters run in processes of their own, since they print at length, leave files behind and may crash.
"""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from ppim.export.engines import older_converter
from ppim.models.base import TokenModel
from ppim.models.program import write_program

OUTPUTS = ("logits", "token_logits")


def write(model: TokenModel, folder: Path, formats: tuple[str, ...], tokens: bool) -> None:
    """Write the network into `folder`: model.json or model.pdmodel with model.pdiparams, model.onnx, model.xml with
    model.bin; only those of `formats` stay. The batch may have any size.

    Args:
        tokens: give the logits of the tokens, (B, N, K), besides.

    Raises:
        ValueError: a converter fails; in a line that says what to try.
    """
    static = write_program(model, folder, tokens)
    if {"onnx", "openvino"} & set(formats):
        _convert("to_onnx.py", *static, folder / "model.onnx", *OUTPUTS[: 1 + tokens])
    if "openvino" in formats:
        _convert("to_openvino.py", folder / "model.onnx", folder / "model.xml")
    unwanted = [*(static if "paddle" not in formats else ()), *([] if "onnx" in formats else [folder / "model.onnx"])]
    for path in unwanted:
        path.unlink(missing_ok=True)


def _convert(script: str, source: Path, *words: object) -> None:
    """Run a script of this folder; its temporary files end with it."""
    command = [sys.executable, str(Path(__file__).with_name(script)), str(source), *map(str, words)]
    with tempfile.TemporaryDirectory(dir=source.parent) as scratch:
        env = {**os.environ, "TMPDIR": scratch, "GLOG_minloglevel": "2"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
    package = {"to_onnx.py": "paddle2onnx", "to_openvino.py": "openvino"}[script]
    another = f"pip install{older_converter() or f' another version of {package}'}"
    raise ValueError(
        f"{package} {metadata.version(package)} cannot convert this model ({lines[-1][:160]}; exit code "
        f"{done.returncode}, --debug shows all); try {another}, or --formats paddle"
    ) from RuntimeError(done.stdout + done.stderr)
