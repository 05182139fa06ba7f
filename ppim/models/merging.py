"""Fewer tokens in evaluation: behind the attention of every third block, those that are most alike become one.

"Token Merging: Your ViT But Faster" (arXiv 2210.09461), without training. Of the patches every second one (a) looks for
the one of the others (b) whose keys are most like its own (section 3, "Bipartite Soft Matching"; keys are the mean over
heads, alike means the cosine); the pairs that are most alike are merged, to the mean of all the patches they stand for.
As many as a token stands for, so much it weighs in the attention that follows ("proportional attention", equation 1).
Class, distillation and register tokens are left alone. Whom to merge costs as much for few as for many, so that a few
blocks merge many; the paper's evaluation merges in every block.
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

_STEP = 3  # blocks


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
        keep: share of the patches that are left behind the last block, in (0, 1]; see `merged_by_block`.

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
    """How many tokens go in each block: as many in every third, from the first on; where that would be more than half
    of them, in every second, else in each.

    Raises:
        ValueError: more than half of what is there in some block, or no share in (0, 1].
    """
    if not 0 < keep <= 1:
        raise ValueError(f"EVAL.KEEP wants a share of the patches in (0, 1], got {keep:g}")
    gone = patches - max(1, round(keep * patches))
    for step in range(_STEP, 0, -1):
        merging = -(-depth // step)
        shares = [gone * (number + 1) // merging - gone * number // merging for number in range(merging)]
        left = [patches - sum(shares[:number]) for number in range(merging)]
        too_many = [f"{share} of {there}" for share, there in zip(shares, left) if share > there // 2]
        if not too_many:
            return [0 if number % step else shares[number // step] for number in range(depth)]
    raise ValueError(f"EVAL.KEEP {keep:g} of {patches} patches wants {too_many[0]} tokens merged in one of {depth} "
                     "blocks, and half is the most; keep more")


def through(block: Block, tokens: Tokens, first: int, merged: int) -> Tokens:
    """What a block makes of tokens, so many of them merged behind its attention.

    Args:
        first: E, tokens that are left alone.
    """
    x = tokens.x
    size = paddle.concat([paddle.ones_like(x[:, :first, :1]).astype("float32"), tokens.size], axis=1)
    attended, qkv = weighed(block.attn, block.norm1(x), size)
    tokens = tokens._replace(x=block.after_attention(x, attended))
    if merged:
        width, heads = x.shape[2], block.attn.num_heads
        keys = qkv[:, first:, width:2 * width].reshape([0, 0, heads, -1]).sum(axis=2) / heads
        tokens = joined(tokens, keys, first, merged)
    return tokens._replace(x=block.after_mlp(tokens.x))


def weighed(attention, x: paddle.Tensor, size: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Attention in which a token weighs as much as it stands for, (B, T, C), and the packed queries, keys and values
    (B, T, 3 * C) that it is made of.

    Args:
        size: (B, T, 1).
    """
    # a row for every token: to add one row to all is several times as slow on a CPU, and every head does
    added = paddle.log(size).transpose([0, 2, 1]).expand([-1, x.shape[1], -1])
    qkv = attention.qkv(x)
    return attention.proj(attend(qkv, attention.num_heads, attention.scale, added=added)[0]), qkv


def joined(tokens: Tokens, keys: paddle.Tensor, first: int, merged: int) -> Tokens:
    """So many of the tokens merged, with whom they are most like: one product, since on a CPU that is faster than
    picking rows.

    Args:
        keys: (B, T, D).
    """
    x, size, place = tokens.x[:, first:], tokens.size, places(keys, merged)
    # (B, T, T - merged): is this one part of that one?
    part = F.one_hot(place, keys.shape[1] - merged)
    sizes = paddle.matmul(part, size, transpose_x=True)
    means = paddle.matmul(as_type(part * size, x.dtype), x, transpose_x=True) / as_type(sizes, x.dtype)
    return Tokens(paddle.concat([tokens.x[:, :first], means], axis=1), sizes,
                  paddle.take_along_axis(place, tokens.place, 1))


def places(keys: paddle.Tensor, merged: int) -> paddle.Tensor:
    """Which of the tokens that are left each of T has become, (B, T) int64, by (B, T, D) keys: those of a that stay
    come first, then those of b, both in their order. a is every second token, from the second on; its tokens that are
    most like one of b become part of that."""
    keys = as_type(keys, paddle.float32)
    keys = keys / (keys.norm(axis=-1, keepdim=True) + 1e-6)
    alike = paddle.matmul(keys[:, 1::2], keys[:, ::2], transpose_y=True)
    in_a, in_b = alike.shape[1:]
    staying = in_a - merged
    # numbers are float32 until the end: paddle.inference 3.3 adds to whole ones in place that are still wanted
    going = F.one_hot(alike.max(axis=-1).topk(merged, axis=-1)[1], in_a).sum(axis=1)
    target = alike.argmax(axis=-1).astype("float32") + staying
    of_a = paddle.where(going > 0, target, paddle.cumsum(1 - going, axis=1) - 1)
    of_b = paddle.zeros_like(of_a[:, :1]) + paddle.arange(staying, staying + in_b, dtype="float32").unsqueeze(0)
    in_turns = paddle.stack([of_b[:, :in_a], of_a], axis=-1).flatten(1)
    # of an odd number of tokens the last is of b
    found = paddle.concat([in_turns, of_b[:, in_a:]], axis=1) if in_b > in_a else in_turns
    return found.astype("int64")


def taken(values: paddle.Tensor, rows: paddle.Tensor) -> paddle.Tensor:
    """Rows (B, R) of each of (B, T, C): (B, R, C)."""
    return paddle.take_along_axis(values, rows.unsqueeze(-1).expand([rows.shape[0], rows.shape[1], values.shape[2]]), 1)
