"""Tokens that change places, and their gradients, against Paddle's own gather."""
from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppim.models.exchange import exchange


def gathered(tokens, owner):
    return paddle.gather(tokens.flatten(0, 1), owner).reshape(tokens.shape)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_values_and_gradients_are_those_of_a_gather_by_owner(pictures, traced):
    rng = np.random.default_rng(pictures)
    places = np.arange(pictures * 6).reshape(pictures, 6)
    # neighbours exchange the same tokens; the odd picture out keeps its own
    taken = np.repeat(rng.random((pictures // 2 + 1, 6)) < 0.5, 2, axis=0)[:pictures]
    owner = paddle.to_tensor(np.where(taken, places[np.minimum(np.arange(pictures) ^ 1, pictures - 1)], places).ravel())
    weight = paddle.to_tensor(rng.normal(size=(pictures, 6, 3)).astype("float32"))
    drawn, found = rng.normal(size=(pictures, 6, 3)).astype("float32"), []
    for function in (gathered, paddle.jit.to_static(exchange) if traced else exchange):
        tokens = paddle.to_tensor(drawn, stop_gradient=False)
        moved = function(tokens * 2, owner)
        (moved**2 * weight).sum().backward()
        found.append((moved.numpy(), tokens.grad.numpy()))
    for theirs, ours in zip(*found):
        np.testing.assert_array_equal(ours, theirs)
    assert pictures == 1 or (found[0][0] != 2 * drawn).any()


def test_the_gradient_is_no_sum_over_places_that_may_repeat():
    tokens = paddle.rand([2, 3, 4])
    tokens.stop_gradient = False
    rows = exchange(tokens, paddle.to_tensor([3, 1, 2, 0, 4, 5]))
    names, node = [], [rows.grad_fn]
    while node:
        names.append(node[0].name())
        node = [following for following in node[0].next_functions if following is not None]
    assert "PyLayer" in " ".join(names) and not any("gather" in name.lower() for name in names), names
