"""What LV-ViT, T2T-ViT, DeiT and plain ViTs share: from the tokens of a grid, however they were made, to logits.

A class token (and a distillation token, or registers) goes first, positions are added, pre-norm blocks follow, then a
norm and the heads. Images may have any size that patches fill: the table of positions is resized where it has to be.
On the way the model can work out, by its `share_rule`, whose content its class token ends up with, which is one number
per token:

- alignment, "Token-Label Alignment for Vision Transformers" (arXiv 2210.06455): in every block a token's share becomes
  the mean of its own and of what attention brings it;
- attention, "TransMix" (arXiv 2111.09833): the mean of the plain share and that of the patches weighted by the class
  token's attention to them in the last block.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.mixing import Mixed
from ppim.models.base import TokenModel, TokenOutput, as_pair, defaults_of
from ppim.models.exchange import exchange
from ppim.models.layers import Block, linear
from ppim.models.operators import LayerNorm
from ppim.models.positions import Kept
from ppim.models.trunk import Trunk
from ppim.paddle_compat import given, gpu_generation, recomputed


def aligned(carried: paddle.Tensor, passed_on: paddle.Tensor) -> paddle.Tensor:
    """Labels after a block: half stays with the token, as the block's skip connection keeps the token itself."""
    return (carried + passed_on) / 2


class TokenTransformer(TokenModel):
    """Base of the vision transformers. A family makes its tokens in `embed`, with layers of its own.

    Its constructor calls `super().__init__`, `add_tokens` and `add_body`, and makes its layers in between: a seed's
    weights follow the order in which layers are made.

    Args:
        patch_size: pixels along a side of a token's cell.
    Raises:
        ValueError: an image that cells do not fill.
    Attributes:
        cls_token, pos_embed, blocks, norm; or None: dist_token, register_tokens, head, aux_head, head_dist.
        eval_token_weight: of the maximum over the token head's logits in evaluation logits; 0 leaves it out.
    """

    heads = ("head", "aux_head", "head_dist")
    undecayed = ("cls_token", "dist_token", "register_tokens", "pos_embed")

    norm_epsilon = 1e-5
    has_one_grid = True  # do all `blocks` attend among the same tokens?

    def __init__(self, trunk: Trunk, patch_size: int):
        super().__init__()
        self.trunk = trunk
        self.num_classes = trunk.num_classes
        self.image_size = height, width = as_pair(trunk.image_size)
        if min(height, width) < patch_size or height % patch_size or width % patch_size:
            raise ValueError(
                f"image_size wants multiples of {patch_size} pixels, got {height}x{width}; the nearest below is "
                f"{_below(height, patch_size)}x{_below(width, patch_size)}"
            )
        self.grid = height // patch_size, width // patch_size
        self.dropout = trunk.dropout
        self._kept = Kept()
        gpu_generation()  # known before a graph is traced
        self.dist_token = self.register_tokens = self.head = self.aux_head = self.head_dist = None

    def add_tokens(self, distilled: bool = False, positions: np.ndarray | None = None, registers: int = 0,
                   placed: bool = True) -> None:
        """The class token, a distillation token where wanted, registers, and the table of positions.

        Args:
            positions: (1, 1 + N, C) float32, a table that is never trained; None for one that is.
            registers: tokens besides, which nobody reads (arXiv 2309.16588); they have no position.
            placed: has the class token a position of its own?
        """
        dim, (rows, columns) = self.trunk.embed_dim, self.grid
        self.cls_token = self.new_table(1, 1, dim)
        if distilled:
            self.dist_token = self.new_table(1, 1, dim)
        if registers:
            self.register_tokens = self.new_table(1, registers, dim)
        self.placed_tokens = (1 + distilled) * placed
        if positions is None:
            self.pos_embed = self.new_table(1, self.placed_tokens + rows * columns, dim)
            self.position_tables = {"pos_embed": self.placed_tokens}
        else:
            initializer = nn.initializer.Assign(positions)
            self.pos_embed = self.create_parameter(list(positions.shape), default_initializer=initializer)
            self.pos_embed.stop_gradient = True
            self.fixed_tables = ("pos_embed",)

    def add_body(self, token_head: bool, skip_lam: float = 1.0, layer_scale: float | None = None) -> None:
        """Blocks, the last norm, and heads: of classes, of the distillation token where there is one, of the tokens."""
        trunk = self.trunk
        self.blocks = nn.LayerList(
            Block(
                trunk.embed_dim, trunk.num_heads, trunk.mlp_ratio, trunk.qkv_bias, trunk.qk_scale, trunk.dropout,
                trunk.attention_dropout, trunk.drop_path * i / max(1, trunk.depth - 1), skip_lam, self.norm_epsilon,
                layer_scale,
            )
            for i in range(trunk.depth)
        )
        self.norm = LayerNorm(trunk.embed_dim, epsilon=self.norm_epsilon)
        if not trunk.num_classes:
            return
        self.head = linear(trunk.embed_dim, trunk.num_classes)
        if self.dist_token is not None:
            self.head_dist = linear(trunk.embed_dim, trunk.num_classes)
        if token_head:
            self.aux_head = linear(trunk.embed_dim, trunk.num_classes)
            self.eval_token_weight = 0.5

    @classmethod
    def arguments(cls) -> dict[str, object]:
        """What the constructor takes, with its defaults: arguments of the family's own and the fields of `Trunk`."""
        own = super().arguments()
        return {**{name: own[name] for name in own if name != "trunk"}, **defaults_of(Trunk)}

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """The arguments of the constructor that names and shapes of weights tell; square images are assumed.

        Only what is the same in PyTorch's and in Paddle's layout is looked at: tables, biases, norms, convolutions.

        Raises:
            KeyError: a weight that every model of the family has is missing.
        """
        raise NotImplementedError

    @property
    def has_token_head(self) -> bool:
        """Does a head of their own classify the tokens?"""
        return self.aux_head is not None

    classifies_tokens = has_token_head

    @property
    def is_token_head_silent(self) -> bool:
        """Is the token head all zero, or not there? Zero where nothing has taught it: it adds nothing to logits."""
        # in numpy, since Paddle 2.6 asks for every property while it traces a graph
        return self.aux_head is None or not any(parameter.numpy().any() for parameter in self.aux_head.parameters())

    def silence_token_head(self) -> None:
        """Set the token head to zero."""
        for parameter in self.aux_head.parameters():
            parameter.set_value(paddle.zeros_like(parameter))

    @property
    def deciding_block(self) -> nn.Layer:
        """The block in which the class token looks at the patches for the last time; has `norm1`, and `attn.seen`."""
        return self.blocks[-1]

    def layer_of(self, name: str) -> int:
        """How deep the parameter of this structured name lies, 0 .. blocks + 1, see `ppim.engine.depth`."""
        if name.startswith("blocks."):
            return int(name.split(".")[1]) + 1
        return len(self.blocks) + 1 if name.startswith(("norm.", *(f"{head}." for head in self.heads))) else 0

    def block_shapes(self) -> list[tuple[int, ...]]:
        """The shape of what one image gives each of `blocks`."""
        return [(self.extra_tokens + self.grid[0] * self.grid[1], self.trunk.embed_dim)] * len(self.blocks)

    @property
    def extra_tokens(self) -> int:
        """Tokens before the grid's."""
        registers = 0 if self.register_tokens is None else self.register_tokens.shape[1]
        return (1 if self.dist_token is None else 2) + registers

    def new_table(self, *shape: int) -> paddle.Tensor:
        """A parameter for a token or a position table, truncated normal of std 0.02."""
        return self.create_parameter(list(shape), default_initializer=nn.initializer.TruncatedNormal(std=0.02))

    def embed(self, x):
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        raise NotImplementedError

    def enter(self, x, mix: Mixed | None = None) -> paddle.Tensor:
        """Tokens (B, E + N, C) as the first block gets them: mixed, the class token first, with their positions.

        Raises:
            ValueError: images that patches do not fill.
        """
        positions = self.positions_for(self.grid_of(x))
        x = self.embed(x)
        if mix is not None and given(mix.owner):
            x = exchange(x, mix.owner)
        return self._with_positions(x, positions)

    def _with_positions(self, x, positions: paddle.Tensor) -> paddle.Tensor:
        first = [self.cls_token] if self.dist_token is None else [self.cls_token, self.dist_token]
        if self.register_tokens is not None:
            first = [*first, self.register_tokens]
        x = paddle.concat([token.expand([x.shape[0], -1, -1]).astype(x.dtype) for token in first] + [x], axis=1)
        return F.dropout(x + positions, self.dropout, training=self.training)

    def carried_shares(self, mix: Mixed | None) -> paddle.Tensor | None:
        """What blocks carry along for alignment, (B, E + N, 1): the class token starts with the mean over the patches.

        None by another rule, and where `mix` holds no shares.
        """
        if self.share_rule != "alignment" or mix is None or not given(mix.partner_share):
            return None
        share = mix.partner_share.unsqueeze(-1)
        return paddle.concat([share.mean(axis=1, keepdim=True)] * self.extra_tokens + [share], axis=1)

    def attended_share(self, x, partner_share: paddle.Tensor) -> paddle.Tensor:
        """The partner's share (B, E) in the first tokens, by what they look at in the last block, whose input is `x`.

        The shares of the patches are weighted by attention to them alone: the ratio of what shares and what ones
        become leaves out what the class token looks at besides.
        """
        patches = paddle.stack([partner_share, paddle.ones_like(partner_share)], axis=-1)
        last, first = self.deciding_block, self.extra_tokens
        seen = last.attn.seen(last.norm1(x), first, F.pad(patches, [first, 0], data_format="NLC"))
        return (partner_share.mean(axis=1, keepdim=True) + seen[:, :, 0] / seen[:, :, 1]) / 2

    def encode(self, x, mix: Mixed | None = None) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """Normalised tokens (B, E + N, C), the class token first, and the partner's share (B, E) in the E first tokens.

        The share is None by area, and where `mix` holds none of the patches.
        """
        x, carried, share = self.enter(x, mix), self.carried_shares(mix), None
        # all blocks but the last; labels go with the tokens
        for block in self.blocks[:-1]:
            x, passed_on = self._through(block, x, carried)
            carried = aligned(carried, passed_on) if given(carried) else None
        # the last, in which attention decides where it is asked
        if self.share_rule == "attention" and mix is not None and given(mix.partner_share):
            share = self.attended_share(x, mix.partner_share)
        x, passed_on = self._through(self.blocks[-1], x, carried)
        if given(carried):
            share = aligned(carried, passed_on)[:, : self.extra_tokens, 0]
        return self.norm(x), share

    def _through(self, block: nn.Layer, *inputs):
        return recomputed(block, *inputs) if self.recompute and self.training else block(*inputs)

    def roll_out(self, x, mix: Mixed | None, labels: paddle.Tensor) -> list[paddle.Tensor]:
        """Alignment step by step: `labels` (B, E + N, S) float32 of all tokens, then what each block makes of them.

        S is 1 for shares, or the number of classes.
        """
        x, after = self.enter(x, mix), [labels]
        for block in self.blocks:
            x, passed_on = block(x, after[-1])
            after.append(aligned(after[-1], passed_on))
        return after

    def features(self, x, layers: Sequence[int] = (-1,)) -> list[paddle.Tensor]:
        """What the grid's tokens have become behind some blocks, for other tasks: a list of (B, C, rows, columns).

        Every map went through the last norm. Arguments and errors as of `taps`.
        """
        grid = self.grid_of(x)
        return [as_maps(self.norm(tokens)[:, self.extra_tokens:], grid) for tokens in self.taps(x, layers)]

    def taps(self, x, layers: Sequence[int]) -> list[paddle.Tensor]:
        """The tokens behind some blocks as the next block gets them: a list of (B, E + N, C).

        Images may have any size of whole patches: positions are those of the model's own size, resized.

        Args:
            x: images (B, 3, h, w), normalised.
            layers: numbers of blocks, 0 the first, -1 the last; what is returned comes in this order.

        Raises:
            ValueError: no such block, or images that patches do not fill.
        """
        wanted, kept = self.numbers_of(layers), {}
        x = self._with_positions(self.embed(x), self.positions_for(self.grid_of(x)))
        for number, block in enumerate(self.blocks):
            x, _ = self._through(block, x, None)
            if number in wanted:
                kept[number] = x
        return [kept[number] for number in wanted]

    def numbers_of(self, layers: Sequence[int]) -> list[int]:
        """Numbers of blocks from 0 on, of numbers that may count from the end.

        Raises:
            ValueError: no such block.
        """
        depth = len(self.blocks)
        if any(not -depth <= layer < depth for layer in layers):
            raise ValueError(f"features wants blocks in -{depth} .. {depth - 1}, got {list(layers)}")
        return [layer % depth for layer in layers]

    def positions_for(self, grid: tuple[int, int]) -> paddle.Tensor:
        """What is added to the tokens (1, E + rows * columns, C) on a grid of this size: the table, resized where the
        model's own grid is another; zero for first tokens without a position."""
        table = self.pos_embed
        if grid != self.grid:
            table = self._kept.resized(table, self.placed_tokens, self.grid, grid)
        placed, missing = self.placed_tokens, self.extra_tokens - self.placed_tokens
        if missing:
            none = paddle.zeros([1, missing, table.shape[2]], table.dtype)
            # no tensor without elements, which an exported program does not survive
            parts = [table[:, :placed], none, table[:, placed:]] if placed else [none, table]
            table = paddle.concat(parts, axis=1)
        return table

    def grid_of(self, x) -> tuple[int, int]:
        """(rows, columns) of the tokens of images (B, 3, h, w); the model's own where a traced graph leaves sides open.

        Raises:
            ValueError: what `check_images` refuses, or images that patches do not fill.
        """
        self.check_images(x)
        height, width = x.shape[2:]
        if -1 in (height, width):
            return self.grid
        patch = self.image_size[0] // self.grid[0]
        if height < patch or height % patch or width < patch or width % patch:
            raise ValueError(f"wanted images of whole patches of {patch} pixels, got {height}x{width} (h x w); the "
                             f"nearest are {_nearest(height, patch)}x{_nearest(width, patch)}")
        return height // patch, width // patch

    def check_images(self, x) -> None:
        """Refuse what is no batch of images (B, 3, h, w), whatever their sides, or of numbers of another type.

        Raises:
            ValueError: an array of numpy, other axes, or numbers of another type.
        """
        if isinstance(x, np.ndarray):
            raise ValueError("wanted a tensor of images, got an array of numpy; paddle.to_tensor(x) makes a tensor of "
                             "it")
        if len(x.shape) != 4 or x.shape[1] not in (3, -1):
            raise ValueError("wanted a batch of images (B, 3, h, w), channels before rows and columns; got "
                             f"{list(x.shape)}")
        # any of these where it is one of these: mixed precision makes one of another
        own, mixed = self.cls_token.dtype, (paddle.float32, paddle.float16, paddle.bfloat16)
        if x.dtype not in (mixed if own in mixed else (own,)):
            raise ValueError(f"wanted normalised images of {_plain(own)}, got {_plain(x.dtype)}; "
                             f"x.astype({_plain(own)!r}) makes them so")

    def classes(self, x, mix: Mixed | None = None) -> TokenOutput:
        """Class logits (B, K), those of the distillation head, and shares where `mix` asks for them; without a head the
        class token (B, C) in place of logits."""
        return self._classify(*self.encode(x, mix))

    def tokens(self, x, mix: Mixed | None = None) -> TokenOutput:
        """`classes` and token logits (B, N, K), which belong to whoever owns the token after mixing."""
        x, share = self.encode(x, mix)
        return self._classify(x, share, None if self.aux_head is None else self.aux_head(x[:, self.extra_tokens :]))

    def _classify(self, x, share, token_logits=None) -> TokenOutput:
        return TokenOutput(
            class_logits=x[:, 0] if self.head is None else self.head(x[:, 0]),
            token_logits=token_logits,
            dist_logits=None if self.head_dist is None else self.head_dist(x[:, 1]),
            share=None if share is None else 1 - share[:, 0],
            dist_share=None if share is None or self.head_dist is None else 1 - share[:, 1],
        )

    def _evaluate(self, encoded) -> TokenOutput:
        """Evaluation logits (B, K) of what `encode` gives, and those of the tokens where the token head has a say.

        The class head's, averaged with the distillation head's where there is one, plus `eval_token_weight` * the
        maximum over tokens of the token head's.
        """
        output = self._classify(encoded, None)
        logits = output.class_logits if self.head_dist is None else (output.class_logits + output.dist_logits) / 2
        if not self.eval_token_weight:
            return TokenOutput(logits)
        token_logits = self.aux_head(encoded[:, self.extra_tokens :])
        return TokenOutput(logits + self.eval_token_weight * token_logits.max(axis=1), token_logits)

    def evaluate_tokens(self, x) -> TokenOutput:
        """Evaluation logits, and logits of every token; of the class head where the token head has no say."""
        encoded = self.encode(x)[0]
        output = self._evaluate(encoded)
        if output.token_logits is None and self.head is not None:
            return TokenOutput(output.class_logits, self.head(encoded[:, self.extra_tokens :]))
        return output

    def forward(self, x):
        """Evaluation logits (B, K) of images (B, 3, h, w), see `evaluate_tokens`; without a head the class token."""
        return self._evaluate(self.encode(x)[0]).class_logits


def _below(side: int, patch: int) -> int:
    return max(1, side // patch) * patch


def _nearest(side: int, patch: int) -> int:
    return max(1, round(side / patch)) * patch


def _plain(dtype) -> str:
    return str(dtype).rpartition(".")[2]  # of paddle.float32


def as_maps(tokens: paddle.Tensor, grid: tuple[int, int]) -> paddle.Tensor:
    """Tokens of a grid (B, N, C), row-major -> (B, C, rows, columns)."""
    return tokens.transpose([0, 2, 1]).reshape([-1, tokens.shape[2], *grid])
