"""What other runtimes are timed with is the network itself."""
from importlib.util import find_spec

import numpy as np
import paddle

from ppim.bench.exported import exported
from ppim.export.engines import FORMATS
from ppim.models import create_model


def test_runtimes_that_are_installed_answer_what_the_network_answers():
    here = [name for name in ("onnx", "openvino") if all(find_spec(package) for package in FORMATS[name].needs)]
    paddle.seed(0)
    model = create_model("lvvit_demo")
    model.eval()
    pixels = np.random.default_rng(0).normal(0, 1, (2, 3, *model.image_size)).astype(np.float32)
    with paddle.no_grad():
        wanted = model(paddle.to_tensor(pixels)).numpy()
    found = exported(model, 1)
    names = {"onnx": "onnxruntime, float32", "openvino": "OpenVINO, float32"}
    assert {name for name in found if "float32" in name} == {names[name] for name in here}
    for name, ask in found.items():
        np.testing.assert_allclose(ask(pixels), wanted, atol=1e-4 if "float32" in name else 0.2, err_msg=name)
