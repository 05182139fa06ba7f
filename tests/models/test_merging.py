"""Merging of tokens against a slow twin that goes from token to token; what must not change, does not."""
import numpy as np
import paddle
import pytest

from ppim.engine.inference import Inferred
from ppim.models.deit import DeiT
from ppim.models.merging import Merging, Tokens, joined, merged_by_block, places, weighed
from tests.helpers import SMALL, images, small_lvvit, small_t2t_vit, small_volo, spread_weights

MODELS = {
    "LV-ViT": small_lvvit,
    "T2T-ViT": small_t2t_vit,
    "distilled DeiT": lambda: DeiT(**SMALL, patch_size=8, distilled=True),
}


def drawn(name):
    paddle.seed(2)
    model = MODELS[name]()
    spread_weights(model)
    model.eval()
    return model


@pytest.mark.smoke
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_keeps_all_is_the_model(name):
    model, x = drawn(name), images(3)
    with paddle.no_grad():
        wanted, found = model.evaluate_tokens(x), Merging(model, 1.0).evaluate_tokens(x)
        np.testing.assert_allclose(Merging(model, 1.0)(x).numpy(), model(x).numpy(), atol=2e-5)
    np.testing.assert_allclose(found.class_logits.numpy(), wanted.class_logits.numpy(), atol=2e-5)
    np.testing.assert_allclose(found.token_logits.numpy(), wanted.token_logits.numpy(), atol=2e-5)


def slow(x, size, keys, merged):
    """One image: the tokens' sets of patches, and their means."""
    count = len(keys)
    keys = keys / (np.linalg.norm(keys, axis=1, keepdims=True) + 1e-6)
    best = {}
    for a in range(1, count, 2):
        best[a] = max((float(keys[a] @ keys[b]), -b) for b in range(0, count, 2))
    going = sorted(best, key=lambda a: -best[a][0])[:merged]
    groups = [[a] for a in range(1, count, 2) if a not in going]
    groups += [[b, *(a for a in going if -best[a][1] == b)] for b in range(0, count, 2)]
    means = [sum(size[i] * x[i] for i in group) / sum(size[i] for i in group) for group in groups]
    return groups, np.array(means), np.array([sum(size[i] for i in group) for group in groups])


@pytest.mark.smoke
@pytest.mark.parametrize("count", [9, 12])
def test_tokens_are_joined_as_a_slow_twin_joins_them(count):
    rng = np.random.default_rng(count)
    x, keys = rng.normal(size=(2, 2 + count, 5)), rng.normal(size=(2, count, 3))
    size = rng.integers(1, 4, (2, count, 1)).astype("float64")
    patches = 20
    place = rng.integers(0, count, (2, patches))
    found = joined(Tokens(*(paddle.to_tensor(value) for value in (x, size.astype("float32"), place))),
                   paddle.to_tensor(keys), 2, 3)
    np.testing.assert_array_equal(found.x[:, :2].numpy(), x[:, :2])
    for row in range(2):
        groups, means, sizes = slow(x[row, 2:], size[row, :, 0], keys[row], 3)
        np.testing.assert_allclose(found.x[row, 2:].numpy(), means, atol=1e-6)
        np.testing.assert_allclose(found.size[row, :, 0].numpy(), sizes)
        where = {token: number for number, group in enumerate(groups) for token in group}
        np.testing.assert_array_equal(found.place[row].numpy(), [where[token] for token in place[row]])


def test_a_token_that_stands_for_two_weighs_as_two_alike():
    """Attention over a token of size two is that over the token twice."""
    model = drawn("LV-ViT")
    attention, x = model.blocks[0].attn, paddle.randn([1, 4, model.trunk.embed_dim])
    twice = paddle.concat([x, x[:, 3:]], axis=1)
    with paddle.no_grad():
        one, _ = weighed(attention, x, paddle.to_tensor([[[1.0], [1.0], [1.0], [2.0]]]))
        wanted, _ = attention(twice)
    np.testing.assert_allclose(one.numpy(), wanted[:, :4].numpy(), atol=1e-5)


def test_the_most_alike_go_first():
    keys = paddle.to_tensor(np.array([[[1.0, 0], [1, 0.5], [0, 1], [0.1, 1], [-1, 0], [-0.2, -1]]], "float32"))
    # the fourth becomes part of the third; two of a stay, then come those of b
    assert places(keys, 1).tolist() == [[2, 0, 3, 3, 4, 1]]


@pytest.mark.parametrize("name", MODELS)
def test_patches_that_are_one_have_one_answer_and_all_patches_have_one(name):
    model, x = drawn(name), images(2)
    merging = Merging(model, 0.5)
    with paddle.no_grad():
        output = merging.evaluate_tokens(x)
        _, _, place = merging._evaluated(x)
    assert output.token_logits.shape[1] == model.grid[0] * model.grid[1]
    for row in range(2):
        places, logits = place[row].numpy(), output.token_logits[row].numpy()
        assert len(set(places)) == round(0.5 * len(places)) and set(places) == set(range(len(set(places))))
        for one in set(places):
            assert np.ptp(logits[places == one], axis=0).max() == 0


def test_as_many_go_in_every_third_block_and_never_more_than_half():
    assert merged_by_block(196, 1.0, 12) == [0] * 12
    assert merged_by_block(196, 0.25, 12) == [36, 0, 0, 37, 0, 0, 37, 0, 0, 37, 0, 0]
    # so few are left that these would be more than half: in more blocks, then
    assert merged_by_block(196, 0.15, 12) == [27, 0, 28, 0, 28, 0, 28, 0, 28, 0, 28, 0]
    assert sum(merged_by_block(196, 0.08, 12)) == 180 and set(merged_by_block(196, 0.08, 12)) == {15}
    for keep, words in ((0.1, "keep more"), (0.0, r"in \(0, 1\]"), (1.5, r"in \(0, 1\]")):
        with pytest.raises(ValueError, match=words):
            merged_by_block(16, keep, 2)
    with pytest.raises(ValueError, match="one grid, got VOLO"):
        Merging(small_volo(), 0.5)


def test_a_program_merges_as_the_model_does():
    paddle.seed(2)
    model, x = small_lvvit(depth=4), images(3)  # two blocks merge
    spread_weights(model)
    merging = Merging(model, 0.5)
    merging.eval()
    assert merging.counts == [4, 0, 0, 4]
    with paddle.no_grad():
        wanted = merging.evaluate_tokens(x)
    found = Inferred(merging, tokens=True).evaluate_tokens(x)
    np.testing.assert_allclose(found.class_logits.numpy(), wanted.class_logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.token_logits.numpy(), wanted.token_logits.numpy(), atol=1e-4)
