"""`paddle.jit.to_static` of a model and of the objective: one graph, the numbers of eager computing, any batch."""
import numpy as np
import paddle
import pytest

from ppim import paddle_compat
from ppim.mixing import draw_mix
from ppim.models import create_model
from ppim.objective.objective import LossTerms, Objective
from ppim.paddle_compat import flash_attention_runs
from tests.objective.by_hand import CLASSES, GRID, MEAN, SIDE, STD, make_batch, mixed_by

pytestmark = pytest.mark.skipif(paddle.version.major == "2", reason="Paddle 2.6 reads bytecode by another program")
both_modes = pytest.mark.parametrize("full_graph", [False, True])
MODELS = {"lvvit_t": {"stem_channels": 4, "patch_size": 8, "stem_bn": "frozen"}, "deit_tiny": {"patch_size": 8}}


@pytest.fixture
def breaks(monkeypatch):
    """`breaks()`: why graphs broke so far. What cannot be traced at all raises, instead of being computed eagerly."""
    from paddle.jit.sot.utils.info_collector import InfoCollector, InfoType

    monkeypatch.setenv("SOT_COLLECT_INFO", "breakgraph_reason")
    monkeypatch.setenv("STRICT_MODE", "1")
    InfoCollector().clear()
    yield lambda: [str(info.reason) for infos in InfoCollector().get_info_dict(InfoType.E2E_INFO).values()
                   for info in infos]
    InfoCollector().clear()


def small(name):
    paddle.seed(0)
    return create_model(name, image_size=SIDE, num_classes=CLASSES, embed_dim=8, depth=2, num_heads=2, **MODELS[name])


def test_a_broken_graph_is_noticed(breaks):
    paddle.jit.to_static(lambda x: x + 1 if x.sum().item() > 0 else x - 1, full_graph=False)(paddle.ones([2]))
    assert breaks()


@both_modes
@pytest.mark.parametrize("name", MODELS)
def test_a_traced_model_gives_the_same_logits_for_any_batch(breaks, name, full_graph):
    model = small(name)
    model.eval()
    images = [paddle.rand([size, 3, SIDE, SIDE]) for size in (2, 5)]
    wanted = [model(some).numpy() for some in images]
    traced = paddle.jit.to_static(model, full_graph=full_graph)
    for some, logits in zip(images, wanted):
        np.testing.assert_allclose(traced(some).numpy(), logits, atol=1e-6)
    assert breaks() == []


def gradients(objective, batch) -> tuple[LossTerms, dict[str, np.ndarray]]:
    terms = objective(batch)
    terms.total.backward()
    found = {name: p.grad.numpy() for name, p in objective.named_parameters() if p.grad is not None}
    objective.clear_gradients()
    return terms, found


@both_modes
def test_a_traced_objective_gives_the_same_losses_and_gradients(breaks, full_graph):
    rng = np.random.default_rng(1)
    objective = Objective(small("lvvit_t"), 1.0, 1.0, MEAN, STD)
    objective.train()
    cases = []
    for how, size in (({"cutmix_alpha": 1.0, "token_alpha": 1.0}, 4), ({"mixup_alpha": 0.8, "mode": "elem"}, 6),
                      ({}, 4), ({"token_alpha": 1.0}, 2)):
        batch, _, _ = make_batch(rng, size)
        cases.append(mixed_by(draw_mix(rng, size, (SIDE, SIDE), GRID, **how), batch, False))
    wanted = [gradients(objective, case) for case in cases]
    traced = paddle.jit.to_static(objective, full_graph=full_graph)
    for case, (terms, of_eager) in zip(cases, wanted):
        same, found = gradients(traced, case)
        np.testing.assert_allclose([term.item() for term in same], [term.item() for term in terms], rtol=1e-6)
        assert found.keys() == of_eager.keys() and len(found) > 30
        for name in found:
            np.testing.assert_allclose(found[name], of_eager[name], atol=1e-6, err_msg=name)
    assert breaks() == []


def test_a_graph_does_not_ask_the_device_whether_attention_is_fused(breaks, monkeypatch):
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    monkeypatch.setitem(paddle_compat._generations, "gpu:0", 8)
    x = paddle.ones([2], "float16")
    traced = paddle.jit.to_static(lambda x: flash_attention_runs(x * 1, 64), full_graph=False)
    assert traced(x) is True and breaks() == []
