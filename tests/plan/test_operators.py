"""What a traced program is said to compute, against programs counted by hand and against published counts."""
import math

import paddle
import pytest
from paddle import nn

from ppim import zoo
from ppim.models import create_model
from ppim.plan.gpus import find
from ppim.plan.operators import ATTENTION, Operator, Value, product_macs
from ppim.plan.roofline import Assumed, gpu_seconds, seconds_on
from ppim.plan.trace import Traced, declared, trace

pytestmark = pytest.mark.skipif(paddle.version.major == "2", reason="plans are made with Paddle 3")


class TwoLayers(nn.Layer):
    """5 x 4 -> 8 -> 3."""

    grid, num_classes = (1, 1), 3

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)


def two_layers() -> Traced:
    def build():
        model = TwoLayers()
        return model, lambda: model.second(nn.functional.relu(model.first(declared("x", [5, 4], "float32")))).sum()

    return trace(build, 8)


def test_two_layers_are_counted_as_by_hand():
    traced = two_layers()
    products = [operator for operator in traced.operators if operator.macs]
    # x W1, h W2; back: both gradients of the second, of the first that of W1 alone, for nobody asks for x's
    assert [(operator.name, operator.macs) for operator in products] == [
        ("matmul", 5 * 4 * 8), ("matmul", 5 * 8 * 3), ("matmul_grad", 2 * 5 * 8 * 3), ("matmul_grad", 5 * 4 * 8)]
    assert products[0].moved == 4 * (5 * 4 + 4 * 8 + 5 * 8)
    assert [operator.name for operator in traced.forward] == ["matmul", "add", "relu", "matmul", "add", "sum"]
    assert (traced.trained, traced.state, traced.trained_tensors) == (67, 67, 4) and len(traced.gradients) == 4
    sum_of_biases = [operator for operator in traced.operators if operator.name == "add_grad"]
    # of what was added only shapes are looked at: (5, 3) read, (5, 3) and (3,) written
    assert sum_of_biases[0].moved == 4 * (15 + 15 + 3)


def test_a_roofline_by_hand():
    gpu = find("v100-32")._replace(tflops={"float32": 10.0, "float16": 100.0}, bandwidth_gbs=1000)
    square, assumed = Value(0, (4096, 4096), 4, "float32"), Assumed(peak_share=0.5, bandwidth_share=0.8)
    product = Operator("matmul", (square, square._replace(key=1)), (square._replace(key=2),), 4096**3)
    # 2 x 4096^3 FLOP at 5 TFLOP/s, far more than 201 MB at 800 GB/s
    assert seconds_on(product, gpu, assumed) == pytest.approx(2 * 4096**3 / 5e12)
    # one operand twice is read once: 134 MB
    addition = Operator("add", (square, square), (square._replace(key=2),))
    assert seconds_on(addition, gpu, assumed) == pytest.approx(2 * 4 * 4096**2 / 800e9)
    half = product._replace(reads=tuple(value._replace(dtype="bfloat16", itemsize=2) for value in product.reads))
    assert seconds_on(half, gpu, assumed, "float16") == pytest.approx(2 * 4096**3 / 50e12)
    assert gpu_seconds([product, addition], gpu, assumed) == pytest.approx(
        seconds_on(product, gpu, assumed) + seconds_on(addition, gpu, assumed))


def test_products_by_their_shapes():
    assert product_macs("matmul", [(2, 3, 5), (2, 5, 7)], [(2, 3, 7)]) == 2 * 3 * 5 * 7
    assert product_macs("matmul", [(5, 3), (5, 7)], [(3, 7)], transposed=True) == 3 * 5 * 7
    assert product_macs("conv2d", [(2, 3, 8, 8), (6, 3, 3, 3)], [(2, 6, 4, 4)]) == 2 * 6 * 16 * 27
    assert product_macs("conv2d_grad", [(2, 3, 8, 8), (6, 3, 3, 3), (2, 6, 4, 4)], [(6, 3, 3, 3)]) == 2 * 6 * 16 * 27
    assert product_macs(ATTENTION, [(2, 9, 3, 4)] * 3, []) == 2 * 2 * 3 * 81 * 4
    assert product_macs("add", [(2, 3)], [(2, 3)]) == 0


def test_views_move_nothing_and_picks_read_what_they_write():
    whole, part = Value(0, (100, 4), 4, "float32"), Value(1, (10, 4), 4, "float32")
    assert Operator("reshape", (whole,), (whole,)).moved == 0
    assert Operator("gather", (whole, Value(2, (10,), 8, "int64")), (part,)).moved == 160 + 160 + 80
    assert Operator("batch_norm_", (whole,), (whole._replace(key=3),)).moved == 3 * 1600


def test_a_published_model_has_the_products_that_are_published():
    images, counted = 2, zoo.counts()["lvvit_s"]

    def build():
        model = create_model("lvvit_s")
        model.train()

        def compute():
            with paddle.amp.auto_cast(enable=True, dtype="bfloat16", level="O1"):
                output = model.tokens(declared("x", [images, 3, 224, 224], "float32"))
            return sum(part.astype("float32").mean() for part in (output.class_logits, output.token_logits))

        return model, compute

    traced = trace(build, 8)
    assert sum(operator.macs for operator in traced.forward) == images * counted["macs"]
    assert counted["macs"] / 1e9 == pytest.approx(6.6, rel=0.01)  # arXiv 2104.10858, table 1
    # three forward passes of products in all, but for the gradient of the pictures, and one of attention's more
    whole = sum(operator.macs for operator in traced.operators)
    first = 64 * 3 * 7 * 7 * 112 * 112
    attention = counted["attention_macs"]
    assert whole == images * (3 * counted["macs"] - first + attention // 2)
    fused = [operator for operator in traced.operators if operator.name.startswith(ATTENTION)]
    assert len(fused) == 2 * len(traced.blocks) == 32
    assert len(fused[0].reads) == 3 and fused[0].reads[0].dtype == "bfloat16"
    assert fused[0].moved == 4 * 2 * math.prod(fused[0].reads[0].shape)
