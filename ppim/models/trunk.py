"""How large is a vision transformer, whatever its tokens are made of, and what do its weights tell of that?"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Trunk(NamedTuple):
    """The size of a vision transformer, whatever its tokens are made of, and what training drops of it.

    Attributes:
        embed_dim, depth, num_heads: channels of a token, blocks, heads of each block.
        mlp_ratio: channels inside a block's MLP / embed_dim.
        qkv_bias: whether queries, keys and values have biases.
        image_size: int or (h, w) in pixels, multiples of the patch: what the table of positions is made for.
        num_classes: rows of the heads; 0 for none, then the class token is all that the model gives.
        qk_scale: attention scale; None is head width ** -0.5.
        dropout: rate on tokens with their positions, and behind attention and MLP; attention_dropout: on its weights.
        drop_path: rate of the last block, rising linearly from 0.
    """

    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    qkv_bias: bool
    image_size: int | tuple[int, int] = 224
    num_classes: int = 1000
    qk_scale: float | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0


def trunk_of(shapes: Mapping[str, Sequence[int]], patch_size: int) -> dict[str, object]:
    """What names and shapes of weights tell of a trunk whose tokens show `patch_size` pixels a side."""
    blocks = {name.split(".")[1] for name in shapes if name.startswith("blocks.")}
    width, cells = shapes["cls_token"][-1], shapes["pos_embed"][1] - 1 - ("dist_token" in shapes)
    return {
        "embed_dim": width,
        "depth": len(blocks),
        "mlp_ratio": shapes["blocks.0.mlp.fc1.bias"][0] / width,
        "image_size": math.isqrt(cells) * patch_size,
    }
