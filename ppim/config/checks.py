"""What does a configuration ask for, and which keys contradict each other? A single value is checked by its row."""
from __future__ import annotations

from yacs.config import CfgNode

from ppim.families import facts, family_of, size_of
from ppim.names import normalise_name

# What TOKEN_LABEL.GEOMETRY released goes with: the released code knows nothing else.
_RELEASED = {
    "DATA.AUG_ORDER": "released",
    "TOKEN_LABEL.FRAME": "whole",
    "TOKEN_LABEL.TARGET": "released",
    "TOKEN_LABEL.FILL": "uniform",
    "TOKEN_LABEL.WEIGHT": "none",
}

def teaches_tokens(config: CfgNode) -> bool:
    """Is the token head trained, by label maps or by a teacher?"""
    return (config.TOKEN_LABEL.ENABLE and config.LOSS.DENSE_WEIGHT > 0) or config.DISTILL.DENSE_WEIGHT > 0


def has_teacher(config: CfgNode) -> bool:
    """Does another network teach classes, tokens or both?"""
    return config.DISTILL.TYPE != "none" or config.DISTILL.DENSE_WEIGHT > 0


def check(config: CfgNode) -> None:
    """Raise ValueError, in words a user understands, where several keys together make no sense."""
    _check_model(config)
    _check_heads(config)
    _check_teacher(config)
    _check_training(config)
    _check_tuning(config)
    _check_token_labels(config)
    _check_segmenting(config)


def _check_model(config: CfgNode) -> None:
    model, image_size = config.MODEL, config.DATA.IMAGE_SIZE
    name = normalise_name(model.NAME)
    family = family_of(name)
    if family and family.type != model.TYPE:
        raise ValueError(f"MODEL.NAME {model.NAME} is a model of MODEL.TYPE {family.type}, got {model.TYPE}; set both")
    size = size_of(name, model.TRANS)
    dim, heads, patch = (size.get(part) for part in ("embed_dim", "num_heads", "patch_size"))
    if dim and heads and dim % heads:
        raise ValueError(f"MODEL.TRANS.EMBED_DIM ({dim}) must be a multiple of MODEL.TRANS.NUM_HEADS ({heads})")
    for side in image_size if isinstance(image_size, list) else [image_size]:
        if patch and side % patch:
            raise ValueError(
                f"DATA.IMAGE_SIZE ({image_size}) must be a multiple of MODEL.TRANS.PATCH_SIZE ({patch}); "
                f"the nearest are {side // patch * patch} and {-(-side // patch) * patch}"
            )


def _check_heads(config: CfgNode) -> None:
    model, families = config.MODEL, facts().values()
    for key in sorted({key for family in families for key in family.options}):
        types = [family.type for family in families if key in family.options]
        if model[key] and model.TYPE not in types:
            raise ValueError(f"MODEL.{key} is for MODEL.TYPE {', '.join(types)}, got {model.TYPE}; leave it False")
        if key == "DENSE_HEAD" and model.TYPE in types and not model[key] and teaches_tokens(config):
            raise ValueError(
                f"token labels need a head on every token, which {model.TYPE} has with MODEL.DENSE_HEAD True; "
                "or set LOSS.DENSE_WEIGHT and DISTILL.DENSE_WEIGHT to 0 to teach the class head alone"
            )


def _check_teacher(config: CfgNode) -> None:
    distill = config.DISTILL
    for key in ("TEACHER", "WEIGHTS"):
        if has_teacher(config) and not distill[key]:
            what = "a recipe (a yaml file or a published name)" if key == "TEACHER" else "the file of its weights"
            raise ValueError(f"DISTILL.TYPE {distill.TYPE} with DISTILL.DENSE_WEIGHT {distill.DENSE_WEIGHT:g} needs "
                             f"DISTILL.{key}, {what}")
    if config.MIX.CLASS_SHARE != "area" and config.MODEL.TYPE == "paddle_vision":
        raise ValueError(f"MIX.CLASS_SHARE {config.MIX.CLASS_SHARE} needs a model with attention; MODEL.TYPE "
                         "paddle_vision has none, set it to area")


def _check_training(config: CfgNode) -> None:
    train = config.TRAIN
    if train.LR_SCHEDULER.NAME != "constant" and train.WARMUP_EPOCHS >= train.NUM_EPOCHS:
        raise ValueError(
            f"TRAIN.WARMUP_EPOCHS ({train.WARMUP_EPOCHS}) must be less than TRAIN.NUM_EPOCHS ({train.NUM_EPOCHS})"
        )
    if config.EVAL.ONLY and config.MODEL.NEW_HEADS == "always":
        raise ValueError("MODEL.NEW_HEADS always (--new-heads) starts heads afresh, which leaves nothing to evaluate; "
                         "train first")
    asked = [f"EVAL.{name}" for name in ("REPORT", "DUMP", "REAL") if config.EVAL[name]]
    asked += ["EVAL.AMONG shown"] * (config.EVAL.AMONG == "shown")
    if asked and not config.EVAL.ONLY:
        raise ValueError(f"{', '.join(asked)}: only for evaluation; train first, then give it to ppim evaluate")
    if config.EVAL.PRECISION == "bfloat16" and config.EVAL.ENGINE == "dygraph":
        raise ValueError("EVAL.PRECISION bfloat16 contradicts EVAL.ENGINE dygraph, which has none on a processor; set "
                         "EVAL.ENGINE inference")
    if config.MIX.GROUP % 2:
        raise ValueError(f"MIX.GROUP wants an even number of images, since pairs are mixed; got {config.MIX.GROUP}, "
                         f"try {config.MIX.GROUP + 1}")
    if config.MIX.TOKEN_ALPHA and config.MODEL.TYPE == "paddle_vision":
        raise ValueError("MIX.TOKEN_ALPHA needs a model with tokens; set it to 0 for MODEL.TYPE paddle_vision")
    if config.MIX.CLASS_SHARE == "alignment" and config.MODEL.TYPE == "VOLO":
        raise ValueError("MIX.CLASS_SHARE alignment carries labels through attention among all tokens, which VOLO's "
                         "first blocks have not; set it to attention or area")
    if train.RECOMPUTE and config.MODEL.TYPE == "paddle_vision":
        raise ValueError("TRAIN.RECOMPUTE needs a model of blocks; set it to False for MODEL.TYPE paddle_vision")


def _check_tuning(config: CfgNode) -> None:
    train, frozen = config.TRAIN, config.TRAIN.FREEZE
    size = size_of(normalise_name(config.MODEL.NAME), config.MODEL.TRANS)
    depth = size.get("depth") or sum(size.get("layers", ()))
    if not frozen.isdecimal() and frozen not in ("none", "embedding", "backbone"):
        raise ValueError(f"TRAIN.FREEZE wants none, embedding, backbone or a number of blocks; got {frozen!r}")
    if frozen.isdecimal() and depth and int(frozen) > depth:
        raise ValueError(f"TRAIN.FREEZE {frozen} wants at most the {depth} blocks of {config.MODEL.NAME}; to train the "
                         "heads alone, set it to backbone")
    if config.MODEL.TYPE == "paddle_vision" and frozen not in ("none", "backbone"):
        raise ValueError(f"TRAIN.FREEZE {frozen} needs a model of blocks; MODEL.TYPE paddle_vision takes backbone, all "
                         "but the head")
    if config.MODEL.TYPE == "paddle_vision" and train.LAYER_DECAY < 1:
        raise ValueError("TRAIN.LAYER_DECAY needs a model of blocks; set it to 1 for MODEL.TYPE paddle_vision")
    if config.LOSS.CLASS_BALANCE != "none" and config.DATA.SAMPLING == "balanced":
        raise ValueError(f"LOSS.CLASS_BALANCE {config.LOSS.CLASS_BALANCE} and DATA.SAMPLING balanced both even classes "
                         "out, and together favour rare ones; choose one")


def _check_token_labels(config: CfgNode) -> None:
    labels = config.TOKEN_LABEL
    if labels.ENABLE and not labels.PATH:
        raise ValueError("TOKEN_LABEL.ENABLE needs TOKEN_LABEL.PATH, the folder of label maps")
    state = {"DATA.AUG_ORDER": config.DATA.AUG_ORDER, **{f"TOKEN_LABEL.{name}": labels[name] for name in labels}}
    missing = [f"{key} {value}" for key, value in _RELEASED.items() if state[key] != value]
    if labels.GEOMETRY == "released" and missing:
        raise ValueError(
            "TOKEN_LABEL.GEOMETRY released does as the released code, which warps every map as one of the whole photo; "
            f"it needs -o {' '.join(missing)} as well"
        )
    if labels.GEOMETRY == "released" and isinstance(config.DATA.IMAGE_SIZE, list):
        raise ValueError(f"TOKEN_LABEL.GEOMETRY released exchanges x and y, which goes with squares alone; "
                         f"DATA.IMAGE_SIZE is {config.DATA.IMAGE_SIZE}, set TOKEN_LABEL.GEOMETRY exact")
    if labels.ENABLE and config.LOSS.CLASS_WEIGHT == 0 and config.LOSS.DENSE_WEIGHT == 0:
        raise ValueError("LOSS.CLASS_WEIGHT and LOSS.DENSE_WEIGHT are both 0: there is nothing to train")


def _check_segmenting(config: CfgNode) -> None:
    if config.TASK != "segment":
        return
    segment = config.SEGMENT
    if isinstance(config.DATA.IMAGE_SIZE, list):
        raise ValueError(f"TASK segment cuts squares out of photos: DATA.IMAGE_SIZE wants one side in pixels, got "
                         f"{list(config.DATA.IMAGE_SIZE)}")
    if segment.MODE == "slide" and segment.STRIDE > config.DATA.IMAGE_SIZE:
        raise ValueError(f"SEGMENT.STRIDE {segment.STRIDE} leaves gaps between windows of DATA.IMAGE_SIZE "
                         f"{config.DATA.IMAGE_SIZE} pixels; set it to that or less")
    without = {
        "TOKEN_LABEL.ENABLE": config.TOKEN_LABEL.ENABLE,
        "DISTILL": has_teacher(config),
        "DATA.SAMPLING": config.DATA.SAMPLING != "all",
        "DATA.ON_BAD": config.DATA.ON_BAD != "raise",
        "DATA.VAL_SHARE": config.DATA.VAL_SHARE > 0,
        "LOSS.CLASS_BALANCE": config.LOSS.CLASS_BALANCE != "none",
        "PICTURES": config.PICTURES > 0,
        "EVAL.REPORT, EVAL.DUMP or EVAL.REAL": bool(config.EVAL.REPORT or config.EVAL.DUMP or config.EVAL.REAL),
        "EVAL.AMONG": config.EVAL.AMONG != "all",
        "EVAL.ENGINE": config.EVAL.ENGINE == "inference",
        "EVAL.KEEP": config.EVAL.KEEP < 1,
        "MODEL.TYPE paddle_vision": config.MODEL.TYPE == "paddle_vision",
    }
    asked = [key for key, is_asked in without.items() if is_asked]
    if asked:
        what = "it" if len(asked) == 1 else "them"
        raise ValueError(f"TASK segment knows nothing of {', '.join(asked)}; leave {what} as by default")
