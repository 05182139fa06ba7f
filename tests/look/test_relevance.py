"""Relevance against a slow twin in float64, whose gradients are finite differences; and it lies where the object is."""
import math

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppim.look.attention import attention, rollout
from ppim.look.relevance import relevance
from ppim.models.deit import DeiT
from tests.helpers import SMALL, images, small_lvvit, spread_weights

_erf = np.vectorize(math.erf)


def numbers(parameter) -> np.ndarray:
    return parameter.numpy().astype(np.float64)


def linear(layer, x):
    return x @ numbers(layer.weight) + (0 if layer.bias is None else numbers(layer.bias))


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer._epsilon)
    return scaled * numbers(layer.weight) + numbers(layer.bias)


def twin(model, x, added):
    """The encoded tokens (P, T, C) of one image's tokens (T, C), and the attention of every block (H, T, T).

    `added`: for each block what is added to its attention, (P, H, T, T).
    """
    x, seen = np.tile(x, (len(added[0]), 1, 1)), []
    for block, more in zip(model.blocks, added):
        heads = block.attn.num_heads
        parts = linear(block.attn.qkv, norm(block.norm1, x)).reshape(*x.shape[:2], 3, heads, -1)
        q, k, v = np.moveaxis(parts, 2, 0)
        scores = np.exp(block.attn.scale * np.einsum("pihd,pjhd->phij", q, k))
        weights = scores / scores.sum(-1, keepdims=True)
        seen.append(weights[0])
        attended = np.einsum("phij,pjhd->pihd", weights + more, v).reshape(x.shape)
        x = x + linear(block.attn.proj, attended) / block.skip_lam
        hidden = linear(block.mlp.fc1, norm(block.norm2, x))
        x = x + linear(block.mlp.fc2, hidden * (1 + _erf(hidden / math.sqrt(2))) / 2) / block.skip_lam
    return norm(model.norm, x), seen


def by_hand(model, x, logit, step=1e-5):
    """Relevance (T, T) of one image's tokens by the paper's rule; `logit`: encoded tokens (P, T, C) -> (P,)."""
    depth, heads, count = len(model.blocks), model.blocks[0].attn.num_heads, len(x)
    none = np.zeros((1, heads, count, count))
    seen = twin(model, x, [none] * depth)[1]
    found = np.eye(count)
    for place in range(depth):
        size = heads * count * count
        moved = step * np.eye(size).reshape(size, heads, count, count)
        ends = []
        for sign in (1, -1):
            added = [np.zeros_like(moved)] * depth
            added[place] = sign * moved
            ends.append(logit(twin(model, x, added)[0]))
        gradient = ((ends[0] - ends[1]) / (2 * step)).reshape(heads, count, count)
        told = np.zeros((count, count))
        for head in range(heads):
            told += np.maximum(gradient[head] * seen[place][head], 0) / heads
        found = found + told @ found
    return found


@pytest.mark.smoke
def test_relevance_is_the_papers_with_gradients_by_finite_differences():
    paddle.seed(0)
    model = small_lvvit(image_size=24, skip_lam=2.0)
    spread_weights(model)
    model.eval()
    model.eval_token_weight = 0.5
    pictures = images(2, 24, 24)
    tokens = numbers(model.enter(pictures))
    got = relevance(model, pictures, [3, 1])
    for image, number in enumerate([3, 1]):
        wanted = by_hand(model, tokens[image], lambda out, number=number: linear(model.head, out[:, 0])[:, number])
        np.testing.assert_allclose(got[image], wanted, rtol=1e-3, atol=1e-4)
    of_token = relevance(model, pictures, [3, 1], token=5)
    wanted = by_hand(model, tokens[1], lambda out: linear(model.aux_head, out[:, 1 + 5])[:, 1])
    np.testing.assert_allclose(of_token[1], wanted, rtol=1e-3, atol=1e-4)
    assert np.abs(of_token[1] - got[1]).max() > 0.01
    assert all(parameter.grad is None for parameter in model.parameters())


# ---- does it lie where the object is? ------------------------------------------------------------------------------

COLOURS = np.array([[220, 60, 60], [60, 200, 60], [70, 70, 230]])


def patched(count: int, seed: int) -> tuple[paddle.Tensor, np.ndarray, np.ndarray]:
    """Noise of 48 x 48 with one square of 16 pixels whose colour is the class: pictures, classes, and the share of each
    of 36 tokens that the square covers."""
    rng = np.random.default_rng(seed)
    pixels, shares = rng.uniform(0, 255, (count, 48, 48, 3)), np.zeros((count, 48, 48))
    classes = rng.integers(0, 3, count)
    for number, label in enumerate(classes):
        top, left = rng.integers(0, 33, 2)
        place = number, slice(top, top + 16), slice(left, left + 16)
        pixels[place] = COLOURS[label] + rng.normal(0, 20, (16, 16, 3))
        shares[place] = 1
    shares = shares.reshape(count, 6, 8, 6, 8).mean(axis=(2, 4)).reshape(count, 36)
    return paddle.to_tensor(((pixels.transpose(0, 3, 1, 2) - 128) / 64).astype("float32")), classes, shares


def share_ratio(maps: np.ndarray, shares: np.ndarray) -> float:
    """How much more of the maps (N, 36) lies on the square than its share of the area, mean over pictures."""
    return float(((maps * shares).sum(1) / maps.sum(1) / shares.mean(1)).mean())


def fresh() -> DeiT:
    paddle.seed(1)
    return DeiT(**{**SMALL, "image_size": 48, "num_classes": 3, "patch_size": 8})


def test_relevance_of_a_trained_model_lies_on_the_object_and_of_an_untrained_one_does_not():
    untrained, model = fresh(), fresh()
    optimizer = paddle.optimizer.AdamW(3e-3, parameters=model.parameters(), weight_decay=0.05)
    for step in range(80):
        pictures, classes, _ = patched(16, 100 + step)
        F.cross_entropy(model.classes(pictures).class_logits, paddle.to_tensor(classes)).backward()
        optimizer.step()
        optimizer.clear_grad()
    pictures, classes, shares = patched(100, 0)
    model.eval()
    assert (model.classes(pictures).class_logits.numpy().argmax(1) == classes).mean() > 0.95
    found = {name: share_ratio(relevance(one, pictures, classes.tolist())[:, 0, 1:], shares)
             for name, one in (("trained", model), ("untrained", untrained))}
    flow = share_ratio(rollout(attention(model, pictures))[-1][:, 0, 1:], shares)
    print(found, flow)
    assert found["trained"] > 1.5 and found["untrained"] < 1.2 and flow > 1.2
