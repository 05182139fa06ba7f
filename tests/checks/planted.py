"""Mistakes that raise nothing, each as someone would make it: in data, in a recipe, or in a line of our code.

Shared by the tests of the checks and by tools/benchmark/silent_errors.py, which runs all of them.
"""
from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import paddle

from ppim.data import loader, making, shapes
from ppim.data.transforms import eval_view, to_array
from ppim.engine import build, train_state
from ppim.engine.distributed import World
from ppim.engine.ema import swapped_in
from ppim.engine.schedule import scaled_lr
from ppim.models import create_model
from ppim.models.base import TokenModel
from ppim.objective.objective import Objective
from ppim.seeds import picture_rng
from ppim.token_labels.maps import write_map
from ppim.token_labels.targets import concat
from ppim.weights.write import save_state
from tests.checks.small_runs import GRID, TRAIN, WH, colours, fitted_model, maps_of, state_of

Keys = list  # of a configuration, by turns with their values


class Mistake(NamedTuple):
    """One of the twenty, or another shape of it.

    Attributes:
        number: which of the twenty.
        check: the check that is to name it; "refused" where the start itself is to fail.
        edit: folder of a copy of the data -> keys to change; what a user gets wrong.
        planted: replaces a piece of the code while the run starts; what a developer gets wrong.
        processes: it takes so many.
    """

    number: int
    name: str
    check: str
    edit: Callable[[Path], Keys] | None = None
    planted: Callable[[], contextlib.AbstractContextManager] | None = None
    processes: int = 1


# ---- in data -------------------------------------------------------------------------------------------------------


def another_set(data: Path) -> Keys:
    """Maps of pictures that someone else has drawn and sorted, under the names of ours."""
    theirs = data / "theirs"
    shapes.write_dataset(theirs, seed=9, train=TRAIN, val=10, wh=WH, grid=GRID)
    for place, source in zip(maps_of(data), np.random.default_rng(1).permutation(maps_of(theirs))):
        shutil.copy(source, place)
    return []


def shuffled(data: Path) -> Keys:
    """The right maps, each under the name of another photo."""
    contents = [place.read_bytes() for place in maps_of(data)]
    for place, other in zip(maps_of(data), np.random.default_rng(2).permutation(len(contents))):
        place.write_bytes(contents[other])
    return []


def renumbered(data: Path) -> Keys:
    """The annotator counts classes from one."""
    for place in maps_of(data):
        array = np.load(place)
        array[1] = (array[1] + 1) % 10
        np.save(place, array)
    return []


def transposed(data: Path) -> Keys:
    """Square maps written columns first; the card says rows first."""
    for place in maps_of(data):
        np.save(place, np.load(place).transpose(0, 1, 3, 2))
    return []


def of_the_centre(data: Path) -> Keys:
    """Maps of the centre square; the card says the whole photo."""
    left = (WH[0] - WH[1]) // 2
    for index in range(TRAIN):
        _, label, owner = shapes.draw_picture(picture_rng(0, "train", index), WH, class_id=index % 10)
        place = data / "labels/train" / shapes.CLASSES[label] / f"{index:05d}.npy"
        write_map(str(place), *shapes.label_map_of(owner[:, left:left + WH[1]], GRID))
    return []


def uniform(data: Path) -> Keys:
    """Maps of which every score is the same."""
    for place in maps_of(data):
        array = np.load(place)
        array[0] = 0.0
        np.save(place, array)
    return []


def probabilities(data: Path, logarithms: bool = False) -> Keys:
    """Maps that hold probabilities, or logarithms of them, where readers expect logits."""
    for place in maps_of(data):
        array = np.load(place).astype("float32")
        array[0] -= array[2]
        if not logarithms:
            array[0] = np.exp(array[0])
        np.save(place, array[:2].astype("float16"))
    (data / "labels/train/annotation.json").unlink()
    return ["TOKEN_LABEL.FRAME", "whole"]


def lists(data: Path, shift: int = 0, missing: str = "") -> Keys:
    """The photos in lists with numbers for classes, those of the validation list `shift` further on."""
    root = data / "data"
    for split, away in (("train", 0), ("val", shift)):
        lines = [f"{path.relative_to(root)} {(shapes.CLASSES.index(path.parent.name) + away) % 10}"
                 for path in sorted((root / split).glob("*/*.jpg")) if path.parent.name != missing]
        (root / f"{split}_list.txt").write_text("\n".join(lines))
    return []


def copied(data: Path) -> Keys:
    """A third of the validation photos are training photos under other names."""
    photos = sorted((data / "data/train").glob("*/*.jpg"))
    for number, path in enumerate(sorted((data / "data/val").glob("*/*.jpg"))[::3]):
        shutil.copy(photos[5 * number], path)
    return []


def emptied(data: Path) -> Keys:
    """A class folder without photos."""
    for path in (data / "data/train/ring").iterdir():
        path.unlink()
    return []


def imagenet_weights(data: Path) -> Keys:
    """Weights of a published DeiT, trained with ImageNet's mean and deviation, and pictures normalised by halves."""
    save_state(state_of(create_model("deit_tiny", depth=12)), data / "deit.pdparams")
    size = ("PATCH_SIZE", "EMBED_DIM", "DEPTH", "NUM_HEADS", "MLP_RATIO", "QKV_BIAS")
    return ["MODEL.TYPE", "DeiT", "MODEL.NAME", "deit_tiny", "MODEL.PRETRAINED", data / "deit.pdparams",
            "MODEL.NEW_HEADS", "always", "TOKEN_LABEL.ENABLE", "False",
            *[word for part in size for word in (f"MODEL.TRANS.{part}", "None")],
            "DATA.IMAGENET_MEAN", "[0.5,0.5,0.5]", "DATA.IMAGENET_STD", "[0.5,0.5,0.5]"]


def own_weights(data: Path, shift: int = 0) -> Keys:
    """Photos of one colour a class, and weights that know the colours, `shift` classes further on."""
    colours(data / "colours")
    save_state(state_of(fitted_model(data / "colours", shift)), data / "own.pdparams")
    return ["DATA.DATA_PATH", data / "colours", "TOKEN_LABEL.ENABLE", "False", "MODEL.EVAL_TOKENS", "never",
            "MODEL.PRETRAINED", data / "own.pdparams"]


# ---- in our code ---------------------------------------------------------------------------------------------------


def blue_first():
    """A reader that gives blue, green, red."""
    return patch.object(loader, "to_array", lambda image: np.ascontiguousarray(to_array(image)[::-1]))


def blue_first_on_the_device():
    """The same slip behind the loader."""
    from ppim.objective import objective
    return patch.object(objective, "normalise", lambda x, mean, std, of=objective.normalise: of(
        x, mean[::-1], std[::-1]).flip(1))


def another_view():
    """Evaluation resizes as if the crop were wider, bilinearly."""
    return patch.object(build, "eval_view", lambda hw, crop_pct, _: eval_view(hw, 0.875 * crop_pct, "bilinear"))


def average_left_in():
    """The running average is swapped in for evaluating, and stays."""
    return patch.object(swapped_in, "__exit__", lambda *_: None)


def one_generator():
    """Views are drawn from a generator that all samples share."""
    shared = np.random.default_rng(0)
    return patch.object(loader, "sample_rng", lambda *_: shared)


def changed_model(change: Callable[[TokenModel], None]):
    """Something is done to the model while it is built."""
    from ppim.engine import classifying

    def built(config, build_it=classifying.build_model_for):
        model = build_it(config)
        change(model)
        return model

    return patch.object(classifying, "build_model_for", built)


def frozen():
    """A layer was frozen for an experiment, and stayed so."""
    return changed_model(lambda model: setattr(model.blocks[1].mlp.fc1.weight, "stop_gradient", True))


def dead_channel():
    """One kernel of the stem is zero."""
    def kill(model):
        weight = model.patch_embed.conv1.weight
        weight.set_value(weight.numpy() * (np.arange(weight.shape[0]) != 3).reshape(-1, 1, 1, 1).astype("float32"))
    return changed_model(kill)


def nan_channel():
    """One kernel of the stem is not a number."""
    def spoil(model):
        weight = model.patch_embed.conv2.weight.numpy()
        weight[2] = np.nan
        model.patch_embed.conv2.weight.set_value(weight)
    return changed_model(spoil)


def block_passed_over():
    """Loading forgets a block."""
    def forgetful(model, state, *args, of=TokenModel.set_state_dict, **how):
        kept = {name: value for name, value in state.items() if not name.startswith("blocks.1.")}
        return of(model, kept, strict=False)
    return patch.object(TokenModel, "set_state_dict", forgetful)


def scaled_twice():
    """The rate is scaled to the batch twice."""
    from ppim.engine import schedule
    return patch.object(schedule, "scaled_lr", lambda base, meant, batch: scaled_lr(
        scaled_lr(base, meant, batch), meant, batch))


def decay_everywhere():
    """Biases and norms decay, too."""
    from ppim.engine import optimizer
    return patch.object(optimizer, "decays", lambda *_: True)


def token_loss_lost():
    """The weight of the token loss does not reach the objective."""
    return patch.object(train_state, "Objective", lambda model, weight, _, *rest: Objective(model, weight, 0.0, *rest))


def rolled():
    """Token targets of the photo before."""
    def one_back(targets):
        return concat([targets[-1], *targets[:-1]] if len(targets[0].const) > 1 else targets)
    return patch.object(making, "concat", one_back)


def shares_overlap():
    """Every process takes the first one's share."""
    return patch.object(build, "train_batches", lambda config, length, world, *args, of=build.train_batches, **more: of(
        config, length, World(0, world.size), *args, **more))


def weights_apart():
    """The second process has loaded something else."""
    def built(config, model, world, *args, of=train_state.build_train_state):
        state = of(config, model, world, *args)
        if world.rank == 1:
            model.head.weight.set_value(model.head.weight.numpy() + 1e-3)
        return state

    from ppim.engine import run
    return patch.object(run, "build_train_state", built)


def gradients_apart():
    """The processes never talk about gradients."""
    return patch.object(paddle, "DataParallel", lambda objective: objective)


MISTAKES = [
    Mistake(1, "maps of another data set", "classes of the label maps", another_set),
    Mistake(2, "maps shuffled among photos", "classes of the label maps", shuffled),
    Mistake(3, "axes of square maps exchanged", "places of the label maps", transposed),
    Mistake(4, "maps of the centre crop read as of the whole photo", "places of the label maps", of_the_centre),
    Mistake(5, "red and blue exchanged in the reader", "colours of training photos", planted=blue_first),
    Mistake(5, "red and blue exchanged on the device", "pixels that the network sees",
            planted=blue_first_on_the_device),
    Mistake(6, "weights of ImageNet, mean and deviation 0.5", "pictures of the loaded weights", imagenet_weights),
    Mistake(6, "another crop and interpolation in evaluation", "view of evaluation", planted=another_view),
    Mistake(7, "validation classes shifted by one", "classes of both splits", lambda data: lists(data, shift=1)),
    Mistake(7, "classes of the loaded weights shifted by one", "classes of the loaded weights",
            lambda data: own_weights(data, shift=1)),
    Mistake(7, "classes of the maps shifted by one", "classes of the label maps", renumbered),
    Mistake(8, "running average left in after evaluating", "weights after evaluating", planted=average_left_in),
    Mistake(9, "views drawn from one generator", "samples are repeatable", planted=one_generator),
    Mistake(10, "a parameter frozen", "frozen parameters", planted=frozen),
    Mistake(11, "two processes with one share of the data", "shares of the processes", planted=shares_overlap,
            processes=2),
    Mistake(11, "two processes with other first weights", "weights of the processes", planted=weights_apart,
            processes=2),
    Mistake(12, "gradients not averaged over processes", "gradients of the processes", planted=gradients_apart,
            processes=2),
    Mistake(13, "a block of the file not loaded", "loaded weights", own_weights, block_passed_over),
    Mistake(14, "rate scaled to the batch twice", "rate and batch",
            lambda _: ["TRAIN.LINEAR_SCALED_LR", "64"], scaled_twice),
    Mistake(15, "decay on biases and norms", "weight decay", planted=decay_everywhere),
    Mistake(16, "maps without a favourite class", "classes of the label maps", uniform),
    Mistake(16, "probabilities in place of logits", "contents of the label maps", probabilities),
    Mistake(16, "logarithms of some classes' probabilities in place of logits", "contents of the label maps",
            lambda data: probabilities(data, logarithms=True)),
    Mistake(16, "token loss lost on the way", "gradients", planted=token_loss_lost),
    Mistake(17, "targets of the photo before", "rows of a batch", planted=rolled),
    Mistake(18, "training photos among the validation photos", "photos in both splits", copied),
    Mistake(19, "a class folder without photos", "refused", emptied),
    Mistake(19, "a class that the list has no photo of", "classes have photos",
            lambda data: lists(data, missing="ring")),
    Mistake(20, "a dead channel in the stem", "channels of the stem", planted=dead_channel),
    Mistake(20, "NaN in a channel of the stem", "channels of the stem", planted=nan_channel),
]
