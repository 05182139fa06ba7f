"""Do the processes of a run work on one model, each on its own share of the data, with the mean of their gradients?"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppim.checks.finding import Finding, error, few, fine


def shares_make_a_batch(shares: np.ndarray, expected: Sequence[int]) -> Finding:
    """Do the shares of all processes together hold the photos of the global batch, each as often as it is in it?

    Args:
        shares: (processes, most rows) int, numbers of photos, -1 where a process has fewer rows.
        expected: (global batch,) the numbers of its photos.
    """
    check = "shares of the processes"
    held = shares[shares >= 0]
    if sorted(held.tolist()) == sorted(expected):
        return fine(check, f"{len(shares)} shares make the {len(expected)} samples of a batch")
    twice = sorted({int(photo) for photo in held if (held == photo).sum() > list(expected).count(photo)})
    owners = [rank for rank, share in enumerate(shares) if set(share.tolist()) & set(twice)]
    got = f"photos {few(twice)} in processes {few(owners)} too often" if twice else f"{len(held)} other samples"
    return error(check, where="the first batch", wanted=f"each of {len(expected)} samples in one process", got=got,
                 hint="a process takes another one's share; look at its rank and at what it was given")


def same_everywhere(values: np.ndarray, names: Sequence[str], what: str) -> Finding:
    """Do all processes have one and the same `what`?

    Args:
        values: (processes, n), numbers that tell different contents apart; names: (n,) of the contents.
    """
    check = f"{what} of the processes"
    odd = np.flatnonzero((values != values[:1]).any(axis=0))
    if not len(odd):
        return fine(check, f"the same in {len(values)} processes")
    ranks = np.flatnonzero((values != values[:1]).any(axis=1))
    return error(check, where=f"process {few(ranks)}", wanted=f"the {what} that process 0 has",
                 got=f"other {few([names[i] for i in odd])}", hint="every process must start from the same files, "
                 "configuration and checkpoint, and take the same steps")


def gradients_are_averaged(own: np.ndarray, after: np.ndarray, name: str) -> Finding:
    """Is the gradient that every process steps with the mean of what each has worked out?

    Args:
        own: (processes, n), the gradient of one parameter before processes talk; after: (processes, n), behind that.
    """
    check = "gradients of the processes"
    mean = own.mean(axis=0)
    size = np.abs(own).max() + 1e-30
    if np.abs(after - mean).max() <= 1e-4 * size:
        return fine(check, f"the mean of {len(own)} processes'")
    if np.abs(after - own).max() <= 1e-4 * size:
        got = "its own in every process"
    elif np.abs(after - own.sum(axis=0)).max() <= 1e-4 * size * len(own):
        got = "their sum"
    else:
        got = "something else"
    return error(check, where=f"{name} in the first step", wanted="the mean of the processes' gradients", got=got,
                 hint="look at what wraps the model, and at no_sync")
