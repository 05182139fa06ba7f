"""A network saved by `paddle.jit.save`, as an annotator: `NAME.json` (Paddle 3) or `NAME.pdmodel` (2), and its weights.

It runs through paddle.inference. `paddle.jit.load` would unpickle a file beside it, and so run whatever that says.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import paddle
from paddle import inference

SUFFIXES = (".json", ".pdmodel")


def open_saved(path: str | Path) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Images (B, 3, h, w) float32 -> outputs by name.

    Raises:
        FileNotFoundError: the program, or its weights beside it, is not there.
        ValueError: this Paddle cannot read it; or it takes more than images.
    """
    path = Path(path)
    weights = path.with_suffix(".pdiparams")
    for file in (path, weights):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; paddle.jit.save writes NAME.json or NAME.pdmodel, and "
                                    "NAME.pdiparams beside it")
    predictor = _predictor(path, weights)
    names = predictor.get_input_names()
    if len(names) != 1:
        raise ValueError(f"{path} takes {', '.join(names)}; wanted a network that takes images alone")
    image = predictor.get_input_handle(names[0])

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        image.copy_from_cpu(np.ascontiguousarray(images))
        predictor.run()
        return {name: predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()}

    return run


def _predictor(path: Path, weights: Path):
    if path.suffix == ".json" and paddle.__version__.startswith("2."):
        raise ValueError(f"{path} was saved by Paddle 3, this is {paddle.__version__}; save it with this Paddle, which "
                         "writes a .pdmodel, or install Paddle 3")
    config = inference.Config(str(path), str(weights))
    config.disable_glog_info()
    if paddle.device.get_device().startswith("gpu"):
        config.enable_use_gpu(256, int(paddle.device.get_device().partition(":")[2]))
    else:
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    try:
        return inference.create_predictor(config)
    except Exception as error:  # C++ says in many lines what it did not like
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: not a network that paddle.jit.save has written ({why[-200:]}); "
                         "save it again") from None
