"""How do other runtimes compute the same network? onnxruntime and OpenVINO, where they and the converter are here."""
from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ppim.engine.inference import has_products
from ppim.export.engines import missing
from ppim.export.formats import write
from ppim.models.base import TokenModel

Ask = Callable[[np.ndarray], np.ndarray]


def exported(model: TokenModel, threads: int) -> Mapping[str, Ask]:
    """By runtime and precision: evaluation logits (B, K) of normalised images (B, 3, h, w), both float32 arrays.

    Args:
        threads: that a runtime may use.
    """
    here = tuple(name for name in ("onnx", "openvino") if not missing(name))
    found: dict[str, Ask] = {}
    if not here:
        return found
    with tempfile.TemporaryDirectory() as folder:
        write(model, Path(folder), here, tokens=False)
        if "onnx" in here:
            found["onnxruntime, float32"] = _onnxruntime(Path(folder) / "model.onnx", threads)
        if "openvino" in here:
            program = Path(folder) / "model.xml"
            found["OpenVINO, float32"] = _openvino(program, threads, "f32")
            if has_products("bfloat16"):
                found["OpenVINO, bfloat16"] = _openvino(program, threads, "bf16")
    return found


def _onnxruntime(program: Path, threads: int) -> Ask:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3  # its warnings are of the converter
    session = onnxruntime.InferenceSession(str(program), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _openvino(program: Path, threads: int, precision: str) -> Ask:
    import openvino

    how = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "ENABLE_MMAP": False}
    network = openvino.Core().compile_model(str(program), "CPU", how)
    return lambda images: np.array(network(images)[0])
