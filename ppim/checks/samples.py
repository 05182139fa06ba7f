"""Are samples what their names say: the same whenever they are asked for, and each row of a batch its own photo's?"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppim.checks.finding import Finding, error, few, fine, unknown, warning
from ppim.token_labels.targets import SparseTargets

_KINDS = ("class", "token")
_STANDS_OUT = 1e-3  # of a target's mass; what favours no class by more teaches nothing
_VIEWS = 8  # epochs in which a photo is looked at

Key = tuple[int, int, int]  # epoch, index, copy


def samples_are_repeatable(samples, keys: Sequence[Key]) -> Finding:
    """Does a sample depend on its name alone, whatever was asked for before it?

    Args:
        samples: as `ppim.data.loader.TrainSamples`; keys: at least two different names.
    """
    check = "samples are repeatable"
    first = [samples[key] for key in keys]
    again = [samples[key] for key in reversed(keys)][::-1]
    for key, one, other in zip(keys, first, again):
        differing = [name for name in one if not _equal(one[name], other[name])]
        if differing:
            return error(check, where=f"sample {samples.images.paths[key[1]]} of epoch {key[0]}",
                         wanted="the same bytes whenever it is asked for", got=f"another {few(differing)} after others "
                         "had been asked for", hint="something draws from a generator that others draw from as well; "
                         "let every draw come from ppim.seeds.sample_rng")
    return fine(check, f"{len(keys)} samples are the same in another order")


def views_change(samples, index: int) -> Finding:
    """Is a photo seen differently in different epochs, where views are drawn at all?"""
    check = "views change"
    low, high = samples.policy.scale
    if low == high:
        return unknown(check, "crops are of one size, so views may be alike")
    views = [samples[epoch, index, 0]["image"] for epoch in range(_VIEWS)]
    if any(not np.array_equal(views[0], view) for view in views[1:]):
        return fine(check, f"of one photo in {_VIEWS} epochs")
    if (views[0] == views[0][:, :1, :1]).all():
        return unknown(check, "the photo looked at has one colour")
    return warning(check, where=samples.images.paths[index], wanted="another view of a photo in every epoch",
                   got=f"the same in {_VIEWS} epochs", hint="key the generator of a sample by the epoch as well")


def rows_are_their_own(batch: Mapping[str, np.ndarray], keys: Sequence[Key], samples, rows: Sequence[int]) -> Finding:
    """Do picture, label and targets of each of `rows` belong to the sample of that name?

    Args:
        batch: as it came from the loader, as arrays; keys: the names of its samples, in the order of its rows.
    """
    check = "rows of a batch"
    expected = [_index_of(samples, key, index) for key, index in zip(keys, batch["index"].tolist())]
    if batch["index"].tolist() != expected:
        return error(check, where="the first batch", wanted=f"photos {few(expected)}, as the order of the epoch says",
                     got=few(batch["index"].tolist()), hint="the loader and the order of the epoch disagree")
    for row in rows:
        sample = samples[keys[row]]
        wrong = [name for name in ("image", "label", "mask") if name in sample
                 and not _equal(batch[name][row], sample[name])]
        wrong += [f"{kind} targets" for kind in _KINDS if f"{kind}_targets" in sample
                  and not _same_targets(batch, kind, row, sample[f"{kind}_targets"])]
        if wrong:
            return error(check, where=f"row {row} of the first batch, photo {samples.images.paths[keys[row][1]]}",
                         wanted="its own picture and targets", got=f"other {few(wrong)} than the sample has by itself",
                         hint="rows of pictures and of targets have come apart between the samples and the batch")
    return fine(check, f"{len(rows)} rows made anew are the same")


def tokens_are_taught(batch: Mapping[str, np.ndarray], where: str) -> Finding:
    """Do the token targets of a batch favour classes at all? One of them has to, most need not."""
    check = "token targets"
    const = batch["token_const"]
    beyond = np.bincount(batch["token_row"], np.maximum(batch["token_weight"], 0), minlength=len(const))
    taught = (beyond > _STANDS_OUT) & (const[:, 2] > 0)
    share = f"{taught.sum()} of {len(const)} tokens"
    if not taught.any():
        return error(check, where=where, wanted="token targets that favour a class", got=f"{share} with one",
                     hint="the maps are uniform, or what they show is never on the views; look at them and at "
                          "TOKEN_LABEL.FRAME")
    if 50 * taught.sum() < len(const):
        return warning(check, where=where, wanted="token targets that favour a class", got=f"{share} with one",
                       hint="the token head learns next to nothing; look at the maps and at TOKEN_LABEL.FRAME")
    return fine(check, f"{share} of the first batch favour a class")


def _index_of(samples, key: Key, found: int) -> int:
    """The photo that a sample shows: its own, or, where that cannot be read, the one that stands in for it."""
    return key[1] if found == key[1] or samples.on_bad == "raise" else int(samples[key]["index"])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, SparseTargets):
        return all(np.array_equal(*pair) for pair in zip(one, other))
    return np.array_equal(one, other)


def _same_targets(batch: Mapping[str, np.ndarray], kind: str, row: int, own: SparseTargets) -> bool:
    """Is the part of a batch's targets that belongs to one picture what its sample has by itself?"""
    rows = len(own.const)
    place, ids, weight, const = (batch[f"{kind}_{field}"] for field in SparseTargets._fields)
    here = (place >= row * rows) & (place < (row + 1) * rows) & (weight != 0)
    theirs = SparseTargets(place[here] - row * rows, ids[here], weight[here], const[row * rows:(row + 1) * rows])
    kept = own.weight != 0
    return _equal(theirs, SparseTargets(own.row[kept], own.id[kept], own.weight[kept], own.const))
