"""Are weights what they are taken for: really those of the file, and the same after as before evaluating?"""
from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ppim.checks.finding import Finding, error, few, fine


def fingerprints(state: Mapping[str, object]) -> dict[str, int]:
    """A checksum of the bytes of each tensor of a state."""
    return {name: zlib.crc32(np.ascontiguousarray(value.numpy()).view(np.uint8).reshape(-1))
            for name, value in state.items()}


def all_were_loaded(
    before: Mapping[str, int], state: Mapping[str, object], told: Iterable[str], read: Callable[[], Mapping], where: str
) -> Finding:
    """Has loading reached every tensor, but those it has told of?

    Args:
        before: fingerprints of the fresh weights; state: the tensors after loading.
        told: names that loading has reported as not from the file.
        read: gives the arrays of the file, under whatever names; called only where there is doubt.
    """
    check = "loaded weights"
    told, after = set(told), fingerprints(state)
    # what is of one value from the start, as biases and norms are, tells nothing
    same = [name for name in before if after[name] == before[name] and name not in told and state[name].size > 1
            and float(state[name].numpy().std()) > 0]
    if same:
        theirs = {_summary(array) for array in read().values() if np.issubdtype(array.dtype, np.floating)}
        same = [name for name in same if _summary(state[name].numpy()) not in theirs]
    if same:
        return error(check, where=where, wanted=f"the file's values in all {len(before)} tensors",
                     got=f"the fresh values in {few(same)}", hint="loading has passed them over; look at the names")
    return fine(check, f"{len(before) - len(told & set(before))} of {len(before)} tensors are the file's")


def _summary(array: np.ndarray) -> tuple[int, float, float]:
    """The same for an array in any layout."""
    values = np.sort(np.asarray(array, np.float32).reshape(-1)).astype(np.float64)
    return values.size, float(values.sum()), float(np.abs(values).sum())


def evaluation_leaves_no_trace(before: Mapping[str, int], after: Mapping[str, int], training: bool) -> Finding:
    """Are weights bit for bit what they were before an evaluation, and is the model in training again?"""
    check = "weights after evaluating"
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        return error(check, where="evaluation", wanted="the weights that were there before", got=f"others in "
                     f"{few(changed)}", hint="the running average has been swapped in and not back, or evaluation "
                     "gathers statistics")
    if not training:
        return error(check, where="evaluation", wanted="the model in training again", got="a model left in evaluation",
                     hint="call model.train() afterwards")
    return fine(check, f"{len(before)} tensors are the same bit for bit")
