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

import paddle
from paddle import nn
from paddle.static import InputSpec

from ppim.export.engines import older_converter
from ppim.models.base import TokenModel
from ppim.stopping import put_off

OUTPUTS = ("logits", "token_logits")


class _Evaluation(nn.Layer):
    """What is traced: logits (B, K), or with `tokens` those and (B, N, K), as tensors, which is all a program can give.
    """

    def __init__(self, model: TokenModel, tokens: bool):
        super().__init__()
        self.model, self.tokens = model, tokens

    def forward(self, image):
        if self.tokens:
            output = self.model.evaluate_tokens(image)
            return output.class_logits, output.token_logits
        return self.model(image)


def write(model: TokenModel, folder: Path, formats: tuple[str, ...], tokens: bool) -> None:
    """Write the network into `folder`: model.json or model.pdmodel with model.pdiparams, model.onnx, model.xml with
    model.bin; only those of `formats` stay. The batch may have any size.

    Args:
        tokens: give the logits of the tokens, (B, N, K), besides.

    Raises:
        ValueError: a converter fails; in a line that says what to try.
    """
    static = _write_static(model, folder, tokens)
    if {"onnx", "openvino"} & set(formats):
        _convert("to_onnx.py", *static, folder / "model.onnx", *OUTPUTS[: 1 + tokens])
    if "openvino" in formats:
        _convert("to_openvino.py", folder / "model.onnx", folder / "model.xml")
    unwanted = [*(static if "paddle" not in formats else ()), *([] if "onnx" in formats else [folder / "model.onnx"])]
    for path in unwanted:
        path.unlink(missing_ok=True)


def _write_static(model: TokenModel, folder: Path, tokens: bool) -> tuple[Path, Path]:
    """The traced program and its weights."""
    spec = InputSpec([None, 3, *model.image_size], "float32", "image")
    layer = _Evaluation(model, tokens)
    layer.eval()
    with put_off():  # Paddle makes other exceptions of those that come while it traces
        paddle.jit.save(layer, str(folder / "model"), input_spec=[spec])
    (folder / "model.pdiparams.info").unlink(missing_ok=True)  # of Paddle 2.6, for training on
    program = next(path for path in (folder / "model.json", folder / "model.pdmodel") if path.is_file())
    return program, folder / "model.pdiparams"


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
