"""Yaml files that users of PaddleViT write, in our spelling. Only words move here."""
from __future__ import annotations

import ast
import re

from ppim.families import facts

_MOVED = {
    "TRAIN.DISTILLATION_TYPE": "DISTILL.TYPE",
    "TRAIN.DISTILLATION_ALPHA": "DISTILL.ALPHA",
    "TRAIN.DISTILLATION_TAU": "DISTILL.TAU",
    "TRAIN.TEACHER_MODEL": "DISTILL.WEIGHTS",
}

# The network's keys: older files have them in MODEL.TRANS, as ours, the newest directly below MODEL.
_TRANS = (
    "TOKEN_TYPE", "PATCH_SIZE", "IN_CHANNELS", "EMBED_DIM", "DEPTH", "NUM_HEADS", "MLP_RATIO", "QKV_BIAS", "QK_SCALE",
    "INIT_VALUES",
)

# Keys that PaddleViT declares and its programs for these models never read, or that change nothing here.
_UNREAD = (
    "AUG", "DATA.DATASET", "DATA.IMAGE_CHANNELS", "LOCAL_RANK", "MODEL.RESUME_EMA", "MODEL.TRANS.IN_CHANNELS",
    "MODEL.TRANS.INIT_VALUES", "NGPUS", "TAG", "TRAIN.LR_SCHEDULER.DECAY_EPOCHS", "TRAIN.LR_SCHEDULER.DECAY_RATE",
    "TRAIN.LR_SCHEDULER.MILESTONES", "TRAIN.MODEL_EMA_FORCE_CPU",
)

# Keys of its that must stay off, and what to do instead.
_ONLY_OFF = {
    "TRAIN.LAST_EPOCH": "a checkpoint knows its epoch; go on with --resume, and leave this key 0",
    "TRAIN.RANDOM_ERASE_SPLIT": "every sample stands alone; leave this key False",
}


def translate_file(content: dict[str, object]) -> dict[str, object]:
    """A yaml file's sections and keys as ppim/config/keys.py has them; `content` is left as it is.

    Only keys of PaddleViT's that have moved, or that nothing reads, are treated; text such as `(0.9, 0.999)` is a list,
    as its reader has it.

    Raises:
        ValueError: a key asks for what there is not, or one of the network stands at both of its places, with different
            values.
    """
    content = _copy(content)
    for name in _TRANS:
        _move_below(content, name)
    for key in _UNREAD:
        _take(content, key)
    for key, instead in _ONLY_OFF.items():
        value = _take(content, key)
        if value:
            raise ValueError(f"{key} {value}: {instead}")
    if isinstance(content.get("EVAL"), bool):
        content["EVAL"] = {"ONLY": content["EVAL"]}
    for theirs, ours in _MOVED.items():
        value = _take(content, theirs)
        if value is not None:
            _put(content, ours, value)
    layers, magnitude = _take(content, "TRAIN.RAND_AUGMENT_LAYERS"), _take(content, "TRAIN.RAND_AUGMENT_MAGNITUDE")
    if _take(content, "TRAIN.RAND_AUGMENT"):  # goes before AUTO_AUGMENT where both are on
        _put(content, "TRAIN.AUTO_AUGMENT", f"rand-m{magnitude or 9}-n{layers or 2}")
    family = _take(content, "MODEL.TYPE")
    if family is not None:
        _put(content, "MODEL.TYPE", _type_of(str(family)))
    return content


def _type_of(spelt: str) -> str:
    """The family meant, whatever the capitals and dashes of its name; what is none of ours stays as it is."""
    known = {re.sub(r"[^a-z0-9]", "", family.type.lower()): family.type for family in facts().values()}
    return known.get(re.sub(r"[^a-z0-9]", "", spelt.lower()), spelt)


def _move_below(content: dict[str, object], name: str) -> None:
    """MODEL.<name> becomes MODEL.TRANS.<name>; where TRANS is no section, the reader of the file says so."""
    model = content.get("MODEL")
    if not isinstance(model, dict) or name not in model or not isinstance(model.setdefault("TRANS", {}), dict):
        return
    value = model.pop(name)
    if model["TRANS"].setdefault(name, value) != value:
        raise ValueError(f"MODEL.{name} {value} and MODEL.TRANS.{name} {model['TRANS'][name]} contradict each other; "
                         "give one of them")


def _copy(value):
    """A copy; text that is a list or tuple in Python becomes a list."""
    if isinstance(value, dict):
        return {name: _copy(inner) for name, inner in value.items()}
    if isinstance(value, str) and value[:1] in ("(", "["):
        try:
            return list(ast.literal_eval(value))
        except (ValueError, SyntaxError, TypeError):
            return value
    return value


def _take(content: dict[str, object], key: str):
    """The value of a key, which is removed, together with the section it leaves empty; None where it is not there."""
    name, _, below = key.partition(".")
    if not below:
        return content.pop(name, None)
    if not isinstance(content.get(name), dict):
        return None
    value = _take(content[name], below)
    if not content[name]:
        del content[name]
    return value


def _put(content: dict[str, object], key: str, value) -> None:
    """Give a key its value; where one of its sections is none, the reader of the file says so."""
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            return
    content[last] = value
