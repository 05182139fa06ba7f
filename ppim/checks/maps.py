"""What is to be said of a survey of label maps: of files that are missing or broken, of ids, of scores."""
from __future__ import annotations

from collections.abc import Sequence

from ppim.checks.finding import Finding, error, few, fine, warning
from ppim.token_labels.check import Survey


def maps_match_photos(missing: Sequence[str], lone: Sequence[str], photos: int, where: str, hint: str) -> Finding:
    """Has every photo its map, and every map its photo?

    Args:
        missing: photos without a map, `hint` what to do about them; lone: maps without a photo; photos: how many there
            are.
    """
    check = "label maps and photos"
    if missing:
        return error(check, where=where, wanted=f"a map for each of {photos:,} photos",
                     got=f"none for {len(missing):,}: {few(missing)}", hint=hint)
    if lone:
        return warning(check, where=where, wanted="a photo for each map", got=f"none for {len(lone):,}: {few(lone)}",
                       hint="they are left over, or photos have been moved; nothing reads them")
    return fine(check, f"{photos:,} photos have a map each, no map is left over")


def pack_has_changed(changed: Sequence[str]) -> Finding:
    """What is to be said where files of a pack are not what was written; `changed` says which, in a line each."""
    return error("files of the label maps", where="the pack", wanted="what was written",
                 got=f"{len(changed):,} differences: {few(changed)}", hint="pack the maps again")


def scores_are(seen: Survey) -> str:
    """What the scores of the maps are: `probabilities`, `log-probabilities` or `logits`."""
    return "probabilities" if seen.probabilities else "log-probabilities" if seen.log_probabilities else "logits"


def maps_are_sound(seen: Survey, num_classes: int, where: str, target: str = "released") -> Finding:
    """Can the maps be read, and are their scores what readers take them for?

    Args:
        target: TOKEN_LABEL.TARGET, how they are read.
    """
    check = "contents of the label maps"
    if seen.broken:
        return error(check, where=where, wanted=f"{len(seen.looked):,} maps that can be read",
                     got=f"{len(seen.broken):,} that cannot, the first: {seen.broken[0]}", hint="make them again")
    if seen.probabilities:
        return warning(check, where=where, wanted="scores that are logits", got="probabilities in every map",
                       hint="a softmax of probabilities is nearly uniform and teaches next to nothing; write their "
                            "logarithms, with a log-sum-exp of zero beside them, and take TOKEN_LABEL.TARGET probs")
    if target == "released" and 2 * len(seen.outweighed) > len(seen.looked):
        return error(check, where=where, wanted="scores above zero, which is what classes that were not kept count as",
                     got=f"less for the best class of most cells in {len(seen.outweighed):,} of {len(seen.looked):,} "
                         f"maps of {scores_are(seen)}: {few(seen.outweighed)}",
                     hint="a softmax puts every other class above them; take TOKEN_LABEL.TARGET probs, which needs the "
                          "log-sum-exp in the maps, or write logits")
    if seen.improbable:
        return warning(check, where=where, wanted="scores of at most the log-sum-exp beside them",
                       got=f"probabilities above one in {len(seen.improbable):,} maps: {few(seen.improbable)}",
                       hint="the third plane is not the log-sum-exp of these scores; make them again")
    if len(seen.forms) > 1:
        return warning(check, where=where, wanted="maps of one form", got=few(f"{form} ({count})" for form, count
                       in seen.forms.items()), hint="are they of one annotator?")
    form = next(iter(seen.forms), "none")
    unsorted = f", scores out of order in {len(seen.unsorted)}" if seen.unsorted else ""
    return fine(check, f"{len(seen.looked):,} maps {form} of {scores_are(seen)}, ids up to {seen.highest_id} of "
                       f"{num_classes} classes{unsorted}")
