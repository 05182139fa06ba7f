"""Which settings suit these photos and this machine, and why? For weights that are already good at something else.

A recipe's settings are those of ImageNet: hundreds of epochs, batches of a thousand, strong augmentation. A hundred to
ten thousand photos want other ones. They are chosen here by rules that can be read, each with its reason; whatever is
said on the command line wins.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STEPS_PER_EPOCH = 10  # at least, where there are photos enough for batches of 4
STEPS = 600  # about as many in the whole run, within the bounds of epochs
EPOCHS = (5, 30)  # fewest and most, from weights; five times as many without
LARGEST_BATCH = {"cpu": 32, "gpu": 64}
UNEVEN = 3  # times as many photos in the largest class as in the smallest, from which on classes are evened out


class Setting(NamedTuple):
    """A key of the configuration, its value, and the reason for it."""

    key: str
    value: object
    why: str


def settings_for(
    photos: int, cores: int, device: str, *, processes: int = 1, from_weights: bool = True,
    epochs: int | None = None, of_classes: Sequence[int] = (), heads_only: bool = False,
) -> list[Setting]:
    """What is to differ from the model's recipe, besides `USUAL`.

    Args:
        photos: training photos.
        cores: of this machine, for one process.
        device: "cpu" or "gpu".
        processes: that train together.
        from_weights: do we start from weights that have learnt something?
        epochs: as asked for; None: as many as suit.
        of_classes: training photos of each class; none where somebody has said already what is done about them.
        heads_only: does the model's recipe leave all else as it is?

    Raises:
        ValueError: the photos do not fill a batch of every process, or no epoch is asked for.
    """
    if epochs is not None and epochs < 1:
        raise ValueError(f"--epochs wants at least 1; got {epochs}")
    batch = batch_for(photos, device, processes)
    steps = photos // (batch * processes)
    epochs = epochs or epochs_for(steps, from_weights)
    warmup = min(max(1, epochs // 10), epochs - 1)
    return [
        Setting("DATA.BATCH_SIZE", batch, f"{photos:,} photos then make {steps} steps an epoch"),
        Setting("DATA.NUM_WORKERS", *_workers(cores, device)),
        Setting("TRAIN.NUM_EPOCHS", epochs, f"{epochs * steps:,} steps in all"),
        Setting("TRAIN.WARMUP_EPOCHS", warmup, f"{warmup * steps} steps for the new heads to settle"),
        Setting("VALIDATE_FREQ", max(1, epochs // 10), "about ten evaluations"),
        Setting("SAVE_FREQ", max(1, epochs // 10), "a checkpoint with each"),
        Setting("REPORT_FREQ", max(1, steps // 4), "a few lines an epoch"),
        *_evened_out([count for count in of_classes if count]),
        *(_FROM_SCRATCH if not from_weights else _HEADS_ONLY if heads_only else _FROM_WEIGHTS),
    ]


def asked_for(freeze: str | None = None, layer_decay: float | None = None, hours: float | None = None,
              patience: int | None = None) -> list[Setting]:
    """What the flags of `ppim finetune` say beyond what is chosen; None: nothing."""
    said = [
        ("TRAIN.FREEZE", freeze, "asked for; what stays costs no gradient and keeps what it knows"),
        ("TRAIN.LAYER_DECAY", layer_decay, "asked for; each layer learns this much slower than the one behind it"),
        ("TRAIN.MAX_HOURS", hours, "asked for; of all starts together, the schedule stays that of all epochs"),
        ("TRAIN.EARLY_STOP", patience, "asked for; evaluations in a row without a better best"),
    ]
    return [Setting(key, value, why) for key, value, why in said if value is not None]


def batch_for(photos: int, device: str, processes: int = 1) -> int:
    """Samples per process and step: a power of two, as large as leaves ten steps an epoch and memory allows.

    Raises:
        ValueError: the photos do not fill a batch of two of every process.
    """
    if photos < 2 * processes:
        raise ValueError(f"{photos} training photos are too few for {processes} processes; wanted at least "
                         f"{2 * processes}, and some ten a class for anything worth having")
    batch = LARGEST_BATCH[device]
    while batch > 2 and photos < STEPS_PER_EPOCH * batch * processes:
        batch //= 2
    return batch


def epochs_for(steps: int, from_weights: bool = True) -> int:
    """Epochs of `steps` steps: about 600 steps, but every photo is seen at least 5 and at most 30 times; without
    weights to start from, five times as much of all."""
    fewest, most = EPOCHS
    times = 1 if from_weights else 5
    return times * min(most, max(fewest, -(-STEPS // max(1, steps))))


def _evened_out(counts: Sequence[int]) -> list[Setting]:
    if not counts or max(counts) < UNEVEN * min(counts):
        return []
    return [Setting("DATA.SAMPLING", "balanced", f"classes have {min(counts):,} to {max(counts):,} photos; each is "
                    "drawn equally often")]


def _workers(cores: int, device: str) -> tuple[int, str]:
    if device == "gpu":
        count = min(8, max(1, cores))
        return count, f"one for each of the {cores} cores, at most 8"
    return 1, "the cores are busy with training; one process reads ahead"


_FROM_WEIGHTS = [
    Setting("TRAIN.BASE_LR", 2e-4, "small: the weights are to be adapted, not replaced"),
    Setting("MODEL.STEM_BN", "frozen", "small batches have poor statistics; the weights bring theirs"),
    Setting("MODEL.DROPPATH", 0.0, "short runs want no blocks left out"),
    Setting("DATA.CROP_SCALE", [0.35, 1.0], "most of each photo is shown"),
    Setting("TRAIN.AUTO_AUGMENT", "rand-m6-mstd0.5-inc1", "milder than ImageNet's"),
]
_HEADS_ONLY = [
    Setting("TRAIN.FREEZE", "backbone", "as the recipe has it; --freeze none adapts all"),
    Setting("TRAIN.BASE_LR", 1e-3, "only the heads learn"),
    *_FROM_WEIGHTS[1:],
]
_FROM_SCRATCH = [
    Setting("TRAIN.BASE_LR", 5e-4, "all weights are to be learnt"),
    Setting("DATA.CROP_SCALE", [0.2, 1.0], "few photos: most of each is shown"),
]
# As for any few photos: they are shown whole and unmixed, in a short run whose rate is meant for its batch.
USUAL = {
    "DATA.EXIF": "apply",  # photos of phones are stored on their side
    "DATA.BATCH_SIZE_EVAL": 32,
    "DATA.REPEATED_AUG": 1,
    "DATA.AUG_ORDER": "crop-first",
    "TRAIN.LINEAR_SCALED_LR": None,
    "TRAIN.LR_SCHEDULER.NAME": "cosine",
    "TRAIN.WARMUP_START_LR": 1e-6,
    "TRAIN.END_LR": 1e-6,
    "TRAIN.COOLDOWN_EPOCHS": 0,
    "TRAIN.GRAD_CLIP": 1.0,
    "TRAIN.OPTIMIZER.NAME": "AdamW",  # which these rates are meant for
    "TRAIN.MODEL_EMA": False,
    "TRAIN.MIXUP_ALPHA": 0.0,
    "TRAIN.CUTMIX_ALPHA": 0.0,
    "TRAIN.CUTMIX_MINMAX": None,  # which mixes whatever the alpha is
    "TRAIN.RANDOM_ERASE_PROB": 0.0,
    "MIX.TOKEN_ALPHA": 0.0,
    # what else a run that weights come from may have been told
    "TRAIN.ACCUM_ITER": 1,
    "TRAIN.MAX_STEPS": 0,
    "TRAIN.MAX_HOURS": 0,
    "TRAIN.EARLY_STOP": 0,
    "TRAIN.FREEZE": "none",
    "TRAIN.LAYER_DECAY": 1.0,
    "LOSS.CLASS_WEIGHT": 1.0,
    "LOSS.CLASS_BALANCE": "none",
    "DATA.SAMPLING": "all",
    "DISTILL.TYPE": "none",
    "DISTILL.DENSE_WEIGHT": 0.0,
    "TOKEN_LABEL.ENABLE": False,
    "TOKEN_LABEL.VAL_PATH": "",  # of a run that weights come from: maps of its photos, not of these
}


def as_overrides(settings: list[Setting]) -> list[str]:
    """Alternating keys and values, as `-o` takes them: the usual ones and these."""
    own = {setting.key for setting in settings}
    usual = [word for key, value in USUAL.items() if key not in own for word in (key, str(value))]
    return [*usual, *as_pairs(settings)]


def as_pairs(settings: list[Setting]) -> list[str]:
    """Alternating keys and values, as `-o` takes them."""
    return [word for setting in settings for word in (setting.key, str(setting.value))]
