"""Do rate and normalisation fit the recipe, the batch and the weights that a run starts from?"""
from __future__ import annotations

import math
from collections.abc import Mapping

from ppim.checks.finding import Finding, error, fine, unknown, warning

_CLOSE = 0.02  # of a ratio of rates, as people round them


def rate_follows_batch(peak: float, base: float, reference: int | None, batch: int) -> Finding:
    """Is the schedule's highest rate `base`, scaled once from a batch of `reference` samples to one of `batch`?"""
    check = "rate and batch"
    wanted = base if reference is None else base * batch / reference
    if math.isclose(peak, wanted, rel_tol=1e-6, abs_tol=1e-30):
        return fine(check, f"{peak:.4g} at {batch} samples a step")
    return error(check, where="the schedule", wanted=f"a rate of {wanted:.4g}, TRAIN.BASE_LR {base:g} at a batch of "
                 f"{batch}", got=f"{peak:.4g}", hint="the scaling to the batch is applied twice, or not at all")


def rate_is_not_scaled_by_hand(base: float, reference: int | None, batch: int, published: Mapping) -> Finding:
    """Has someone scaled the recipe's rate to the batch, though the run does, or switched that off and not done it?

    Args:
        base, reference: TRAIN.BASE_LR and TRAIN.LINEAR_SCALED_LR of the run; published: `base` and `reference` of its
            recipe.
    """
    check = "rate and recipe"
    theirs, meant = published["base"], published["reference"]
    if meant is None or meant == batch or not theirs or not base:
        return unknown(check, "the recipe's rate needs no scaling here")
    scale, ratio = batch / meant, base / theirs
    where = f"TRAIN.BASE_LR {base:g}"
    if reference == meant and abs(ratio / scale - 1) < _CLOSE:
        return warning(check, where=where, wanted=f"the recipe's {theirs:g}, which the run scales to the batch of "
                       f"{batch}", got=f"that already scaled by {scale:.4g}, so {scale**2:.3g} of it in the end",
                       hint=f"leave TRAIN.BASE_LR as it was, or set TRAIN.LINEAR_SCALED_LR {batch}")
    if reference in (None, batch) and abs(ratio - 1) < _CLOSE:
        return warning(check, where=where, wanted=f"a rate for {batch} samples, about {theirs * scale:.3g}",
                       got=f"the recipe's, which is for {meant}, with TRAIN.LINEAR_SCALED_LR {reference}",
                       hint=f"leave TRAIN.LINEAR_SCALED_LR {meant}, or scale the rate yourself")
    return fine(check, f"scaled once, from {meant} to {batch} samples")


def made_for_these_pictures(here: Mapping[str, object], there: Mapping[str, object], source: str) -> Finding:
    """Do loaded weights get pictures as they are used to: of this normalisation, resized this way?

    Args:
        here, there: keys of DATA and their values, of the run and of the recipe that the weights were trained with.
        source: which recipe that is.
    """
    check = "pictures of the loaded weights"
    other = [key for key in there if not _alike(here[key], there[key])]
    if not other:
        return fine(check, f"as in {source}")
    said = "; ".join(f"DATA.{key} {there[key]}" for key in other)
    got = "; ".join(f"DATA.{key} {here[key]}" for key in other)
    return warning(check, where=source, wanted=f"{said}, with which the weights were trained", got=got,
                   hint="set them as they were there, unless the change is meant")


def _alike(one: object, other: object) -> bool:
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(math.isclose(a, b, abs_tol=1e-3) for a, b in zip(one, other))
    return one == other
