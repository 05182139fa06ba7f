"""Every kind of network, traced and run by paddle.inference: the logits of eager evaluation, for any batch."""
from __future__ import annotations

import importlib.util
import sys

import numpy as np
import paddle
import pytest

from ppim.export import formats
from ppim.export.engines import FORMATS, check_installed
from ppim.models import create_model
from ppim.models.deit import DeiT
from ppim.models.vit import ViT
from tests.helpers import SMALL, images, small_lvvit, small_t2t_vit, small_volo, spread_weights

MODELS = {
    "lvvit": lambda **more: small_lvvit(depth=1, **more),
    "t2t_vit performer": lambda: small_t2t_vit(depth=1),
    "t2t_vit transformer": lambda: small_t2t_vit(depth=1, token_type="transformer", dense_head=True),
    "deit distilled": lambda: DeiT(**{**SMALL, "depth": 1}, patch_size=8, distilled=True),
    "vit registers": lambda: ViT(**{**SMALL, "depth": 1}, patch_size=8, registers=2, class_position=False,
                                 layer_scale=True, layer_scale_start=0.5),
    "volo": lambda: small_volo(),
    "resnet18": lambda: create_model("resnet18", num_classes=5, image_size=32),
}


def predictor(folder):
    from paddle import inference

    (program,) = [path for path in folder.iterdir() if path.suffix in (".json", ".pdmodel")]
    config = inference.Config(str(program), str(folder / "model.pdiparams"))
    config.disable_glog_info()
    made = inference.create_predictor(config)

    def run(x):
        made.get_input_handle(made.get_input_names()[0]).copy_from_cpu(x.numpy())
        made.run()
        return [made.get_output_handle(name).copy_to_cpu() for name in made.get_output_names()]

    return run


def drawn(name, **more):
    paddle.seed(0)
    model = MODELS[name](**more)
    if name != "resnet18":  # its norms keep numbers in range
        spread_weights(model)
    model.eval()
    return model


@pytest.mark.smoke
@pytest.mark.parametrize("name", MODELS)
def test_the_traced_network_gives_the_logits_of_evaluation_for_any_batch(name, tmp_path):
    model, inputs = drawn(name), [images(batch) for batch in (1, 3)]
    with paddle.no_grad():
        before = [model(x).numpy() for x in inputs]
        formats.write(model, tmp_path, ("paddle",), tokens=False)
        # eager as it was: else the program would later be compared with itself
        assert type(model.forward).__name__ == "method"
        np.testing.assert_array_equal(model(inputs[1]).numpy(), before[1])
    run = predictor(tmp_path)
    for x, wanted in zip(inputs, before):
        (logits,) = run(x)
        assert logits.shape == (len(x), 5) and np.ptp(wanted) > 0.1
        np.testing.assert_allclose(logits, wanted, atol=1e-5 * np.ptp(wanted), rtol=0)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".pdmodel", ".pdiparams"}


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_say_of_the_token_head_is_kept_and_its_logits_are_given_where_they_are_wanted(weight, tmp_path):
    model = drawn("lvvit", stem_bn="frozen" if weight else "batch")
    model.eval_token_weight = weight
    formats.write(model, tmp_path, ("paddle",), tokens=True)
    x = images(2)
    with paddle.no_grad():
        logits = model(x).numpy()
        wanted = model.evaluate_tokens(x)
    found = predictor(tmp_path)(x)
    assert found[1].shape == (2, 16, 5)
    np.testing.assert_allclose(found[0], logits, atol=1e-5)
    np.testing.assert_allclose(found[1], wanted.token_logits.numpy(), atol=1e-5)


@pytest.mark.parametrize(("name", "package"), [("onnx", "paddle2onnx"), ("openvino", "openvino")])
def test_a_package_that_is_missing_is_named_with_the_extra_that_has_it(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as good as not installed
    assert package in FORMATS[name].needs
    with pytest.raises(ValueError, match=rf'{name} wants .*\b{package}\b.*: pip install "ppim\[{name}\]"'):
        check_installed([name])


@pytest.mark.skipif(importlib.util.find_spec("paddle2onnx") is None, reason="paddle2onnx: pip install ppim[onnx]")
def test_exporting_installs_nothing(tmp_path, monkeypatch):
    called = tmp_path / "pip.py"
    called.write_text(f"open({str(tmp_path / 'called')!r}, 'w')\n")
    monkeypatch.setenv("POLYGRAPHY_INSTALL_CMD", f"{sys.executable} {called}")
    formats.write(drawn("lvvit"), tmp_path, ("paddle", "onnx"), tokens=False)
    assert any(path.suffix == ".onnx" for path in tmp_path.iterdir()) and not (tmp_path / "called").exists()
