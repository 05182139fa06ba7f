"""Command lines that users of other projects type, in our spelling. Only words move here.

Known are the flags of PaddleViT (`-cfg=FILE -eval`), of DeiT and TL-Align (`--model NAME --batch-size N`), and those
that T2T-ViT and TokenLabeling have from timm (`DIR --model NAME --img-size N --checkpoint FILE`). A flag means what it
means there; docs/en/coming_from.md tells where the programs themselves differ. A flag is short for a key of the
configuration, our own flags too, and two that set one key to different values are an error.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ppim.names import normalise_name

# A "thing" is a key of ours, or --config or --model, which choose the recipe. One value follows each of these flags.
_SETS = {
    # ours
    "-c": "--config", "--config": "--config", "--model": "--model", "--load": "MODEL.PRETRAINED",
    "--finetune": "MODEL.PRETRAINED", "--classes": "MODEL.CLASSES", "--report": "EVAL.REPORT", "--dump": "EVAL.DUMP",
    "--real": "EVAL.REAL", "--among": "EVAL.AMONG",
    # PaddleViT
    "-cfg": "--config", "-pretrained": "MODEL.PRETRAINED", "-data_path": "DATA.DATA_PATH",
    "-batch_size": "DATA.BATCH_SIZE", "-image_size": "DATA.IMAGE_SIZE", "-num_classes": "MODEL.NUM_CLASSES",
    "-output": "SAVE", "-accum_iter": "TRAIN.ACCUM_ITER",
    # DeiT, TL-Align, timm
    "--data-path": "DATA.DATA_PATH", "--data-dir": "DATA.DATA_PATH",
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
    "--initial-checkpoint": "MODEL.PRETRAINED", "--checkpoint": "MODEL.PRETRAINED",
    "--eval-checkpoint": "MODEL.PRETRAINED",
    "--distillation-type": "DISTILL.TYPE", "--distillation-alpha": "DISTILL.ALPHA",
    "--distillation-tau": "DISTILL.TAU", "--teacher-model": "DISTILL.TEACHER", "--teacher-path": "DISTILL.WEIGHTS",
    # TokenLabeling
    "--real-labels": "EVAL.REAL", "--token-label-data": "TOKEN_LABEL.PATH", "--dense-weight": "LOSS.DENSE_WEIGHT",
    "--cls-weight": "LOSS.CLASS_WEIGHT", "--class-map": "MODEL.CLASSES",
}

# One or more values follow; the key wants a list.
_LISTS = {
    "--cutmix-minmax": "TRAIN.CUTMIX_MINMAX", "--opt-betas": "TRAIN.OPTIMIZER.BETAS", "--mean": "DATA.IMAGENET_MEAN",
    "--std": "DATA.IMAGENET_STD", "--scale": "DATA.CROP_SCALE", "--ratio": "DATA.CROP_RATIO",
}

# No value follows.
_SWITCHES = {
    "--evaluate-only": ("EVAL.ONLY", "True"), "-eval": ("EVAL.ONLY", "True"), "--eval": ("EVAL.ONLY", "True"),
    "--new-heads": ("MODEL.NEW_HEADS", "always"), "--autoresume": ("MODEL.RESUME", "auto"),
    "--tl-align": ("MIX.CLASS_SHARE", "alignment"), "-amp": ("AMP", "always"),
    "--amp": ("AMP", "always"), "--native-amp": ("AMP", "always"), "--apex-amp": ("AMP", "always"),
    "--model-ema": ("TRAIN.MODEL_EMA", "True"), "--no-model-ema": ("TRAIN.MODEL_EMA", "False"),
    "--use-ema": ("EVAL.WEIGHTS", "auto"), "--repeated-aug": ("DATA.REPEATED_AUG", "3"),
    "--no-repeated-aug": ("DATA.REPEATED_AUG", "1"),
    "--token-label": ("TOKEN_LABEL.ENABLE", "True"), "--ground-truth": ("LOSS.GROUND_TRUTH", "True"),
}

# Number of values that follow what means nothing here: the launcher, Paddle, the data or the token grid decides.
_IGNORED = {
    **dict.fromkeys(("--pin-mem", "--no-pin-mem", "--dist-eval", "--no-test-pool", "--no-prefetcher"), 0),
    **dict.fromkeys(("--channels-last", "--model-ema-force-cpu"), 0),
    **dict.fromkeys(("--device", "--dist-url", "--world-size", "--local-rank", "--num-gpu", "-ngpus"), 1),
    **dict.fromkeys(("--decay-epochs", "--decay-rate", "--patience-epochs", "--token-label-size"), 1),
    **dict.fromkeys(("--dataset", "-dataset"), 1),
}

# The only value we can honour, and what to do instead of another one.
_ONLY = {
    "--data-set": ("IMNET", "images are read from class folders or lists, whatever they show; give --data-path alone"),
    "--start-epoch": ("0", "a checkpoint knows its epoch; go on with --resume"),
    "-last_epoch": ("0", "a checkpoint knows its epoch; go on with --resume"),
    "--vflip": ("0", "there is no vertical flip"),
    "--mixup-off-epoch": ("0", "mixing is never switched off during a run"),
    "--aug-splits": ("0", "every sample stands alone"),
}

_REFUSED = {
    "--pretrained": "name the file of the weights: --load FILE; `ppim models` tells where published ones are",
    "--lr-noise": "the learning rate has no noise here",
    "--jsd": "there is no such loss here",
    "--resplit": "every sample stands alone, so erasing spares none of them",
    "--inat-category": "give a folder whose class folders are the categories wanted",
}

_WORDS = {
    "TRAIN.OPTIMIZER.NAME": {"adamw": "AdamW", "sgd": "SGD", "momentum": "SGD"},
    "TRAIN.AUTO_AUGMENT": {"none": ""},
}

KNOWN_FLAGS = (*_SETS, *_LISTS, *_SWITCHES, *_IGNORED, *_ONLY, *_REFUSED)

_FOLDER = "the data folder"  # stands for the flag of what timm's programs take without one


class Said(NamedTuple):
    """A value, and the flag it was given with."""

    value: str
    flag: str


class Translation(NamedTuple):
    """A command line as `--config=FILE -o KEY VALUE ...` behind words nobody knows, and lines to tell about it."""

    argv: list[str]
    notes: list[str]


def translate(argv: Sequence[str], recipes: Collection[str] = ()) -> Translation:
    """A command line of any of the dialects as recipe and keys.

    Args:
        argv: the words after the program's name.
        recipes: names of the published recipes, for `--model NAME --img-size N`, which may have one of its own.

    Raises:
        ValueError: two flags set one thing to different values, a value is missing, or the flag asks for what there is
            not; the message names the flags as typed.
    """
    words, said, rest, ignored = deque(argv), {}, [], []
    while words:
        _read_next(words, said, rest, ignored)
    if "--model" in said and len(rest) == 1 and not rest[0].startswith("-"):
        _say(said, "DATA.DATA_PATH", rest.pop(), _FOLDER)
    notes = [f"{', '.join(ignored)}: nothing to set here, left out"] if ignored else []
    _imply(said)
    _choose_recipe(said, recipes, notes)
    return Translation(rest + _spell(said), notes)


def _read_next(words: deque[str], said: dict[str, Said], rest: list[str], ignored: list[str]) -> None:
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
        _say(said, "MODEL.RESUME", words.popleft() if words and not words[0].startswith("-") else "auto", flag)
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


def _value(flag: str, words: deque[str]) -> str:
    if not words:
        raise ValueError(f"{flag} wants a value")
    return words.popleft()


def _values(flag: str, words: deque[str]) -> list[str]:
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


def _say(said: dict[str, Said], thing: str, value: str, flag: str) -> None:
    """Note that `flag` sets `thing`. An empty value says nothing, as in the scripts it comes from."""
    if value == "" and thing not in ("TRAIN.AUTO_AUGMENT", "TOKEN_LABEL.PATH"):
        return
    if flag != "-o":
        value = _WORDS.get(thing, {}).get(value.lower(), value)
    if flag in ("--model", "--teacher-model"):
        value = normalise_name(value)
    before = said.get(thing)
    if before and before.flag != flag and before.value != value:
        number = _number(value)
        if number is None or number != _number(before.value):
            one, other = (f"{f} {thing} {v}" if f == "-o" else f"{f} {v}" for f, v in (before[::-1], (flag, value)))
            raise ValueError(f"{one} and {other} contradict each other; give one of them")
    said[thing] = Said(value, flag)


def pairs_of(words: Sequence[str]) -> list[tuple[str, str]]:
    """Keys and values as typed after `-o`: KEY VALUE and KEY=VALUE, in any mixture.

    Raises:
        ValueError: the last key has no value.
    """
    pairs, rest = [], deque(words)
    while rest:
        key, equals, value = rest.popleft().partition("=")
        if not equals and not rest:
            raise ValueError(f"-o wants pairs KEY VALUE or KEY=VALUE; {key!r} has no value")
        pairs.append((key, value if equals else rest.popleft()))
    return pairs


def _say_pairs(said: dict[str, Said], values: list[str]) -> None:
    for key, value in pairs_of(values):
        before = said.get(key)
        if before and before.flag != "-o":
            _say(said, key, value, "-o")
        else:
            said[key] = Said(value, "-o")


def _side(values: list[str]) -> str:
    """`--input-size 224` (DeiT) or `--input-size 3 224 288` (timm, height first)."""
    if len(values) not in (1, 3) or (len(values) == 3 and values[0] != "3"):
        raise ValueError("--input-size wants the side of a square in pixels, or 3 HEIGHT WIDTH; got "
                         f"{' '.join(values)}")
    return values[-1] if len(set(values[-2:])) == 1 or len(values) == 1 else f"[{values[1]}, {values[2]}]"


def _check_only(flag: str, value: str) -> None:
    accepted, instead = _ONLY[flag]
    if value != accepted and (_number(accepted) is None or _number(value) != _number(accepted)):
        raise ValueError(f"{flag} {value}: {instead}")


def _imply(said: dict[str, Said]) -> None:
    """What a flag sets besides the thing it names, unless that is said as well."""

    def imply(thing: str, value: str, flag: str) -> None:
        said.setdefault(thing, Said(value, flag))

    share = said.get("MIX.CLASS_SHARE")
    if share and share.flag == "--tl-align":
        imply("MIX.CUTMIX_GRID", "tokens", share.flag)
        imply("TRAIN.MIXUP_ALPHA", "0", share.flag)
        imply("TRAIN.MODEL_EMA", "False", share.flag)
    _imply_rates(said, imply)
    _imply_plain_labels(said)
    _imply_evaluation(said, imply)


def _imply_rates(said: dict[str, Said], imply: Callable[[str, str, str], None]) -> None:
    """A rate means what it means there: DeiT's --lr is for a batch of 512, T2T-ViT's and TokenLabeling's for any.

    The rates at the start and at the end follow the batch in none of these. (DeiT main.py, T2T-ViT main.py and
    TokenLabeling main.py, `create_scheduler`.)
    """
    rates = ("TRAIN.BASE_LR", "TRAIN.WARMUP_START_LR", "TRAIN.END_LR")
    typed = [said[rate].flag for rate in rates if rate in said and said[rate].flag != "-o"]
    folder, model = said.get("DATA.DATA_PATH"), said.get("--model")
    from_timm = folder is not None and folder.flag in (_FOLDER, "--data-dir")
    if not typed or not model or not (from_timm or model.value.startswith("deit_")):
        return
    imply("TRAIN.SCALED_RATES", "base", typed[0])
    if "--lr" in typed:
        imply("TRAIN.LINEAR_SCALED_LR", "None" if from_timm else "512", "--lr")


def _imply_plain_labels(said: dict[str, Said]) -> None:
    """`--token-label --dense-weight 0` without a folder of maps: TokenLabeling's line for data that have none."""
    enable, weight, maps = map(said.get, ("TOKEN_LABEL.ENABLE", "LOSS.DENSE_WEIGHT", "TOKEN_LABEL.PATH"))
    has_maps = maps is not None and maps.value != ""
    if enable and enable.flag == "--token-label" and weight and _number(weight.value) == 0 and not has_maps:
        said["TOKEN_LABEL.ENABLE"] = Said("False", enable.flag)


def _imply_evaluation(said: dict[str, Said], imply: Callable[[str, str, str], None]) -> None:
    """Which weights of a file count, and the batch: DeiT and TokenLabeling take the raw ones, T2T-ViT the average."""
    load, evaluates = (said[key].flag if key in said else "" for key in ("MODEL.PRETRAINED", "EVAL.ONLY"))
    if load == "--finetune":
        imply("MODEL.NEW_HEADS", "auto", load)
    if load in ("--checkpoint", "--eval-checkpoint"):
        imply("EVAL.ONLY", "True", load)
    if load == "--checkpoint" or (evaluates == "--eval" and load in ("", "--finetune")):
        imply("EVAL.WEIGHTS", "raw", load or evaluates)
    if "EVAL.ONLY" in said:
        batch, amp = said.get("DATA.BATCH_SIZE"), said.get("AMP")
        if batch and batch.flag != "-o":
            imply("DATA.BATCH_SIZE_EVAL", batch.value, batch.flag)
        if amp and amp.flag == "-amp":  # PaddleViT evaluates in float32
            said["AMP"] = Said("never", amp.flag)


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
    recipe = [f"--config={said.pop('--config').value}"] if "--config" in said else []
    pairs = [word for key, (value, _) in said.items() for word in (key, value)]
    return recipe + (["-o", *pairs] if pairs else [])
