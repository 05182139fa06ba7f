"""Configurations with nothing wrong in them, as different as they come: no check may say otherwise."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppim.config import get_config
from ppim.data import shapes
from ppim.engine.distributed import World
from ppim.engine.run import start
from ppim.engine.train import fit
from ppim.models import build_model
from ppim.seeds import picture_rng
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import write_map
from ppim.weights.write import save_state
from tests.checks.planted import lists, own_weights
from tests.checks.small_runs import GRID, TRAIN, WH, maps_of, state_of, write_recipe

PLAIN = ["TOKEN_LABEL.ENABLE", "False", "MODEL.DENSE_HEAD", "False"]
MIXES = ["TRAIN.MIXUP_ALPHA", "0.8", "TRAIN.CUTMIX_ALPHA", "1.0"]


class Sound(NamedTuple):
    """A family, what is prepared in a copy of the data (its keys are set), and further keys."""

    name: str
    kind: str = "LV-ViT"
    keys: tuple[str, ...] | list[str] = ()
    edit: Callable[[Path], list] | None = None


def columns_first(data: Path) -> list:
    """Maps written columns first, and a card that says so."""
    for place in maps_of(data):
        np.save(place, np.load(place).transpose(0, 1, 3, 2))
    save_card(data / "labels/train", Reading(orientation="columns-first", log_z=True), {})
    return []


def of_the_centre(data: Path) -> list:
    """Maps of the centre square, and a card that says so."""
    left = (WH[0] - WH[1]) // 2
    for index in range(TRAIN):
        _, label, owner = shapes.draw_picture(picture_rng(0, "train", index), WH, class_id=index % 10)
        place = data / "labels/train" / shapes.CLASSES[label] / f"{index:05d}.npy"
        write_map(str(place), *shapes.label_map_of(owner[:, left:left + WH[1]], GRID))
    save_card(data / "labels/train", Reading("centre-crop", 1.0, log_z=True), {})
    return []


def unreadable(data: Path) -> list:
    """A few photos that were cut off, for which others stand in."""
    for path in sorted((data / "data/train").glob("*/*.jpg"))[::40]:
        path.write_bytes(path.read_bytes()[:200])
    return ["DATA.ON_BAD", "skip"]


def teacher(data: Path) -> list:
    """A teacher like the student, hardly trained."""
    recipe = write_recipe(data)
    save_state(state_of(build_model(get_config(recipe))), data / "teacher.pdparams")
    return ["DISTILL.TEACHER", recipe, "DISTILL.WEIGHTS", data / "teacher.pdparams"]


def short_run(data: Path) -> list:
    """A run of one step, whose checkpoint is gone on from."""
    recipe = write_recipe(data)
    config = get_config(recipe, ["TRAIN.MAX_STEPS", "1", "SAVE", str(data / "before")])
    run, batches, micro = start(config, config, World())
    fit(run, batches, micro)
    run.close()
    return ["MODEL.RESUME", data / "before"]


def of_a_run(data: Path) -> list:
    """Weights that lie in the folder of a run."""
    return ["MODEL.PRETRAINED", Path(short_run(data)[1]) / "last.pdparams"]


RUNS = [
    Sound("token labels"),
    Sound("token labels and MixToken", keys=["MIX.TOKEN_ALPHA", "1.0", "MIX.GROUP", "8"]),
    Sound("plain labels", keys=PLAIN),
    Sound("the map for the class token only", keys=["LOSS.DENSE_WEIGHT", "0"]),
    Sound("tokens alone", keys=["LOSS.CLASS_WEIGHT", "0"]),
    Sound("all mixes, one for each image", keys=[*MIXES, "TRAIN.MIXUP_MODE", "elem", "MIX.TOKEN_ALPHA", "1.0"]),
    Sound("probabilities as targets, true labels blended in",
          keys=["TOKEN_LABEL.TARGET", "probs", "LOSS.GROUND_TRUTH", "True"]),
    Sound("the released geometry", keys=["TOKEN_LABEL.GEOMETRY", "released", "DATA.AUG_ORDER", "released",
                                       "TOKEN_LABEL.FRAME", "whole"]),
    Sound("RandAugment, erasing, drop-path, dropout", keys=[
        "TRAIN.AUTO_AUGMENT", "rand-m9-mstd0.5-inc1", "TRAIN.RANDOM_ERASE_PROB", "0.9", "MODEL.DROPPATH", "0.3",
        "MODEL.DROPOUT", "0.2", "MODEL.ATTENTION_DROPOUT", "0.1", "TOKEN_LABEL.FILL", "ignore"]),
    Sound("SGD, clipped, accumulated, no average", keys=[
        "TRAIN.OPTIMIZER.NAME", "SGD", "TRAIN.GRAD_CLIP", "0.5", "TRAIN.ACCUM_ITER", "2", "DATA.BATCH_SIZE", "7",
        "TRAIN.MODEL_EMA", "False", "TRAIN.BASE_LR", "0.1", "TRAIN.WARMUP_EPOCHS", "0"]),
    Sound("statistics frozen, computed again, workers", keys=[
        "MODEL.STEM_BN", "frozen", "TRAIN.RECOMPUTE", "True", "DATA.NUM_WORKERS", "1", "DATA.REPEATED_AUG", "3"]),
    Sound("a large epsilon", keys=["TRAIN.OPTIMIZER.EPS", "0.01"]),
    Sound("clipped to next to nothing", keys=["TRAIN.GRAD_CLIP", "1e-6"]),
    Sound("rate scaled from another batch", keys=["TRAIN.LINEAR_SCALED_LR", "1024", "TRAIN.SCALED_RATES", "base"]),
    Sound("maps written columns first, the card says so", edit=columns_first),
    Sound("maps of the centre, the card says so", edit=of_the_centre),
    Sound("lists of photos", edit=lists),
    Sound("photos that cannot be read, others stand in", edit=unreadable),
    Sound("a teacher of classes", keys=["DISTILL.TYPE", "soft"], edit=teacher),
    Sound("a teacher of tokens", keys=[*PLAIN, "DISTILL.DENSE_WEIGHT", "0.5"], edit=teacher),
    Sound("weights of one's own, heads kept", edit=own_weights),
    Sound("weights of one's own, heads afresh", keys=["MODEL.NEW_HEADS", "always"], edit=own_weights),
    Sound("weights of a run", edit=of_a_run),
    Sound("a run that goes on", edit=short_run),
    Sound("T2T-ViT, token labels", "T2T-ViT"),
    Sound("T2T-ViT, transformer, cutmix shared by attention", "T2T-ViT", [
        *PLAIN, *MIXES, "MODEL.TRANS.TOKEN_TYPE", "transformer", "MIX.CLASS_SHARE", "attention"]),
    Sound("DeiT, token labels, mixes", "DeiT", MIXES),
    Sound("DeiT, cutmix on tokens shared by alignment", "DeiT", [
        *PLAIN, "TRAIN.CUTMIX_ALPHA", "1.0", "MIX.CUTMIX_GRID", "tokens", "MIX.CLASS_SHARE", "alignment"]),
    Sound("DeiT with a distillation token, taught hard", "DeiT", [*PLAIN, "MODEL.DISTILLED", "True", "DISTILL.TYPE",
                                                                 "hard"], teacher),
    Sound("a network of paddle.vision", keys=[
        *PLAIN, "MODEL.TYPE", "paddle_vision", "MODEL.NAME", "shufflenet_v2_x0_5", "DATA.IMAGE_SIZE", "64"]),
]
