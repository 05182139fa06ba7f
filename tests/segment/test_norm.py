"""Maps normalised by the whole batch, whatever part of it a process has: against one process that has all of it."""
import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.segment.norm import SharedNorm, merged, share_statistics
from tests.helpers import ROOT, launch
from tests.segment.share_rank import CUTS, ROWS, walked


@pytest.mark.smoke
def test_moments_of_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    whole = 1e4 + rng.standard_normal((40, 3)) * (1.0, 1e-2, 10.0)  # squares of such numbers would swallow deviations
    parts = [whole[:5], whole[5:5], whole[5:32], whole[32:]]
    table = [np.concatenate([[len(part)], part.mean(0) if len(part) else np.zeros(3),
                             ((part - part.mean(0)) ** 2).sum(0) if len(part) else np.zeros(3)]) for part in parts]
    found = merged(paddle.to_tensor(np.array(table)))
    assert found.count.item() == 40
    np.testing.assert_allclose(found.mean.numpy(), whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.variance.numpy(), whole.var(0), rtol=1e-6)


@pytest.mark.smoke
def test_alone_and_in_evaluation_nothing_is_other_than_paddles_to_the_bit():
    x = paddle.to_tensor(np.random.default_rng(1).standard_normal((2, 3, 5, 4)).astype("float32"))
    layers = [nn.Sequential(nn.BatchNorm2D(3)) for _ in range(2)]
    share_statistics(layers[1])
    assert isinstance(layers[1][0], SharedNorm) and list(layers[0].state_dict()) == list(layers[1].state_dict())
    for mode in ("train", "eval"):
        plain, shared = ([getattr(layer, mode)(), layer(x).numpy()][1] for layer in layers)
        np.testing.assert_array_equal(plain, shared)
    for name, value in layers[0].state_dict().items():
        np.testing.assert_array_equal(value.numpy(), layers[1].state_dict()[name].numpy(), err_msg=name)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Folder of what two processes have computed of the parts of one batch."""
    folder = tmp_path_factory.mktemp("parts")
    done = launch(2, ROOT / "tests" / "segment" / "share_rank.py", folder, log_dir=folder / "log",
                  env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.runs
@pytest.mark.parametrize("first", CUTS)
def test_two_processes_compute_what_one_does_with_the_whole_batch(first, parts):
    """Logits, gradients and statistics; with equal parts, and with one photo here and three there."""
    ranks = [dict(np.load(parts / f"rank{rank}_{first}.npz")) for rank in range(2)]
    whole = walked(slice(0, ROWS))
    np.testing.assert_allclose(np.concatenate([rank.pop("logits") for rank in ranks]), whole.pop("logits"), rtol=1e-4,
                               atol=1e-5)
    assert ranks[0].keys() == ranks[1].keys() == whole.keys() and len(whole) > 100
    largest = max(np.abs(value).max() for name, value in whole.items() if name.startswith("gradient"))
    for name, value in whole.items():
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name], err_msg=name)
        scale = max(np.abs(value).max(), 1e-3 * largest)
        np.testing.assert_allclose(ranks[0][name], value, rtol=0, atol=2e-5 * scale, err_msg=name)
