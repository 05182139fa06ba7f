"""A network in an ONNX file, as an annotator: whatever else has trained it, onnxruntime runs it."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ppim.files import sha256

SUFFIXES = (".onnx",)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def open_onnx(path: str | Path) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Images (B, 3, h, w) float32 -> outputs by name; a network of a fixed number of images gets them in portions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: onnxruntime is not installed, the file is none of ONNX, or the network takes more than images.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; give the ONNX file of a network")
    if find_spec("onnxruntime") is None:
        raise ValueError(f"{path} wants a package that is not installed: pip install \"ppim[annotate]\"")
    session = _session(path)
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 4:
        takes = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise ValueError(f"{path} takes {takes}; wanted a network that takes images (B, 3, h, w) alone, as floats")
    name, dtype, fixed = inputs[0].name, _TYPES[inputs[0].type], inputs[0].shape[0]
    outputs = [output.name for output in session.get_outputs()]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        size = fixed if isinstance(fixed, int) else len(images)
        portions = [_filled(images[first:first + size], size) for first in range(0, len(images), size)]
        try:
            given = [session.run(outputs, {name: portion.astype(dtype)}) for portion in portions]
        except Exception as error:
            why = " ".join(str(error).split())
            raise ValueError(f"{path} does not run on images of {images.shape[2]} x {images.shape[3]} pixels "
                             f"({why[-200:]}); give the size it was made for, --input-size PX") from None
        return {key: np.concatenate(parts)[:len(images)] for key, parts in zip(outputs, zip(*given))}

    return run


def beside(path: str | Path) -> dict[str, str]:
    """What a card says of the file of weights that PyTorch writes beside an ONNX file; nothing where there is none."""
    weights = Path(f"{path}.data")
    return {"weights_data_sha256": sha256(weights)} if weights.is_file() else {}


def _session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    options.log_severity_level = 3
    able = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in able]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: not a network that onnxruntime can run ({why[-200:]}); export it again") from None


def _filled(images: np.ndarray, size: int) -> np.ndarray:
    return images if len(images) == size else np.concatenate([images, np.repeat(images[-1:], size - len(images), 0)])
