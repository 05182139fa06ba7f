"""Fewer tokens in evaluation: behind the attention of every block, those that are most alike become one.

"Token Merging: Your ViT But Faster" (arXiv 2210.09461), without training. Of the patches every second one (a) looks for
the one of the others (b) whose keys are most like its own (section 3, "Bipartite Soft Matching"; keys are the mean over
heads, alike means the cosine); the pairs that are most alike are merged, to the mean of all the patches they stand for.
As many as a token stands for, so much it weighs in the attention that follows ("proportional attention", equation 1).
Class, distillation and register tokens are left alone.
"""
from __future__ import annotations

from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.base import TokenOutput
from ppim.models.layers import Block, attend
from ppim.models.operators import as_type
from ppim.models.transformer import TokenTransformer


class Tokens(NamedTuple):
    """Tokens on their way through the blocks.

    Attributes:
        x: (B, E + T, C), the E first ones as ever.
        size: (B, T, 1) float32, patches that each of the others stands for.
        place: (B, N) int64, which of these T each patch of the image has become part of.
    """

    x: paddle.Tensor
    size: paddle.Tensor
    place: paddle.Tensor


class Merging(nn.Layer):
    """A transformer that merges tokens as it evaluates, asked as the model is; the weights are the model's own.

    Args:
        keep: share of the patches that are left behind the last block, in (0, 1]; as many go in every block.

    Raises:
        ValueError: a model whose blocks are not all of one grid, or so few tokens that a block would have to merge more
            than half.
    """

    def __init__(self, model: TokenTransformer, keep: float):
        super().__init__()
        if not isinstance(model, TokenTransformer) or not model.has_one_grid:
            raise ValueError(f"EVAL.KEEP wants a model whose blocks are all of one grid, got {type(model).__name__}; "
                             "leave it 1")
        self.model = model
        self.training = model.training  # whoever puts this back as it was, does so to the model
        self.num_classes, self.grid, self.image_size = model.num_classes, model.grid, model.image_size
        self.counts = merged_by_block(model.grid[0] * model.grid[1], keep, len(model.blocks))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Evaluation logits (B, K) of images (B, 3, h, w)."""
        return self._evaluated(x)[0].class_logits

    def evaluate_tokens(self, x: paddle.Tensor) -> TokenOutput:
        """Evaluation logits, and those of every patch (B, N, K): of the token that it has become part of."""
        output, encoded, place = self._evaluated(x)
        logits = output.token_logits
        if logits is None:
            logits = self.model.head(encoded[:, self.model.extra_tokens:])
        return TokenOutput(output.class_logits, taken(logits, place))

    def _evaluated(self, x):
        x, first = self.model.enter(x), self.model.extra_tokens
        batch, count = x.shape[0], x.shape[1] - first
        tokens = Tokens(x, paddle.ones_like(x[:, first:, :1]).astype("float32"),
                        paddle.arange(count).unsqueeze(0).expand([batch, count]))
        for block, merged in zip(self.model.blocks, self.counts):
            tokens = through(block, tokens, first, merged)
        encoded = self.model.norm(tokens.x)
        return self.model._evaluate(encoded), encoded, tokens.place


def merged_by_block(patches: int, keep: float, depth: int) -> list[int]:
    """How many tokens go in each block, as evenly as can be.

    Raises:
        ValueError: more than half of what is there in some block, or no share in (0, 1].
    """
    if not 0 < keep <= 1:
        raise ValueError(f"EVAL.KEEP wants a share of the patches in (0, 1], got {keep:g}")
    gone = patches - max(1, round(keep * patches))
    counts = [gone * (number + 1) // depth - gone * number // depth for number in range(depth)]
    left = patches
    for count in counts:
        if count > left // 2:
            raise ValueError(f"EVAL.KEEP {keep:g} of {patches} patches wants {count} of {left} tokens merged in one of "
                             f"{depth} blocks, and half is the most; keep more")
        left -= count
    return counts


def through(block: Block, tokens: Tokens, first: int, merged: int) -> Tokens:
    """What a block makes of tokens, so many of them merged behind its attention.

    Args:
        first: E, tokens that are left alone.
    """
    x = tokens.x
    size = paddle.concat([paddle.ones_like(x[:, :first, :1]).astype("float32"), tokens.size], axis=1)
    attended, keys = weighed(block.attn, block.norm1(x), size)
    tokens = tokens._replace(x=block.after_attention(x, attended))
    if merged:
        tokens = joined(tokens, keys[:, first:], first, merged)
    return tokens._replace(x=block.after_mlp(tokens.x))


def weighed(attention, x: paddle.Tensor, size: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Attention in which a token weighs as much as it stands for, (B, T, C), and the keys, mean over heads (B, T, D).

    Args:
        size: (B, T, 1).
    """
    qkv, heads = attention.qkv(x), attention.num_heads
    attended, _ = attend(qkv, heads, attention.scale, added=paddle.log(size).transpose([0, 2, 1]))
    return attention.proj(attended), sum(qkv.split(3 * heads, axis=-1)[heads:2 * heads]) / heads


def joined(tokens: Tokens, keys: paddle.Tensor, first: int, merged: int) -> Tokens:
    """So many of the tokens merged, with whom they are most like.

    Args:
        keys: (B, T, D).
    """
    x, size = tokens.x[:, first:], tokens.size
    pairs = matched(keys, merged)
    weights = size.astype(x.dtype)
    a, b = x[:, 1::2] * weights[:, 1::2], x[:, ::2] * weights[:, ::2]
    # (B, merged, T/2): who of b each merged one goes to
    goes = F.one_hot(pairs.target, b.shape[1]).astype(x.dtype)
    b = b + paddle.matmul(goes, taken(a, pairs.merged), transpose_x=True)
    sizes = size[:, ::2] + paddle.matmul(goes.astype(size.dtype), taken(size[:, 1::2], pairs.merged), transpose_x=True)
    b = b / sizes.astype(x.dtype)
    kept = pairs.kept.shape[1]
    # where those of a and of b are now, put back in the order that they had
    place_b = paddle.arange(b.shape[1]).unsqueeze(0).expand([x.shape[0], b.shape[1]]) + kept
    ranks = paddle.arange(kept).unsqueeze(0).expand([x.shape[0], kept])
    of_merged = pairs.target + kept
    place_a = taken(paddle.concat([ranks, of_merged], axis=1).unsqueeze(-1),
                    paddle.argsort(paddle.concat([pairs.kept, pairs.merged], axis=1), axis=1)).squeeze(-1)
    if place_b.shape[1] > place_a.shape[1]:  # an odd number of tokens
        last = place_b[:, -1:]
        placed = paddle.concat([paddle.stack([place_b[:, :-1], place_a], axis=-1).flatten(1), last], axis=1)
    else:
        placed = paddle.stack([place_b, place_a], axis=-1).flatten(1)
    return Tokens(
        paddle.concat([tokens.x[:, :first], taken(x[:, 1::2], pairs.kept), b], axis=1),
        paddle.concat([taken(size[:, 1::2], pairs.kept), sizes], axis=1),
        taken(placed.unsqueeze(-1), tokens.place).squeeze(-1),
    )


class Pairs(NamedTuple):
    """Who is merged: numbers among a, (B, T/2 - merged) that stay, in order, (B, merged) that go, and to whom of b."""

    kept: paddle.Tensor
    merged: paddle.Tensor
    target: paddle.Tensor


def matched(keys: paddle.Tensor, merged: int) -> Pairs:
    """The tokens of a that are most like one of b, by (B, T, D) keys; a is every second token, from the second on."""
    keys = as_type(keys, paddle.float32)
    keys = keys / (keys.norm(axis=-1, keepdim=True) + 1e-6)
    alike = paddle.matmul(keys[:, 1::2], keys[:, ::2], transpose_y=True)
    order = paddle.argsort(alike.max(axis=-1), axis=-1, descending=True)
    going = order[:, :merged]
    target = taken(alike.argmax(axis=-1).unsqueeze(-1), going).squeeze(-1)
    return Pairs(paddle.sort(order[:, merged:], axis=-1), going, target)


def taken(values: paddle.Tensor, rows: paddle.Tensor) -> paddle.Tensor:
    """Rows (B, R) of each of (B, T, C): (B, R, C)."""
    return paddle.take_along_axis(values, rows.unsqueeze(-1).expand([rows.shape[0], rows.shape[1], values.shape[2]]), 1)
