"""A family as small as one can be: the mean of a cell, blown up to the width of a token."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle.nn.functional as F

from ppim.families import facts
from ppim.models.base import Family
from ppim.models.layers import linear
from ppim.models.transformer import TokenTransformer
from ppim.models.trunk import Trunk, trunk_of

_CELL = 8


class Toy(TokenTransformer):
    """See `Trunk` for the arguments; `dense_head`: a head on every token."""

    def __init__(self, *, dense_head: bool = False, **trunk):
        super().__init__(Trunk(**trunk), _CELL)
        self.add_tokens()
        self.widen = linear(3, self.trunk.embed_dim)
        self.add_body(token_head=dense_head)

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        return trunk_of(shapes, _CELL)

    def embed(self, x):
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.widen(F.avg_pool2d(x, _CELL).flatten(2).transpose([0, 2, 1]))


FAMILY = Family(facts()["toy"], Toy, marks=("widen.weight",))
