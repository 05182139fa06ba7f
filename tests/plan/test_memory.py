"""The memory a plan foretells: what lives when, by hand; and against a training step that was really taken."""
import numpy as np
import paddle
import pytest

from ppim.config import get_config
from ppim.models import create_model
from ppim.objective.objective import Objective
from ppim.plan.loader import batch_fields
from ppim.plan.memory import largest_batch, peak_bytes, state_bytes
from ppim.plan.operators import Operator, Value, with_recompute
from ppim.plan.trace import declared, trace

core = paddle.base.core


def value(key: int, size: int) -> Value:
    return Value(key, (size,), 1, "uint8")


def chain() -> list[Operator]:
    """Two blocks of two operators each, and back: x -> a -> b -> c -> d, a and c ten bytes, all else one."""
    x, a, b, c, d = (value(key, size) for key, size in enumerate((1, 10, 1, 10, 1)))
    gradients = [value(key, 1) for key in range(5, 9)]
    forward = [Operator("f", (x,), (a,)), Operator("f", (a,), (b,)), Operator("f", (b,), (c,)),
               Operator("f", (c,), (d,))]
    kept = (c, b, a, x)
    before = [(), *((gradient,) for gradient in gradients[:3])]
    return forward + [Operator("f_grad", (kept[at], *before[at]), (gradients[at],)) for at in range(4)]


def test_values_live_from_who_makes_them_to_who_reads_them_last():
    # a, b, c are kept for the way back: 10 + 1 + 10, and d or the first gradient; x is not made here
    assert peak_bytes(chain()) == 22
    # the gradients that stay, but for the last while c is there: at the end there are four and no more
    assert peak_bytes(chain(), frozenset({5, 6, 7, 8})) == 22
    assert peak_bytes(chain()[4:], frozenset({5, 6, 7, 8})) == 4


def test_with_recompute_the_inside_of_one_block_lives_at_a_time():
    step = with_recompute(chain(), 4, [(0, 2), (2, 4)])
    assert len(step) == 12  # the four forward operators once more
    assert [operator.name for operator in step[4:8]] == ["f", "f", "f_grad", "f_grad"]
    # b, the second block's c and d; then b's successor a, b once more
    assert peak_bytes(step) == 12
    assert sum(operator.moved for operator in step) > sum(operator.moved for operator in chain())


def test_what_training_keeps_of_each_value():
    # 100 values trained, 7 more that are not; AdamW's two moments, an average of all
    kept = state_bytes(100, 107, 2, True)
    assert kept == {"weights": 428, "gradients": 400, "moments": 800, "average": 428}
    assert state_bytes(100, 107, 1, False)["average"] == 0 and largest_batch(2.0, 3.0, 10.5) == 3
    assert largest_batch(2.0, 30.0, 10.0) == 0


SIZE = {"image_size": 64, "num_classes": 100, "embed_dim": 48, "depth": 3, "num_heads": 3, "drop_path": 0.1,
        "patch_size": 8, "stem_channels": 16}


@pytest.mark.skipif(paddle.version.major == "2", reason="plans are made with Paddle 3")
def test_a_step_really_takes_what_was_foretold():
    config = get_config("lvvit_tiny", ["DATA.IMAGE_SIZE", "64"])
    images = 8

    def objective():
        model = create_model("lvvit_t", **SIZE)
        model.train()
        return model, Objective(model, 1.0, 1.0, [0.5] * 3, [0.2] * 3)

    def build():
        model, loss = objective()
        fields = batch_fields(config, model.grid, 100, images)
        return model, lambda: loss.forward({key: declared(key, *field) for key, field in fields.items()}).total

    traced = trace(build, 0)
    foretold = peak_bytes(traced.operators, traced.gradients)
    _, loss = objective()
    rng, batch = np.random.default_rng(0), {}
    for key, (shape, dtype) in batch_fields(config, traced.grid, 100, images).items():
        most = {"image": 255, "class_id": 99, "token_id": 99}.get(key, 1)
        batch[key] = paddle.to_tensor(rng.random(shape).astype(dtype) if dtype == "float32"
                                      else rng.integers(0, most + 1, shape).astype(dtype))
    before = core.host_memory_stat_current_value("Allocated", 0)
    core.host_memory_stat_reset_peak_value("Allocated", 0)
    loss(batch).total.backward()
    taken = core.host_memory_stat_peak_value("Allocated", 0) - before
    assert foretold == pytest.approx(taken, rel=0.08)
