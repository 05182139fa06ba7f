from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.models import create_model
from ppim.weights.convert import from_torch, resize_position
from ppim.weights.load import load_state

pytestmark = pytest.mark.smoke


def test_square_linear_weights_are_transposed_by_value():
    model = create_model("lvvit_demo", depth=1)
    rng = np.random.RandomState(0)
    torch_weight = rng.standard_normal((64, 64)).astype("float32")
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    as_torch = {n: v.T if n.split(".")[-2:-1] and v.ndim == 2 else v for n, v in state.items()}
    as_torch["blocks.0.attn.proj.weight"] = torch_weight
    load_state(model, as_torch, "torch")
    x = rng.standard_normal((2, 64)).astype("float32")
    # PyTorch's Linear is x @ W.T + b
    expected = x @ torch_weight.T + state["blocks.0.attn.proj.bias"]
    np.testing.assert_allclose(model.blocks[0].attn.proj(paddle.to_tensor(x)).numpy(), expected, atol=1e-4)


def test_only_linear_weights_are_transposed():
    net = nn.Sequential(nn.Linear(3, 3), nn.Conv2D(2, 2, 1), nn.Embedding(4, 4), nn.LayerNorm(3))
    net.table = net.create_parameter([5, 5])
    rng = np.random.RandomState(0)
    shapes = {"0.weight": (3, 3), "0.bias": (3,), "1.weight": (2, 2, 1, 1), "2.weight": (4, 4), "table": (5, 5)}
    state = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    got = from_torch(net, state)
    np.testing.assert_array_equal(got.pop("0.weight"), state.pop("0.weight").T)
    assert got.keys() == state.keys()
    for name in state:
        np.testing.assert_array_equal(got[name], state[name])


def test_batch_norm_statistics_get_paddle_names_and_counters_go():
    net = nn.Sequential(nn.BatchNorm2D(2))
    net.num_batches_tracked = net.create_parameter([1])
    state = {
        "0.weight": 1, "0.bias": 2, "0.running_mean": 3, "0.running_var": 4, "0.num_batches_tracked": 5,
        "running_mean": 6, "num_batches_tracked": 7,
    }
    expected = {"0.weight": 1, "0.bias": 2, "0._mean": 3, "0._variance": 4, "running_mean": 6, "num_batches_tracked": 7}
    assert from_torch(net, state) == expected


@pytest.mark.parametrize("grid", [(24, 24), (7, 7)])
def test_positions_are_resized_as_in_the_original(reference, grid):
    stored = np.load(reference / "vectors" / "pos_embed_resize.npz")
    got = resize_position(stored["source"], 1, grid)
    np.testing.assert_allclose(got, stored[f"to_{grid[0]}x{grid[1]}"], atol=5e-6)
    np.testing.assert_array_equal(got[:, 0], stored["source"][:, 0])


def test_positions_of_a_wide_grid_keep_rows_and_columns_apart():
    rows = np.repeat(np.arange(4.0), 4)
    columns = np.tile(np.arange(4.0), 4)
    table = np.concatenate([np.full((1, 2, 2), 9.0), np.stack([rows, columns], 1)[None]], axis=1).astype("float32")
    got = resize_position(table, 2, (2, 8))
    assert (got[0, :2] == 9).all()
    cells = got[0, 2:].reshape(2, 8, 2)
    assert np.ptp(cells[:, :, 0], axis=1).max() < 1e-5
    assert np.ptp(cells[:, :, 1], axis=0).max() < 1e-5
    assert (np.diff(cells[0, :, 1]) > 0).all()
    assert cells[1, 0, 0] > cells[0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 12, 8), (1, 1, 8), (17, 8)])
def test_a_table_that_is_no_square_is_refused(shape):
    with pytest.raises(ValueError, match=r"1 \+ n \* n"):
        resize_position(np.zeros(shape, "float32"), 1, (2, 2))
