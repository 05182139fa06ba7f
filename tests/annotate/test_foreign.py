"""Networks that others have made: saved by Paddle in both forms, in ONNX files, in every order of axes."""
from __future__ import annotations

import hashlib
import pickle

import numpy as np
import paddle
import pytest
from paddle.static import InputSpec

from ppim.annotate.onnx_file import beside, open_onnx
from ppim.annotate.outputs import Asked, as_cells, layout_of, of_cells
from ppim.annotate.saved import open_saved

CLASSES, SIZE = 5, 8


class Convolution(paddle.nn.Layer):
    """Cells (B, C, 2, 2) of images (B, 3, 8, 8)."""

    def __init__(self):
        super().__init__()
        self.layer = paddle.nn.Conv2D(3, CLASSES, 4, stride=4)

    def forward(self, x):
        return self.layer(x)


@pytest.fixture(scope="module")
def network():
    paddle.seed(4)
    network = Convolution()
    network.eval()
    return network


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).normal(size=(3, 3, SIZE, SIZE)).astype(np.float32)


def save(network, path, old: bool = False) -> None:
    spec = [InputSpec([None, 3, SIZE, SIZE])]
    if not old:
        return paddle.jit.save(network, str(path), input_spec=spec)
    with paddle.pir_utils.OldIrGuard():
        paddle.jit.save(network, str(path), input_spec=spec)


IS_OLD = paddle.__version__.startswith("2.")


@pytest.mark.smoke
@pytest.mark.parametrize("form", [".pdmodel"] if IS_OLD else [".json", ".pdmodel"])
def test_what_paddle_has_saved_says_of_cells_what_the_network_says(network, pixels, tmp_path, form):
    save(network, tmp_path / "net", old=form == ".pdmodel" and not IS_OLD)
    if (tmp_path / "net.pdiparams.info").exists():  # a pickle, which is not opened
        (tmp_path / "net.pdiparams.info").write_bytes(pickle.dumps(_Trap()))
    opened = of_cells("net", open_saved(tmp_path / f"net{form}"), (SIZE, SIZE), Asked(classes=CLASSES))
    assert (opened.num_classes, opened.grid) == (CLASSES, (2, 2))
    x = paddle.to_tensor(pixels)
    expected = network(x).flatten(2).transpose([0, 2, 1]).numpy()
    output = opened.tokens(x)
    np.testing.assert_allclose(output.token_logits.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(output.class_logits.numpy(), expected.mean(axis=1), atol=1e-5)


class _Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


@pytest.mark.smoke
def test_what_paddle_cannot_read_is_told_in_a_line(network, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"net\.pdmodel: no such file"):
        open_saved(tmp_path / "net.pdmodel")
    (tmp_path / "net.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"net\.pdiparams: no such file"):
        open_saved(tmp_path / "net.json")
    (tmp_path / "net.pdiparams").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="2.6|not a network that paddle.jit.save has written"):
        open_saved(tmp_path / "net.json")


@pytest.mark.parametrize("batch", ["batch", 2])
def test_an_onnx_network_says_the_same_also_where_it_takes_a_fixed_number_of_images(network, pixels, tmp_path, batch):
    pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX files: pip install ppim[annotate]")
    onnx = pytest.importorskip("onnx", reason="onnx writes the file of this test")
    from onnx import TensorProto, helper, numpy_helper

    weight, bias = (numpy_helper.from_array(p.numpy(), name) for p, name in
                    ((network.layer.weight, "w"), (network.layer.bias, "b")))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[4, 4])], "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, CLASSES, 2, 2])], [weight, bias])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              str(tmp_path / "net.onnx"))
    opened = of_cells("net", open_onnx(tmp_path / "net.onnx"), (SIZE, SIZE), Asked(classes=CLASSES))
    expected = network(paddle.to_tensor(pixels)).flatten(2).transpose([0, 2, 1]).numpy()
    np.testing.assert_allclose(opened.tokens(paddle.to_tensor(pixels)).token_logits.numpy(), expected, atol=1e-5)
    with pytest.raises(ValueError, match="does not run on images of 12 x 12 pixels.*--input-size"):
        of_cells("net", open_onnx(tmp_path / "net.onnx"), (12, 12), Asked())


def test_weights_beside_an_onnx_file_are_known_by_what_they_hold(tmp_path):
    assert beside(tmp_path / "net.onnx") == {}
    (tmp_path / "net.onnx.data").write_bytes(b"weights")
    assert beside(tmp_path / "net.onnx") == {"weights_data_sha256": hashlib.sha256(b"weights").hexdigest()}


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX files: pip install ppim[annotate]")
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"net\.onnx: not a network that onnxruntime can run"):
        open_onnx(tmp_path / "net.onnx")


def test_without_onnxruntime_it_is_said_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    monkeypatch.setattr("ppim.annotate.onnx_file.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .ppim\[annotate\]"):
        open_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(("shape", "asked", "layout"), [
    ((1, 196, 10), Asked(), "BNC"), ((1, 196, 10), Asked(10), "BNC"), ((1, 10, 14, 14), Asked(10), "BCHW"),
    ((1, 14, 14, 10), Asked(10), "BHWC"), ((1, 10, 14, 14), Asked(None, "BCHW"), "BCHW"),
    ((1, 10, 14, 10), Asked(10, "BHWC"), "BHWC"), ((1, 10, 14, 10), Asked(10, "BCHW"), "BCHW"),
])
def test_axes_are_told_by_the_number_of_classes(shape, asked, layout):
    assert layout_of("net", shape, asked) == layout


@pytest.mark.parametrize(("shape", "asked", "told"), [
    ((1, 10), Asked(10), "class logits alone.*exports a network with its head on every cell"),
    ((1, 10, 14, 14), Asked(), "--classes FILE, or say --cells BHWC or --cells BCHW"),
    ((1, 10, 14, 10), Asked(10), "both axes could be the classes; say --cells"),
    ((1, 11, 14, 14), Asked(10), "no axis has the 10 classes"),
    ((1, 10, 14, 14), Asked(10, "BHWC"), "no axis of BHWC has the 10 classes"),
    ((1, 196, 11), Asked(10), "no axis has the 10 classes"),
    ((1, 196, 10), Asked(10, "BCHW"), "cannot be BCHW; leave --cells out"),
    ((1, 2, 3, 4, 5), Asked(5), "wanted logits of cells"),
])
def test_what_cannot_be_told_is_an_error_that_says_what_to_do(shape, asked, told):
    with pytest.raises(ValueError, match=told):
        layout_of("net", shape, asked)


def test_cells_are_taken_row_by_row_whatever_the_order_of_axes():
    cells = np.arange(24).reshape(1, 2, 3, 4)
    for layout, array in (("BHWC", cells), ("BCHW", cells.transpose(0, 3, 1, 2)), ("BNC", cells.reshape(1, 6, 4))):
        np.testing.assert_array_equal(as_cells(array, layout), cells.reshape(1, 6, 4))


def test_of_several_outputs_one_is_named_and_class_tokens_are_no_cells():
    def run(images):
        return {"classes": np.zeros((len(images), 7)), "cells": np.zeros((len(images), 4, 7)),
                "tokens": np.zeros((len(images), 5, 7))}

    with pytest.raises(ValueError, match=r"classes \[1, 7\], cells \[1, 4, 7\].*--output-name"):
        of_cells("net", run, (8, 8), Asked())
    with pytest.raises(ValueError, match="no such output"):
        of_cells("net", run, (8, 8), Asked(output="logits"))
    with pytest.raises(ValueError, match="5 cells, which make no square"):
        of_cells("net", run, (8, 8), Asked(output="tokens"))
    assert of_cells("net", run, (8, 8), Asked(output="cells")).grid == (2, 2)
