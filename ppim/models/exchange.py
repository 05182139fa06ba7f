"""How do tokens change places? MixToken's exchange (arXiv 2104.10858, section 3.2), with a backward pass of its own."""
from __future__ import annotations

import paddle
from paddle.autograd import PyLayer

from ppim.paddle_compat import is_planned


class _Exchange(PyLayer):
    """A gather by an exchange that undoes itself, so that its gradient is the same gather; Paddle's own adds gradients
    up in place, atomically on GPUs, since it must expect rows that are read twice."""

    @staticmethod
    def forward(ctx, rows, owner):
        ctx.save_for_backward(owner)
        return paddle.gather(rows, owner)

    @staticmethod
    def backward(ctx, gradient):
        (owner,) = ctx.saved_tensor()
        return paddle.gather(gradient, owner), None


def exchange(tokens: paddle.Tensor, owner: paddle.Tensor) -> paddle.Tensor:
    """Tokens (B, N, C), each replaced by that of its owner.

    Args:
        owner: (B * N,) int64, an involution (the owner of a token's owner is the token itself), see `mixing.Mixed`.
    """
    # (B, N, C) -> (B * N, C) -> (B, N, C)
    rows = tokens.flatten(0, 1)
    found = paddle.gather(rows, owner) if is_planned() else _Exchange.apply(rows, owner)
    return found.reshape(tokens.shape)


def owners_in_cells(owner: paddle.Tensor, grid: tuple[int, int], side: int) -> paddle.Tensor:
    """Owners of tokens of which `side` x `side` make a cell, where whole cells are exchanged.

    Args:
        owner: (B * N,) int64 of the cells of a grid (rows, columns), each a cell of the same place.
    Returns:
        (B * N * side * side,) int64, of a map row-major over the tokens.
    """
    rows, columns = (side * cells for cells in grid)
    cell = (paddle.arange(rows) // side).unsqueeze(1) * grid[1] + paddle.arange(columns) // side
    # (B, N) -> (B, N * side * side)
    picture = paddle.gather(owner.reshape([-1, grid[0] * grid[1]]) // (grid[0] * grid[1]), cell.flatten(), axis=1)
    return (picture * (rows * columns) + paddle.arange(rows * columns)).flatten()
