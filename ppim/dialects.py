"""What users of other projects type and write, in our spelling: command lines and yaml files. Only words move here.

Known are the flags of PaddleViT (`-cfg=FILE -eval`), of DeiT and TL-Align (`--model NAME --batch-size N`), and those
that T2T-ViT and TokenLabeling have from timm (`DIR --model NAME --img-size N --checkpoint FILE`). A flag means what it
means there; docs/coming_from.md tells where the programs themselves differ. Our own flags pass through, and count when
two that set one thing disagree.
"""
from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

# A "thing" is a key of ours, or an option of tools/train.py. One value follows each of these flags.
_SETS = {
    # ours
    "-c": "--config", "--config": "--config", "--model": "--model", "--load": "--load", "--finetune": "--finetune",
    # PaddleViT
    "-cfg": "--config", "-pretrained": "--load", "-dataset": "DATA.DATASET", "-data_path": "DATA.DATA_PATH",
    "-batch_size": "DATA.BATCH_SIZE", "-image_size": "DATA.IMAGE_SIZE", "-num_classes": "MODEL.NUM_CLASSES",
    "-output": "SAVE", "-accum_iter": "TRAIN.ACCUM_ITER", "-last_epoch": "TRAIN.LAST_EPOCH",
    # DeiT, TL-Align, timm
    "--dataset": "DATA.DATASET", "--data-path": "DATA.DATA_PATH", "--data-dir": "DATA.DATA_PATH",
    "--batch-size": "DATA.BATCH_SIZE", "-b": "DATA.BATCH_SIZE", "--img-size": "DATA.IMAGE_SIZE",
    "--image-size": "DATA.IMAGE_SIZE", "--crop-pct": "DATA.CROP_PCT", "--interpolation": "DATA.INTERPOLATION",
    "--train-interpolation": "DATA.TRAIN_INTERPOLATION", "--hflip": "DATA.HFLIP", "--num-workers": "DATA.NUM_WORKERS",
    "--workers": "DATA.NUM_WORKERS", "-j": "DATA.NUM_WORKERS", "--num-classes": "MODEL.NUM_CLASSES",
    "--drop": "MODEL.DROPOUT", "--drop-path": "MODEL.DROPPATH", "--epochs": "TRAIN.NUM_EPOCHS",
    "--warmup-epochs": "TRAIN.WARMUP_EPOCHS", "--cooldown-epochs": "TRAIN.COOLDOWN_EPOCHS", "--lr": "TRAIN.BASE_LR",
    "--warmup-lr": "TRAIN.WARMUP_START_LR", "--min-lr": "TRAIN.END_LR", "--weight-decay": "TRAIN.WEIGHT_DECAY",
    "--sched": "TRAIN.LR_SCHEDULER.NAME", "--opt": "TRAIN.OPTIMIZER.NAME", "--opt-eps": "TRAIN.OPTIMIZER.EPS",
    "--momentum": "TRAIN.OPTIMIZER.MOMENTUM", "--clip-grad": "TRAIN.GRAD_CLIP", "--accum-iter": "TRAIN.ACCUM_ITER",
    "--model-ema-decay": "TRAIN.MODEL_EMA_DECAY", "--aa": "TRAIN.AUTO_AUGMENT", "--color-jitter": "TRAIN.COLOR_JITTER",
    "--reprob": "TRAIN.RANDOM_ERASE_PROB", "--remode": "TRAIN.RANDOM_ERASE_MODE",
    "--recount": "TRAIN.RANDOM_ERASE_COUNT", "--mixup": "TRAIN.MIXUP_ALPHA", "--cutmix": "TRAIN.CUTMIX_ALPHA",
    "--mixup-prob": "TRAIN.MIXUP_PROB", "--mixup-switch-prob": "TRAIN.MIXUP_SWITCH_PROB",
    "--mixup-mode": "TRAIN.MIXUP_MODE", "--smoothing": "TRAIN.SMOOTHING", "--seed": "SEED", "--output-dir": "SAVE",
    "--output": "SAVE", "--log-interval": "REPORT_FREQ", "--log-freq": "REPORT_FREQ",
    "--initial-checkpoint": "--load", "--checkpoint": "--load", "--eval-checkpoint": "--load",
    "--distillation-type": "DISTILL.TYPE", "--distillation-alpha": "DISTILL.ALPHA",
    "--distillation-tau": "DISTILL.TAU", "--teacher-model": "DISTILL.TEACHER", "--teacher-path": "DISTILL.WEIGHTS",
    # TokenLabeling
    "--token-label-data": "TOKEN_LABEL.PATH", "--dense-weight": "LOSS.DENSE_WEIGHT",
    "--cls-weight": "LOSS.CLASS_WEIGHT",
}

# One or more values follow; the key wants a list.
_LISTS = {
    "--cutmix-minmax": "TRAIN.CUTMIX_MINMAX", "--opt-betas": "TRAIN.OPTIMIZER.BETAS", "--mean": "DATA.IMAGENET_MEAN",
    "--std": "DATA.IMAGENET_STD", "--scale": "DATA.CROP_SCALE", "--ratio": "DATA.CROP_RATIO",
}

# No value follows. An option of ours that takes no value has None.
_SWITCHES = {
    "--evaluate-only": ("--evaluate-only", None), "-eval": ("--evaluate-only", None),
    "--eval": ("--evaluate-only", None), "--new-heads": ("--new-heads", None), "--debug": ("--debug", None),
    "--autoresume": ("--resume", "auto"), "--tl-align": ("MIX.CLASS_SHARE", "alignment"), "-amp": ("AMP", "True"),
    "--amp": ("AMP", "True"), "--native-amp": ("AMP", "True"), "--apex-amp": ("AMP", "True"),
    "--model-ema": ("TRAIN.MODEL_EMA", "True"), "--no-model-ema": ("TRAIN.MODEL_EMA", "False"),
    "--use-ema": ("EVAL.WEIGHTS", "ema"), "--repeated-aug": ("DATA.REPEATED_AUG", "3"),
    "--no-repeated-aug": ("DATA.REPEATED_AUG", "1"), "--resplit": ("TRAIN.RANDOM_ERASE_SPLIT", "True"),
    "--token-label": ("TOKEN_LABEL.ENABLE", "True"), "--ground-truth": ("LOSS.GROUND_TRUTH", "True"),
}

# Number of values that follow what means nothing here: the launcher, Paddle or the token grid decides.
_IGNORED = {
    **dict.fromkeys(("--pin-mem", "--no-pin-mem", "--dist-eval", "--no-test-pool", "--no-prefetcher"), 0),
    **dict.fromkeys(("--channels-last", "--model-ema-force-cpu"), 0),
    **dict.fromkeys(("--device", "--dist-url", "--world-size", "--local-rank", "--num-gpu", "-ngpus"), 1),
    **dict.fromkeys(("--decay-epochs", "--decay-rate", "--patience-epochs", "--token-label-size"), 1),
}

# The only value we can honour, and what to do instead of another one.
_ONLY = {
    "--data-set": ("IMNET", "images are read from class folders or lists, whatever they show; give --data-path alone"),
    "--start-epoch": ("0", "a checkpoint knows its epoch; go on with --resume"),
    "--vflip": ("0", "there is no vertical flip"),
    "--mixup-off-epoch": ("0", "mixing is never switched off during a run"),
    "--aug-splits": ("0", "every sample stands alone"),
}

_REFUSED = {
    "--pretrained": "name the file of the weights: --load FILE; `ppim models` tells where published ones are",
    "--real-labels": "only the labels of the class folders or lists are known",
    "--class-map": "classes are the sorted names of the class folders; give another order with {train,val}_list.txt",
    "--lr-noise": "the learning rate has no noise here",
    "--jsd": "there is no such loss here",
    "--inat-category": "give a folder whose class folders are the categories wanted",
}

_WORDS = {
    "TRAIN.OPTIMIZER.NAME": {"adamw": "AdamW", "sgd": "SGD", "momentum": "SGD"},
    "TRAIN.AUTO_AUGMENT": {"none": ""},
}


class Said(NamedTuple):
    """A value, and the flag it was given with."""

    value: str | None
    flag: str


class Translation(NamedTuple):
    """A command line in our spelling, and lines to tell about it."""

    argv: list[str]
    notes: list[str]


def plain_name(model: str) -> str:
    """A model's name in lower case with underscores: 'LV-ViT-S' is 'lvvit_s'."""
    return model.lower().replace("-", "_").replace("lv_vit", "lvvit")


def recipe_name(model: str) -> str:
    """The name of a model's published recipe, from any spelling of the model's name that is in use.

    'LV-ViT-S' is 'lvvit_s', 'T2t_vit_14' 't2t_vit_14', 'deit_base_distilled_patch16_384' 'deit_base_distilled_384'.
    """
    name = re.sub(r"^(deit_.*)_patch16", r"\1", plain_name(model))
    name = re.sub(r"^(deit_.*)_224$", r"\1", name)
    for short, size in (("ti", "tiny"), ("s", "small"), ("b", "base")):
        name = re.sub(rf"^deit_{short}(?=_|$)", f"deit_{size}", name)
    return {"lvvit_t": "lvvit_tiny"}.get(name, name)


def translate(argv: Sequence[str], recipes: Collection[str] = ()) -> Translation:
    """A command line of any of the dialects, as tools/train.py spells it.

    Args:
        argv: the words after the program's name; our own spelling is understood and passes through.
        recipes: names of the published recipes, for `--model NAME --img-size N`, which may have one of its own.

    Raises:
        ValueError: two flags set one thing to different values, a value is missing, or the flag asks for what there is
            not; the message names the flags as typed.
    """
    words, said, rest, ignored = deque(argv), {}, [], []
    while words:
        _read_next(words, said, rest, ignored)
    if "--model" in said and len(rest) == 1 and not rest[0].startswith("-"):
        _say(said, "DATA.DATA_PATH", rest.pop(), "the data folder")
    notes = [f"{', '.join(ignored)}: nothing to set here, left out"] if ignored else []
    _imply(said)
    _choose_recipe(said, recipes, notes)
    return Translation(rest + _spell(said), notes)


def _read_next(words: deque, said: dict[str, Said], rest: list[str], ignored: list[str]) -> None:
    """Take the next flag with its values off `words`; what is none of ours or theirs goes to `rest`."""
    typed = words.popleft()
    flag, equals, attached = typed.partition("=") if typed.startswith("-") else (typed, "", "")
    if flag.startswith("--"):
        flag = flag.replace("_", "-")
    if equals:
        words.appendleft(attached)
    if flag in _SETS:
        _say(said, _SETS[flag], _value(flag, words), flag)
    elif flag in _LISTS:
        _say(said, _LISTS[flag], f"[{', '.join(_values(flag, words))}]", flag)
    elif flag in _SWITCHES:
        if equals:
            raise ValueError(f"{flag} takes no value; got {typed}")
        _say(said, *_SWITCHES[flag], flag)
    elif flag in ("-o", "--override"):
        _say_pairs(said, _values(flag, words))
    elif flag in ("--resume", "-resume"):
        _say(said, "--resume", words.popleft() if words and not words[0].startswith("-") else "auto", flag)
    elif flag == "--input-size":
        _say(said, "DATA.IMAGE_SIZE", _side(_values(flag, words)), flag)
    elif flag in _IGNORED:
        ignored.append(flag)
        for _ in range(_IGNORED[flag]):
            _value(flag, words)
    elif flag in _ONLY:
        _check_only(flag, _value(flag, words))
    elif flag in _REFUSED:
        raise ValueError(f"{flag}: {_REFUSED[flag]}")
    else:
        rest.append(typed)
        if equals:
            words.popleft()


def _value(flag: str, words: deque) -> str:
    if not words:
        raise ValueError(f"{flag} wants a value")
    return words.popleft()


def _values(flag: str, words: deque) -> list[str]:
    """One value, then all that follow up to the next flag."""
    found = [_value(flag, words)]
    while words and (not words[0].startswith("-") or _number(words[0]) is not None):
        found.append(words.popleft())
    return found


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _say(said: dict[str, Said], thing: str, value: str | None, flag: str) -> None:
    """Note that `flag` sets `thing`. An empty value says nothing, as in the scripts it comes from."""
    if value == "" and thing not in ("TRAIN.AUTO_AUGMENT", "TOKEN_LABEL.PATH"):
        return
    if flag != "-o":
        value = _WORDS.get(thing, {}).get(str(value).lower(), value)
    if flag in ("--model", "--teacher-model"):
        value = recipe_name(value)
    before = said.get(thing)
    if before and before.flag != flag and before.value != value:
        number = _number(value)
        if number is None or number != _number(before.value):
            one, other = (f"{f} {thing} {v}" if f == "-o" else f"{f} {v}" for f, v in (before[::-1], (flag, value)))
            raise ValueError(f"{one} and {other} contradict each other; give one of them")
    said[thing] = Said(value, flag)


def _say_pairs(said: dict[str, Said], values: list[str]) -> None:
    if len(values) % 2:
        raise ValueError(f"-o wants pairs KEY VALUE; {values[-1]!r} has no value")
    for key, value in zip(values[::2], values[1::2]):
        before = said.get(key)
        if before and before.flag != "-o":
            _say(said, key, value, "-o")
        else:
            said[key] = Said(value, "-o")


def _side(values: list[str]) -> str:
    """`--input-size 224` (DeiT) or `--input-size 3 224 224` (timm)."""
    if len(values) not in (1, 3) or len(set(values[-2:])) > 1 or (len(values) == 3 and values[0] != "3"):
        raise ValueError(f"--input-size wants the side of a square in pixels, or 3 SIDE SIDE; got {' '.join(values)}")
    return values[-1]


def _check_only(flag: str, value: str) -> None:
    accepted, instead = _ONLY[flag]
    if value != accepted and (_number(accepted) is None or _number(value) != _number(accepted)):
        raise ValueError(f"{flag} {value}: {instead}")


def _imply(said: dict[str, Said]) -> None:
    """What a flag sets besides the thing it names, unless that is said as well."""

    def imply(thing: str, value: str | None, flag: str) -> None:
        said.setdefault(thing, Said(value, flag))

    share = said.get("MIX.CLASS_SHARE")
    if share and share.flag == "--tl-align":
        imply("MIX.CUTMIX_GRID", "tokens", share.flag)
        imply("TRAIN.MIXUP_ALPHA", "0", share.flag)
    load = said.get("--load")
    if load and load.flag in ("--checkpoint", "--eval-checkpoint"):
        imply("--evaluate-only", None, load.flag)
    if "--evaluate-only" in said:
        batch, amp = said.get("DATA.BATCH_SIZE"), said.get("AMP")
        if batch and batch.flag != "-o":
            imply("DATA.BATCH_SIZE_EVAL", batch.value, batch.flag)
        if amp and amp.flag == "-amp":  # PaddleViT evaluates in float32
            said["AMP"] = Said("False", amp.flag)


def _choose_recipe(said: dict[str, Said], recipes: Collection[str], notes: list[str]) -> None:
    """`--model` becomes `--config`."""
    model, size = said.pop("--model", None), said.get("DATA.IMAGE_SIZE")
    if not model:
        return
    name = model.value
    if size and f"{name}_{size.value}" in recipes:
        name = f"{name}_{size.value}"
        notes.append(f"{model.flag} {model.value} at {size.value} pixels has a recipe of its own: {name}")
    _say(said, "--config", name, model.flag)


def _spell(said: dict[str, Said]) -> list[str]:
    options, pairs = [], []
    for thing, (value, _) in said.items():
        if not thing.startswith("--"):
            pairs += [thing, value]
        else:
            options += [thing] if value is None else [f"{thing}={value}"]
    return options + (["-o", *pairs] if pairs else [])


# ---- yaml files ----------------------------------------------------------------------------------------------------

_MOVED = {
    "TRAIN.DISTILLATION_TYPE": "DISTILL.TYPE",
    "TRAIN.DISTILLATION_ALPHA": "DISTILL.ALPHA",
    "TRAIN.DISTILLATION_TAU": "DISTILL.TAU",
    "TRAIN.TEACHER_MODEL": "DISTILL.WEIGHTS",
}

# Keys that PaddleViT declares and its programs for these models never read, or that change nothing here.
_UNREAD = (
    "AUG", "DATA.IMAGE_CHANNELS", "MODEL.RESUME_EMA", "MODEL.TRANS.IN_CHANNELS", "MODEL.TRANS.INIT_VALUES",
    "TRAIN.MODEL_EMA_FORCE_CPU",
)

_TYPES = {"lvvit": "LV-ViT", "t2tvit": "T2T-ViT", "deit": "DeiT"}


def translate_file(content: dict) -> dict:
    """A yaml file's sections and keys as ppim/config.py has them; `content` is left as it is.

    Only keys of PaddleViT's that have moved, or that nothing reads, are treated; text such as `(0.9, 0.999)` is a list,
    as its reader has it.
    """
    content = _copy(content)
    for key in _UNREAD:
        _take(content, key)
    for theirs, ours in _MOVED.items():
        value = _take(content, theirs)
        if value is not None:
            _put(content, ours, value)
    layers, magnitude = _take(content, "TRAIN.RAND_AUGMENT_LAYERS"), _take(content, "TRAIN.RAND_AUGMENT_MAGNITUDE")
    if _take(content, "TRAIN.RAND_AUGMENT"):  # goes before AUTO_AUGMENT where both are on
        _put(content, "TRAIN.AUTO_AUGMENT", f"rand-m{magnitude or 9}-n{layers or 2}")
    family = _take(content, "MODEL.TYPE")
    if family is not None:
        _put(content, "MODEL.TYPE", _TYPES.get(re.sub(r"[^a-z0-9]", "", str(family).lower()), family))
    return content


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


def _take(content: dict, key: str):
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


def _put(content: dict, key: str, value) -> None:
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
    content[last] = value
