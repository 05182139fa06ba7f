"""Weights into a model: rename, convert, resize positions, check both sides, report what was done."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ppim.models.base import Origin, TokenModel, compare_states, describe_diff
from ppim.weights.card import read_card
from ppim.weights.convert import from_torch, resize_position
from ppim.weights.read import located, read_state
from ppim.weights.recognise import recognise

HW = tuple[int, int]


class LoadReport(NamedTuple):
    """What loading did, as names under the model's own spelling; prints as a short table."""

    missing: list[str]  # in the model only: left at their fresh values
    unexpected: list[str]  # in the file only: ignored
    resized: list[str]  # position embeddings brought to the model's grid
    dropped: list[str]  # in both, not used: heads to be trained anew, or another shape
    source: str
    notes: tuple[str, ...] = ()  # what the source computes differently, and what was done about it
    averaged: bool = False  # the file had raw weights and their running average, and these are the average

    def __str__(self) -> str:
        rows = [
            f"  {kind:<11}{len(names):>4}  {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
            for kind, names in zip(self._fields, self[:4])
            if names
        ]
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([f"weights from {self.source}", *(rows or ["  everything matched"]), *notes])


def _resize_positions(
    model: TokenModel, state: dict[str, np.ndarray], wanted: dict[str, Any], trained_at: Callable[[], HW | None]
) -> list[str]:
    resized = []
    tables = {name: extra for name, extra in model.position_tables.items() if name in state}
    grid = None
    if tables and (size := trained_at()):
        patch = model.image_size[0] // model.grid[0]
        grid = size[0] // patch, size[1] // patch
    # as many tokens may lie otherwise: 14 rows of 14, or 7 of 28
    is_turned = grid and grid != model.grid and grid[0] * grid[1] == model.grid[0] * model.grid[1]
    is_square = grid and grid[0] == grid[1]  # which a table is taken for where nothing is known
    for name, extra in tables.items():
        if is_turned or list(state[name].shape) != list(wanted[name].shape):
            state[name] = resize_position(state[name], extra, model.grid, None if is_square else grid)
            resized.append(name)
    for name in model.fixed_tables:
        if name in state and list(state[name].shape) != list(wanted[name].shape):
            state[name] = wanted[name].numpy()
            resized.append(name)
    return resized


def _size_on(card: Mapping[str, Any]) -> HW | None:
    """(height, width) of the pictures that weights know, as their card has it."""
    size = card.get("image_size")
    if isinstance(size, int):
        return size, size
    is_pair = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)
    return (size[0], size[1]) if is_pair else None


def _drop(state: dict[str, np.ndarray], names: list[str]) -> list[str]:
    for name in names:
        del state[name]
    return names


def _published(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The published model of these names and shapes, if there is one."""
    try:
        return recognise(shapes).name
    except ValueError:
        return None


def _why(theirs: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Any], differences: str) -> str:
    """Why weights do not fit, in a line: another model's name says it all, of others a few names do."""
    name, own = _published(theirs), _published({name: tuple(value.shape) for name, value in wanted.items()})
    if name and own and name != own:
        return f"these are {name}'s weights (recognised), the model is {own}; give --model {name}"
    return f"these are {name}'s weights (recognised), the model is another; {differences}" if name else differences


def load_state(
    model: TokenModel,
    state: dict[str, np.ndarray],
    layout: str = "paddle",
    *,
    strict: bool = True,
    new_heads: bool = False,
    source: str = "memory",
    trained_at: Callable[[], HW | None] = lambda: None,
) -> LoadReport:
    """`load_weights` for arrays that are already in memory; the model changes only if nothing is wrong.

    Args:
        trained_at: asked for the (height, width) of the pictures that the weights know, where there is a table of
            positions; None: the model's own where the tables are of one size, else squares.
    """
    wanted, theirs = model.state_dict(), {name: tuple(np.shape(value)) for name, value in state.items()}
    try:
        state = model.rename(state)
        if layout == "torch":
            state = from_torch(model, state)
        state = model.adopted(state)
        resized = _resize_positions(model, state, wanted, trained_at)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    heads = tuple(f"{head}." for head in model.heads)
    dropped = _drop(state, [name for name in state if new_heads and name.startswith(heads)])
    diff = compare_states(wanted, state)
    wrong = diff._replace(missing=[name for name in diff.missing if not (new_heads and name.startswith(heads))])
    if strict and any(wrong):
        only_heads = all(name.startswith(heads) for names in wrong for name in names)
        short = describe_diff(wrong, wanted, state, most=2)
        if only_heads:
            why = f"{short}; to start the heads afresh, give --new-heads (new_heads=True)"
        else:
            why = _why(theirs, wanted, short)
        # --debug shows all the names
        raise ValueError(f"{source} does not fit the model: {why}") from ValueError(describe_diff(wrong, wanted, state))
    dropped += _drop(state, diff.misshaped)
    model.set_state_dict(state, strict=False)
    return LoadReport(diff.missing, diff.unexpected, resized, dropped, source, model.note_source(theirs))


def load_weights(
    model: TokenModel, path, strict: bool = True, new_heads: bool = False, which: str = "auto"
) -> LoadReport:
    """Fill `model` from a weights file of Paddle, PyTorch or safetensors, under our names or another project's.

    Position embeddings of another image size are resized (bicubic; a fixed sinusoid is computed anew). Nothing else is
    adapted unasked. The model remembers where its weights come from (`origin`), so that `ppim.predict` shows it photos
    as they were shown there.

    Args:
        path: with or without suffix; or the folder of a run (its newest usable checkpoint) or of a checkpoint.
        strict: False loads what fits and reports the rest.
        new_heads: keep the model's fresh heads, even where the file's would fit (another data set may have the same
            number of classes).
        which: of a file or folder with raw and averaged weights, `raw` or `ema`; `auto` prefers the average.
    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file or card, another `which`; with `strict`, names or shapes that differ. The model is
            unchanged then.
    """
    named = os.path.abspath(path)
    path, which = located(path, which)
    weights, card = read_state(path, which), read_card(path) or {}
    source = f"{path} ({weights.part})" if weights.part else str(path)
    report = load_state(model, weights.state, weights.layout, strict=strict, new_heads=new_heads, source=source,
                        trained_at=lambda: _size_on(card))
    heads = tuple(f"{head}." for head in model.heads)
    model.origin = Origin(named, card, not any(name.startswith(heads) for name in report.missing))
    return report._replace(averaged=weights.is_averaged)
