"""What can be configured? Every key with its default and one comment; files are merged, checked and frozen here.

Sections and keys carry PaddleViT's names where it has the key, so that its yaml files load unchanged; keys and sections
it lacks are added. A file may name others to start from (`BASE`, paths relative to the file). Precedence: defaults <
BASE < file < `-o KEY VALUE`.
"""
from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from pathlib import Path

import yaml
from yacs.config import CfgNode

from ppim.dialects import recipe_name, translate_file

_C = CfgNode()
_C.BASE = [""]  # files to start from, relative to this one

_C.DATA = CfgNode()
_C.DATA.BATCH_SIZE = 8  # training samples per process and forward pass
_C.DATA.BATCH_SIZE_EVAL = 8  # evaluation samples per process
_C.DATA.DATA_PATH = "data/ILSVRC2012"  # root with train/ and val/, or one split's folder of class folders
_C.DATA.DATASET = "imagenet2012"  # PaddleViT's key, a name; the folder decides what is read
_C.DATA.IMAGE_SIZE = 224  # side of the square the model sees, pixels
_C.DATA.CROP_PCT = 0.9  # evaluation: short side resized to floor(IMAGE_SIZE / CROP_PCT), then a centre crop
_C.DATA.NUM_WORKERS = 4  # loader processes per process; 0 loads in the training process itself
_C.DATA.IMAGENET_MEAN = [0.485, 0.456, 0.406]  # of pixel values in [0, 1]
_C.DATA.IMAGENET_STD = [0.229, 0.224, 0.225]
_C.DATA.INTERPOLATION = "bicubic"  # evaluation resize: bilinear | bicubic
_C.DATA.TRAIN_INTERPOLATION = "random"  # training crop resize: bilinear | bicubic | random (one of the two)
_C.DATA.AUG_ORDER = "crop-first"  # crop-first (RandAugment on the crop) | released (on the whole photo, crop last)
_C.DATA.CROP_SCALE = [0.08, 1.0]  # random crop: share of the photo's area
_C.DATA.CROP_RATIO = [0.75, 4 / 3]  # random crop: width / height
_C.DATA.HFLIP = 0.5  # probability of a horizontal flip
_C.DATA.REPEATED_AUG = 1  # different views of a photo in the same epoch (DeiT: 3)

_C.MODEL = CfgNode()
_C.MODEL.TYPE = "LV-ViT"  # family: LV-ViT | T2T-ViT | DeiT | paddle_vision
_C.MODEL.NAME = "lvvit_s"  # variant; a name for logs except for paddle_vision, where it selects the network
_C.MODEL.RESUME = None  # checkpoint to go on from, as --resume
_C.MODEL.PRETRAINED = None  # weights to start from or to evaluate, as --load
_C.MODEL.NUM_CLASSES = 1000
_C.MODEL.DROPOUT = 0.0
_C.MODEL.ATTENTION_DROPOUT = 0.0
_C.MODEL.DROPPATH = 0.1  # stochastic depth rate of the last block, linear from 0 at the first
_C.MODEL.STEM_BN = "batch"  # batch (statistics of the local batch) | frozen (running statistics, also in training)
_C.MODEL.DISTILLED = False  # DeiT: a distillation token with a head of its own
_C.MODEL.DENSE_HEAD = False  # T2T-ViT, DeiT: a head on every token, which token labels need (LV-ViT has one)
_C.MODEL.EVAL_TOKENS = "auto"  # add 0.5 x max over tokens to the class logits: auto (if trained) | on | off
_C.MODEL.TRANS = CfgNode()
_C.MODEL.TRANS.TOKEN_TYPE = "performer"  # T2T-ViT's tokens-to-token module: performer | transformer
_C.MODEL.TRANS.PATCH_SIZE = 16
_C.MODEL.TRANS.EMBED_DIM = 384
_C.MODEL.TRANS.DEPTH = 16
_C.MODEL.TRANS.NUM_HEADS = 6
_C.MODEL.TRANS.MLP_RATIO = 3.0
_C.MODEL.TRANS.QKV_BIAS = False
_C.MODEL.TRANS.QK_SCALE = None  # None: head width ** -0.5
_C.MODEL.TRANS.SKIP_LAM = 2.0  # LV-ViT: each residual branch is divided by it
_C.MODEL.TRANS.STEM_CHANNELS = 64  # LV-ViT: channels of the convolutional stem

_C.TRAIN = CfgNode()
_C.TRAIN.LAST_EPOCH = 0  # PaddleViT's key; ours resumes from checkpoints, which know their epoch
_C.TRAIN.NUM_EPOCHS = 300
_C.TRAIN.WARMUP_EPOCHS = 5
_C.TRAIN.COOLDOWN_EPOCHS = 0  # epochs at END_LR after NUM_EPOCHS
_C.TRAIN.MAX_STEPS = 0  # stop after this many optimizer steps (0: never); the schedule is not shortened
_C.TRAIN.WEIGHT_DECAY = 0.05  # not applied to biases, norms, class token and position embedding
_C.TRAIN.BASE_LR = 1.6e-3  # at a global batch of LINEAR_SCALED_LR samples
_C.TRAIN.LINEAR_SCALED_LR = None  # the batch BASE_LR is meant for; None: BASE_LR is used as it is
_C.TRAIN.WARMUP_START_LR = 1e-6
_C.TRAIN.END_LR = 1e-5
_C.TRAIN.GRAD_CLIP = None  # largest global gradient norm; None: no clipping
_C.TRAIN.ACCUM_ITER = 1  # forward passes per optimizer step; counts in the global batch
_C.TRAIN.MODEL_EMA = True
_C.TRAIN.MODEL_EMA_DECAY = 0.99992
_C.TRAIN.LR_SCHEDULER = CfgNode()
_C.TRAIN.LR_SCHEDULER.NAME = "warmupcosine"  # cosine (timm: the curve runs below the warm-up) | warmupcosine | constant
_C.TRAIN.LR_SCHEDULER.MILESTONES = "30, 60, 90"  # PaddleViT's key, unused by its transformers and by us
_C.TRAIN.LR_SCHEDULER.DECAY_EPOCHS = 30  # the same
_C.TRAIN.LR_SCHEDULER.DECAY_RATE = 0.1  # the same
_C.TRAIN.OPTIMIZER = CfgNode()
_C.TRAIN.OPTIMIZER.NAME = "AdamW"  # AdamW | SGD
_C.TRAIN.OPTIMIZER.EPS = 1e-8
_C.TRAIN.OPTIMIZER.BETAS = [0.9, 0.999]
_C.TRAIN.OPTIMIZER.MOMENTUM = 0.9  # SGD
_C.TRAIN.MIXUP_ALPHA = 0.8  # 0: no mixup
_C.TRAIN.CUTMIX_ALPHA = 1.0  # 0: no cutmix
_C.TRAIN.CUTMIX_MINMAX = None  # [least, most] share of a side, instead of CUTMIX_ALPHA
_C.TRAIN.MIXUP_PROB = 1.0  # probability that a batch is mixed at all
_C.TRAIN.MIXUP_SWITCH_PROB = 0.5  # probability of cutmix where both are on
_C.TRAIN.MIXUP_MODE = "batch"  # one draw for the batch | pair | elem
_C.TRAIN.SMOOTHING = 0.1
_C.TRAIN.COLOR_JITTER = 0.4  # used where AUTO_AUGMENT is off, as in timm
_C.TRAIN.AUTO_AUGMENT = "rand-m9-mstd0.5-inc1"  # RandAugment policy, "" for none
_C.TRAIN.RANDOM_ERASE_PROB = 0.25
_C.TRAIN.RANDOM_ERASE_MODE = "pixel"  # const | rand | pixel
_C.TRAIN.RANDOM_ERASE_COUNT = 1
_C.TRAIN.RANDOM_ERASE_SPLIT = False  # PaddleViT's key; not offered: every sample stands alone

_C.TOKEN_LABEL = CfgNode()
_C.TOKEN_LABEL.ENABLE = False
_C.TOKEN_LABEL.PATH = "data/label_top5_train_nfnet"  # folder of .npy label maps of the training photos
_C.TOKEN_LABEL.VAL_PATH = ""  # maps of the validation photos: evaluation then reports token accuracy as well
_C.TOKEN_LABEL.TARGET = "released"  # softmax of the interpolated top-k logits | probs (needs maps with log-sum-exp)
_C.TOKEN_LABEL.GEOMETRY = "true"  # labels follow the pixels | released (x and y of the crop swapped, as published)
_C.TOKEN_LABEL.ORIENTATION = "rows-first"  # rows-first ([K, H, W]) | columns-first ([K, W, H])
_C.TOKEN_LABEL.FRAME = "whole"  # the maps show the whole photo | centre-crop (resize + centre crop by FRAME_CROP_PCT)
_C.TOKEN_LABEL.FRAME_CROP_PCT = 0.9
_C.TOKEN_LABEL.FILL = "uniform"  # target of tokens that show mostly fill: uniform | ignore (weight 0)

_C.LOSS = CfgNode()
_C.LOSS.CLASS_WEIGHT = 1.0
_C.LOSS.DENSE_WEIGHT = 1.0  # of the token loss; counts only with TOKEN_LABEL.ENABLE
_C.LOSS.GROUND_TRUTH = False  # blend the photo's own label into the class target, as the released option

_C.MIX = CfgNode()
_C.MIX.TOKEN_ALPHA = 0.0  # MixToken: beta(a, a) draws the box; 0: off (LV-ViT: 1.0)
_C.MIX.CUTMIX_GRID = "pixels"  # borders of cutmix boxes: pixels | tokens (each token then shows one image)
_C.MIX.CLASS_SHARE = "area"  # what shares a mixed class target: area | attention (TransMix) | alignment (TL-Align)

_C.DISTILL = CfgNode()
_C.DISTILL.TYPE = "none"  # class token learns from a teacher: none | soft (its distribution) | hard (its best class)
_C.DISTILL.TEACHER = ""  # recipe of the teacher: a yaml file, or the name of a published one
_C.DISTILL.WEIGHTS = ""  # the teacher's weights
_C.DISTILL.ALPHA = 0.5  # weight of the teacher's loss; the labels' has the rest
_C.DISTILL.TAU = 1.0  # soft: temperature
_C.DISTILL.DENSE_WEIGHT = 0.0  # of a token loss against the teacher's tokens on the same crop; 0: none
_C.DISTILL.TOP_K = 5  # classes of the teacher's kept per token; the rest of its probability is spread evenly

_C.EVAL = CfgNode()
_C.EVAL.ONLY = False  # as --evaluate-only; PaddleViT's `EVAL: True` is read as this
_C.EVAL.WEIGHTS = "auto"  # auto (EMA where the file has it) | raw | ema

_C.SAVE = ""  # run folder; "": output/<config name>
_C.TAG = "default"  # PaddleViT's key, a name; unused
_C.SAVE_FREQ = 1  # epochs between checkpoints
_C.SAVE_STEPS = 0  # also every so many steps; 0: only by epochs
_C.KEEP_CHECKPOINTS = 2  # newest checkpoints kept, at least 2
_C.REPORT_FREQ = 50  # steps between log lines
_C.VALIDATE_FREQ = 1  # epochs between evaluations
_C.SEED = 0
_C.AMP = "auto"  # mixed precision: auto (on GPUs that gain by it) | True (on any GPU) | False
_C.AMP_DTYPE = "auto"  # auto (bfloat16 where supported) | bfloat16 | float16
_C.DETERMINISTIC = False  # on GPUs: slower kernels whose sums do not depend on chance, where Paddle has them
_C.LOCAL_RANK = 0  # PaddleViT's key; the launcher decides
_C.NGPUS = -1  # PaddleViT's key; the launcher decides

# Keys whose default None says nothing about the type wanted.
_NONE_OR = {
    "MODEL.RESUME": str,
    "MODEL.PRETRAINED": str,
    "MODEL.TRANS.QK_SCALE": float,
    "TRAIN.GRAD_CLIP": float,
    "TRAIN.LINEAR_SCALED_LR": int,
    "TRAIN.CUTMIX_MINMAX": list,
}

_CHOICES = {
    "DATA.INTERPOLATION": ("bilinear", "bicubic"),
    "DATA.TRAIN_INTERPOLATION": ("bilinear", "bicubic", "random"),
    "DATA.AUG_ORDER": ("crop-first", "released"),
    "MODEL.STEM_BN": ("batch", "frozen"),
    "MODEL.EVAL_TOKENS": ("auto", "on", "off"),
    "MODEL.TRANS.TOKEN_TYPE": ("performer", "transformer"),
    "TRAIN.LR_SCHEDULER.NAME": ("cosine", "warmupcosine", "constant"),
    "TRAIN.OPTIMIZER.NAME": ("AdamW", "SGD"),
    "TRAIN.MIXUP_MODE": ("batch", "pair", "elem"),
    "MIX.CUTMIX_GRID": ("pixels", "tokens"),
    "MIX.CLASS_SHARE": ("area", "attention", "alignment"),
    "DISTILL.TYPE": ("none", "soft", "hard"),
    "TRAIN.RANDOM_ERASE_MODE": ("const", "rand", "pixel"),
    "TOKEN_LABEL.TARGET": ("released", "probs"),
    "TOKEN_LABEL.GEOMETRY": ("true", "released"),
    "TOKEN_LABEL.ORIENTATION": ("rows-first", "columns-first"),
    "TOKEN_LABEL.FRAME": ("whole", "centre-crop"),
    "TOKEN_LABEL.FILL": ("uniform", "ignore"),
    "EVAL.WEIGHTS": ("auto", "raw", "ema"),
    "AMP": ("auto", True, False),
    "AMP_DTYPE": ("auto", "bfloat16", "float16"),
}

# Least value, most value (None: no bound).
_RANGES = {
    **dict.fromkeys(("DATA.BATCH_SIZE", "DATA.BATCH_SIZE_EVAL", "DATA.IMAGE_SIZE", "DATA.REPEATED_AUG"), (1, None)),
    **dict.fromkeys(("MODEL.NUM_CLASSES", "TRAIN.ACCUM_ITER", "REPORT_FREQ", "VALIDATE_FREQ", "SAVE_FREQ"), (1, None)),
    **dict.fromkeys(("DATA.NUM_WORKERS", "TRAIN.WARMUP_EPOCHS", "TRAIN.COOLDOWN_EPOCHS", "TRAIN.MAX_STEPS"), (0, None)),
    **dict.fromkeys(("TRAIN.BASE_LR", "TRAIN.WEIGHT_DECAY", "TRAIN.MIXUP_ALPHA", "TRAIN.CUTMIX_ALPHA"), (0, None)),
    **dict.fromkeys(("LOSS.CLASS_WEIGHT", "LOSS.DENSE_WEIGHT", "MIX.TOKEN_ALPHA", "SAVE_STEPS", "SEED"), (0, None)),
    **dict.fromkeys(("TRAIN.MIXUP_PROB", "TRAIN.MIXUP_SWITCH_PROB", "TRAIN.RANDOM_ERASE_PROB"), (0, 1)),
    **dict.fromkeys(("TRAIN.SMOOTHING", "TRAIN.MODEL_EMA_DECAY", "DATA.HFLIP", "DATA.CROP_PCT"), (0, 1)),
    **dict.fromkeys(("MODEL.DROPOUT", "MODEL.ATTENTION_DROPOUT", "MODEL.DROPPATH"), (0, 0.999)),
    "DISTILL.ALPHA": (0, 1),
    "DISTILL.TAU": (0.01, None),
    "DISTILL.DENSE_WEIGHT": (0, None),
    "DISTILL.TOP_K": (1, None),
    "TRAIN.NUM_EPOCHS": (1, None),
    "KEEP_CHECKPOINTS": (2, None),
    "TOKEN_LABEL.FRAME_CROP_PCT": (0.01, 1),
}


def get_config(path: str | Path | None = None, opts: Sequence[str] = ()) -> CfgNode:
    """The frozen configuration: defaults, then `path` (with the files its BASE names), then `opts`.

    Args:
        path: see `find_recipe`; None for the defaults alone.
        opts: alternating keys and values, as typed after `-o`: `["TRAIN.NUM_EPOCHS", "10"]`.

    Raises:
        FileNotFoundError: `path`, or a file its BASE names, is not there.
        ValueError: an unknown key, a wrong type or value, or keys that contradict each other; the message names the
            file or option, what was wanted and what was got.
    """
    config = _C.clone()
    if path is not None:
        _merge_file(config, find_recipe(path), seen=())
    _merge_options(config, opts)
    check(config)
    config.freeze()
    return config


def published_recipes() -> dict[str, Path]:
    """The yaml files of the published recipes by their names; works from a clone and once installed."""
    here = Path(__file__).resolve().parent
    folder = here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
    return {file.stem: file for file in sorted(folder.glob("[!_]*/*.yaml"))}


def recipe_path(name: str) -> Path:
    """The yaml file of a published recipe by the name of its model, in any spelling: `lvvit_s`, `LV-ViT-S`.

    Raises:
        FileNotFoundError: no such recipe; the message names the nearest.
    """
    known = published_recipes()
    if recipe_name(name) not in known:
        raise FileNotFoundError(f"no recipe named {name!r}{_nearest(recipe_name(name), known)}; "
                                f"published are {', '.join(known)}")
    return known[recipe_name(name)]


def find_recipe(path: str | Path) -> Path:
    """The yaml file meant: the file at `path`; for a name without suffix, the published recipe.

    PaddleViT keeps its files in one folder beside the program, so `configs/NAME.yaml` that is not there is the
    published recipe of that name as well.

    Raises:
        FileNotFoundError: a name without suffix that no published recipe has.
    """
    path = Path(path)
    if path.suffix not in (".yaml", ".yml"):
        return recipe_path(str(path))
    if not path.is_file() and path.parent.name == "configs":
        return published_recipes().get(path.stem, path)
    return path


def teaches_tokens(config: CfgNode) -> bool:
    """Is the token head trained, by label maps or by a teacher?"""
    return (config.TOKEN_LABEL.ENABLE and config.LOSS.DENSE_WEIGHT > 0) or config.DISTILL.DENSE_WEIGHT > 0


def has_teacher(config: CfgNode) -> bool:
    """Does another network teach classes, tokens or both?"""
    return config.DISTILL.TYPE != "none" or config.DISTILL.DENSE_WEIGHT > 0


def check(config: CfgNode) -> None:
    """Raise ValueError, in words a user understands, where single values or several together make no sense."""
    for key, allowed in _CHOICES.items():
        value = _lookup(config, key)
        if not _is_among(value, allowed):
            raise ValueError(f"{key} wants one of {', '.join(map(str, allowed))}; got {value!r}")
    for key, (least, most) in _RANGES.items():
        value = _lookup(config, key)
        if value < least or (most is not None and value > most):
            wanted = f"at least {least}" if most is None else f"{least} to {most}"
            raise ValueError(f"{key} wants {wanted}; got {value!r}")
    _check_model(config.MODEL, config.DATA.IMAGE_SIZE)
    _check_heads(config)
    _check_teacher(config)
    _check_training(config)
    _check_token_labels(config)


def _check_model(model: CfgNode, image_size: int) -> None:
    trans = model.TRANS
    if model.TYPE == "paddle_vision":
        return
    if trans.EMBED_DIM % trans.NUM_HEADS:
        raise ValueError(
            f"MODEL.TRANS.EMBED_DIM ({trans.EMBED_DIM}) must be a multiple of MODEL.TRANS.NUM_HEADS ({trans.NUM_HEADS})"
        )
    if image_size % trans.PATCH_SIZE:
        raise ValueError(
            f"DATA.IMAGE_SIZE ({image_size}) must be a multiple of MODEL.TRANS.PATCH_SIZE ({trans.PATCH_SIZE}); "
            f"the nearest are {image_size // trans.PATCH_SIZE * trans.PATCH_SIZE} and "
            f"{-(-image_size // trans.PATCH_SIZE) * trans.PATCH_SIZE}"
        )


def _check_heads(config: CfgNode) -> None:
    model = config.MODEL
    if model.TYPE not in ("T2T-ViT", "DeiT"):
        for key in ("DENSE_HEAD", "DISTILLED"):
            if model[key]:
                raise ValueError(f"MODEL.{key} is for MODEL.TYPE T2T-ViT or DeiT, got {model.TYPE}; leave it False")
    elif model.DISTILLED and model.TYPE != "DeiT":
        raise ValueError(f"MODEL.DISTILLED is for MODEL.TYPE DeiT, got {model.TYPE}; leave it False")
    elif not model.DENSE_HEAD and teaches_tokens(config):
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
    train, data = config.TRAIN, config.DATA
    if train.LR_SCHEDULER.NAME != "constant" and train.WARMUP_EPOCHS >= train.NUM_EPOCHS:
        raise ValueError(
            f"TRAIN.WARMUP_EPOCHS ({train.WARMUP_EPOCHS}) must be less than TRAIN.NUM_EPOCHS ({train.NUM_EPOCHS})"
        )
    if train.RANDOM_ERASE_SPLIT:
        raise ValueError("TRAIN.RANDOM_ERASE_SPLIT True is not offered: samples stand alone here; set it to False")
    if train.LAST_EPOCH:
        raise ValueError("TRAIN.LAST_EPOCH is PaddleViT's; --resume goes on from a checkpoint, which knows its epoch")
    for key, pair in (("DATA.CROP_SCALE", data.CROP_SCALE), ("DATA.CROP_RATIO", data.CROP_RATIO)):
        if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
            raise ValueError(f"{key} wants [least, most] with 0 < least <= most; got {list(pair)}")
    minmax = train.CUTMIX_MINMAX
    if minmax is not None and (len(minmax) != 2 or not 0 < minmax[0] <= minmax[1] < 1):
        raise ValueError(f"TRAIN.CUTMIX_MINMAX wants [least, most] with 0 < least <= most < 1; got {list(minmax)}")
    if train.LINEAR_SCALED_LR is not None and train.LINEAR_SCALED_LR < 1:
        raise ValueError(f"TRAIN.LINEAR_SCALED_LR wants a batch size or None; got {train.LINEAR_SCALED_LR}")
    if config.MIX.TOKEN_ALPHA and config.MODEL.TYPE == "paddle_vision":
        raise ValueError("MIX.TOKEN_ALPHA needs a model with tokens; set it to 0 for MODEL.TYPE paddle_vision")


def _check_token_labels(config: CfgNode) -> None:
    labels = config.TOKEN_LABEL
    if labels.ENABLE and not labels.PATH:
        raise ValueError("TOKEN_LABEL.ENABLE needs TOKEN_LABEL.PATH, the folder of label maps")
    if labels.GEOMETRY == "released" and config.DATA.AUG_ORDER != "released":
        raise ValueError(
            "TOKEN_LABEL.GEOMETRY released warps the map of the whole photo; it needs DATA.AUG_ORDER released"
        )
    if labels.GEOMETRY == "released" and labels.TARGET == "probs":
        raise ValueError("TOKEN_LABEL.GEOMETRY released knows only TOKEN_LABEL.TARGET released")
    if labels.GEOMETRY == "released" and (labels.FILL != "uniform" or labels.FRAME != "whole"):
        raise ValueError(
            "TOKEN_LABEL.GEOMETRY released knows only TOKEN_LABEL.FILL uniform and TOKEN_LABEL.FRAME whole, "
            f"got {labels.FILL} and {labels.FRAME}"
        )
    if labels.ENABLE and config.LOSS.CLASS_WEIGHT == 0 and config.LOSS.DENSE_WEIGHT == 0:
        raise ValueError("LOSS.CLASS_WEIGHT and LOSS.DENSE_WEIGHT are both 0: there is nothing to train")


def save(config: CfgNode, path: str | Path) -> None:
    """Write the resolved configuration, every key of it; `get_config(path)` gives it back."""
    Path(path).write_text(config.dump(sort_keys=False), encoding="utf-8")


def differences(config: CfgNode, other: CfgNode, prefix: str = "") -> list[tuple[str, object, object]]:
    """Keys on which two configurations differ: (key, value here, value there), in the order of the defaults."""
    found = []
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, CfgNode):
            found += differences(value, other[name], f"{key}.")
        elif value != other[name]:
            found.append((key, value, other[name]))
    return found


# ---- merging -------------------------------------------------------------------------------------------------------


def _merge_file(config: CfgNode, path: Path, seen: tuple[Path, ...]) -> None:
    if not path.is_file():
        wanted_by = f" (BASE of {seen[-1]})" if seen else ""
        raise FileNotFoundError(f"no configuration file at {path}{wanted_by}")
    path = path.resolve()
    if path in seen:
        raise ValueError(f"{path}: BASE leads back to itself by {' -> '.join(map(str, seen))}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: wanted sections with keys, got {type(content).__name__}")
    content = translate_file(content)
    bases = content.pop("BASE", None) or []
    for base in [bases] if isinstance(bases, str) else bases:
        if base:
            _merge_file(config, path.parent / base, (*seen, path))
    _merge_values(config, content, source=str(path))


def _merge_options(config: CfgNode, opts: Sequence[str]) -> None:
    if len(opts) % 2:
        raise ValueError(f"-o wants pairs KEY VALUE; {opts[-1]!r} has no value")
    for key, text in zip(opts[::2], opts[1::2]):
        nested: dict = {}
        inner = nested
        *sections, last = key.split(".")
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = _parse(text)
        _merge_values(config, nested, source="-o")


def _parse(text: str) -> object:
    """A value as typed on the command line: Python's literals, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(text.lower(), text)


def _merge_values(config: CfgNode, values: dict, source: str, prefix: str = "") -> None:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in config:
            everything = _keys(_C)
            raise ValueError(f"{source}: unknown key {key}{_nearest(key, everything)}")
        if key == "EVAL" and isinstance(value, bool):
            config.EVAL.ONLY = value
        elif isinstance(config[name], CfgNode):
            if not isinstance(value, dict):
                raise ValueError(f"{source}: {key} is a section, wanted keys below it, got {value!r}")
            _merge_values(config[name], value, source, f"{key}.")
        else:
            config[name] = _converted(key, value, source)


def _converted(key: str, value: object, source: str) -> object:
    """The value in the key's type; yaml reads `1e-3` and `None` as text, and `1` where a fraction is meant."""
    default = _lookup(_C, key)
    if isinstance(value, str) and value.strip() in ("None", "none", "null", "~") and value not in _CHOICES.get(key, ()):
        value = None
    if key == "TRAIN.AUTO_AUGMENT" and isinstance(value, bool):
        return default if value else ""
    if _is_among(value, _CHOICES.get(key, ())):
        return value
    if value is None and (default is None or key == "TRAIN.AUTO_AUGMENT"):
        return None if default is None else ""
    wanted = _NONE_OR[key] if default is None else type(default)
    if wanted is float:
        number = _number(value)
        if number is not None:
            return number
    elif wanted is list and isinstance(value, (list, tuple)):
        return [item if _number(item) is None else _number(item) for item in value]
    elif wanted is int and isinstance(value, float) and value.is_integer():
        return int(value)
    elif wanted is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    elif wanted is str and isinstance(value, bool) and str(value).lower() in _CHOICES.get(key, ()):
        return str(value).lower()
    elif type(value) is wanted:
        return value
    names = {str: "text", int: "a whole number", float: "a number", bool: "True or False", list: "a list"}
    none = " or None" if default is None else ""
    raise ValueError(f"{source}: {key} wants {names[wanted]}{none}, got {value!r} ({type(value).__name__})")


def _is_among(value: object, allowed: tuple) -> bool:
    """Is `value` one of `allowed`, and of its type? To Python 1 is True."""
    return any(type(value) is type(choice) and value == choice for choice in allowed)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _keys(config: CfgNode, prefix: str = "") -> list[str]:
    found = []
    for name, value in config.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, CfgNode):
            found += _keys(value, f"{prefix}{name}.")
    return found


def _nearest(name: str, known) -> str:
    """`; did you mean X?` or nothing. A key put into the wrong section is found by its last part."""
    known = list(known)
    last = name.split(".")[-1]
    close = [key for key in known if key.split(".")[-1] == last] or difflib.get_close_matches(name, known, 1, 0.6)
    if not close:
        by_last = {key.split(".")[-1]: key for key in known}
        close = [by_last[match] for match in difflib.get_close_matches(last, by_last, 1, 0.6)]
    return f"; did you mean {close[0]}?" if close else ""


def _lookup(config: CfgNode, key: str) -> object:
    for name in key.split("."):
        config = config[name]
    return config
