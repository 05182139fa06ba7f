"""What is looked at before the first step, so that a mistake which raises nothing is named before it costs a run?

The checks themselves are in `ppim.checks`; here they are shown what a run is made of. Photos and maps are looked at in
samples spread evenly, so that a start stays quick.
"""
from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from yacs.config import CfgNode

from ppim.checks import classes, network, photos, pixels, processes, recipe, samples, weights
from ppim.checks.finding import Finding
from ppim.config import get_config, published_recipes, recipe_path, teaches_tokens
from ppim.data import check as data_check
from ppim.data.batches import TrainBatches
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples, TrainSamples
from ppim.engine.depth import frozen_names
from ppim.engine.distributed import World
from ppim.engine.map_check import look_over, readable, spread
from ppim.engine.run_folder import config_of
from ppim.engine.schedule import Schedule
from ppim.engine.steps import Steps
from ppim.engine.train_state import TrainState
from ppim.models.base import as_pair
from ppim.objective.pixels import normalise
from ppim.objective.teacher import Teacher
from ppim.weights.load import LoadReport, load_weights
from ppim.weights.read import find_weights, read_state
from ppim.weights.recognise import recognise_file

_GUESSES = 48  # photos of a split that loaded weights have to name
_PICTURES = ("IMAGENET_MEAN", "IMAGENET_STD")
_VIEW = ("INTERPOLATION", "CROP_PCT")  # comparable between views of one size
# where things lie may differ from machine to machine
_PLACES = ["DATA.DATA_PATH", "DATA.NUM_WORKERS", "TOKEN_LABEL.PATH", "TOKEN_LABEL.VAL_PATH", "DISTILL.TEACHER",
           "DISTILL.WEIGHTS", "MODEL.PRETRAINED", "MODEL.RESUME", "SAVE", "SEGMENT.MASKS"]


class Effort(NamedTuple):
    """How much is looked at: label maps opened, photos laid under their maps, files compared byte by byte, photos of a
    data set decoded."""

    maps: int
    photos: int
    reads: int
    decoded: int  # a larger data set is left to `ppim data check`
    whole_folders: bool  # list all maps, to find those without a photo


QUICK = Effort(maps=192, photos=48, reads=256, decoded=0, whole_folders=False)
THOROUGH = Effort(maps=2000, photos=192, reads=20_000, decoded=5000, whole_folders=True)


class Parts(NamedTuple):
    """What of a run the checks look at."""

    config: CfgNode
    recipe: CfgNode  # before changes on the command line
    world: World
    state: TrainState
    train: TrainSamples
    val: EvalSamples
    teacher: Teacher | None
    schedule: Schedule
    steps: Steps
    batches: TrainBatches
    keeps_heads: bool  # of weights that were loaded


def before_first_step(parts: Parts, effort: Effort) -> list[Finding]:
    """All that can be found without a step; what is the same in all processes is looked at by the main one alone."""
    found = of_the_network(parts) + of_the_rate(parts) + of_the_processes(parts)
    if not parts.world.is_main:
        return found
    return (of_the_photos(parts, effort) + of_the_maps(parts, effort) + of_the_samples(parts) + found
            + of_the_loaded_weights(parts))


def judge(found: Sequence[Finding], setting: str, world: World) -> list[str]:
    """The mistakes among findings as lines to tell.

    Args:
        setting: CHECKS; `stop` raises for a certain mistake, in all processes together.

    Raises:
        ValueError: a mistake that is certain.
    """
    wrong = [finding for finding in found if finding.level in ("warning", "error")]
    certain = [finding for finding in wrong if finding.level == "error"]
    if setting == "stop":
        world.barrier_if_impatient()
        if world.any(bool(certain)):
            raise ValueError(_why(certain))
    return [str(finding) for finding in wrong]


def _why(certain: list[Finding]) -> str:
    if not certain:
        return "another process has found a mistake in what it is to train with, and says which"
    more = f" ({len(certain) - 1} more like it, `ppim check` lists them)" if certain[1:] else ""
    return f"{certain[0].check}: {certain[0].text}{more}; where it is meant so, -o CHECKS tell goes on"


def load_and_check(model, path: str, new_heads: bool) -> tuple[LoadReport, Finding]:
    """`load_weights` into a fresh model, and whether it has reached every tensor."""
    before = weights.fingerprints(model.state_dict())
    report = load_weights(model, path, new_heads=new_heads)
    told = [*report.missing, *report.resized, *report.dropped]
    return report, weights.all_were_loaded(before, model.state_dict(), told, lambda: read_state(path).state, path)


def of_the_photos(parts: Parts, effort: Effort) -> list[Finding]:
    """Classes and photos of both splits."""
    train, val = parts.train.images, parts.val.images
    whole = []
    if len(train) + len(val) <= effort.decoded:
        report = data_check.check(parts.config.DATA.DATA_PATH)
        whole = [photos.data_set_is_fit([fault.text for fault in report.faults], len(report.photos), train.root)]
    return whole + [
        photos.classes_have_photos(train, parts.config.MODEL.NUM_CLASSES),
        photos.labels_are_folders(train),
        photos.labels_are_folders(val),
        photos.splits_agree(train, val),
        photos.splits_are_apart(train, val, effort.reads),
    ]


def of_the_maps(parts: Parts, effort: Effort) -> list[Finding]:
    """The label maps of both splits, where there are any."""
    folders = [(samples.maps, samples.images) for samples in (parts.train, parts.val) if samples.maps is not None]
    return [finding for maps, images in folders for finding in
            look_over(maps, images, effort.maps, effort.photos, effort.whole_folders,
                      parts.config.TOKEN_LABEL.TARGET).findings]


def of_the_samples(parts: Parts) -> list[Finding]:
    """What becomes of a photo on its way to a batch."""
    data, last = parts.config.DATA, len(parts.train) - 1
    hw = as_pair(data.IMAGE_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        colours = [
            pixels.photos_keep_their_colours(parts.train, lambda index: (0, index, 0), "training", Path(folder)),
            pixels.photos_keep_their_colours(parts.val, lambda index: index, "validation", Path(folder)),
        ]
    return [
        samples.samples_are_repeatable(parts.train, [(0, 0, 0), (0, last, 0), (1, 0, 0)]),
        samples.views_change(parts.train, last // 2),
        *colours,
        pixels.view_is_meant(parts.val.ops, hw, data.CROP_PCT, data.INTERPOLATION),
    ]


def of_the_network(parts: Parts) -> list[Finding]:
    """Parameters and what the optimizer does with them."""
    model = parts.state.model
    frozen = frozen_names(model, parts.config.TRAIN.FREEZE)
    untaught = () if teaches_tokens(parts.config) else ("aux_head",)
    return [
        network.all_are_trained(model, untaught, frozen),
        network.what_stays_has_learnt(frozen, not parts.config.MODEL.PRETRAINED and parts.state.step == 0),
        network.decay_is_where_it_belongs(model, parts.state.optimizer._param_groups),
    ]


def of_the_rate(parts: Parts) -> list[Finding]:
    """The learning rate against configuration and recipe."""
    train, meant = parts.config.TRAIN, _published(parts).TRAIN
    batch = parts.batches.global_batch * parts.steps.accumulate
    published = {"base": meant.BASE_LR, "reference": meant.LINEAR_SCALED_LR}
    return [
        recipe.rate_follows_batch(parts.schedule.base, train.BASE_LR, train.LINEAR_SCALED_LR, batch),
        recipe.rate_is_not_scaled_by_hand(train.BASE_LR, train.LINEAR_SCALED_LR, batch, published),
    ]


def _published(parts: Parts) -> CfgNode:
    """The model's recipe in its original, where the one in use is a copy whose rate is meant for the same batch."""
    name, ours = parts.config.MODEL.NAME, parts.recipe
    theirs = get_config(recipe_path(name)) if name in published_recipes() else ours
    return theirs if theirs.TRAIN.LINEAR_SCALED_LR == ours.TRAIN.LINEAR_SCALED_LR else ours


def of_the_loaded_weights(parts: Parts) -> list[Finding]:
    """Weights from a file, the run's own and a teacher's, against the data they are to see."""
    found, source, teacher = [], parts.config.MODEL.PRETRAINED, parts.teacher
    if source and parts.state.step == 0:
        found += _made_for(parts.config, source)
    if parts.keeps_heads:
        found += [_guesses(parts, parts.state.model, images, "the loaded weights")
                  for images in (parts.train.images, parts.val.images)]
    if teacher:
        found.append(_guesses(parts, teacher.model, parts.train.images, "the teacher"))
    return found


def _made_for(config: CfgNode, source: str) -> list[Finding]:
    """Against the recipe the weights were trained with: that of their run, else of the published model they are."""
    file = find_weights(source)
    try:
        own = config_of(file) or recipe_path(recognise_file(file).name)
        there = get_config(own).DATA
    except (ValueError, FileNotFoundError):
        return []
    keys = _PICTURES + (_VIEW if there.IMAGE_SIZE == config.DATA.IMAGE_SIZE else ())
    return [recipe.made_for_these_pictures({key: config.DATA[key] for key in keys}, {key: there[key] for key in keys},
                                           str(own))]


@paddle.no_grad()
def _guesses(parts: Parts, model, images: ImageList, whose: str) -> Finding:
    """The classes that `model` sees in some photos, against their own."""
    data, views = parts.config.DATA, replace(parts.val, images=images, maps=None)
    seen = readable(lambda i: views[i], spread(len(images), _GUESSES))
    training, named = model.training, []
    model.eval()
    for first in range(0, len(seen), data.BATCH_SIZE_EVAL):
        batch = np.stack([sample["image"] for sample in seen[first:first + data.BATCH_SIZE_EVAL]])
        logits = model(normalise(paddle.to_tensor(batch), data.IMAGENET_MEAN, data.IMAGENET_STD))
        named += logits.argmax(axis=1).tolist()
    if training:
        model.train()
    labels = np.array([sample["label"] for sample in seen], np.int64)
    return classes.weights_name_classes(np.array(named, np.int64), labels, model.num_classes, whose, images.root)


def of_the_processes(parts: Parts) -> list[Finding]:
    """Where there are several: the same photos, the same configuration, the same weights."""
    world, images = parts.world, parts.train.images
    if world.size == 1:
        return []
    sources = {
        "training photos": images.checksum,
        "validation photos": parts.val.images.checksum,
        "configuration": _checksum(_without_places(parts.config).dump()),
    }
    shared = world.gathered(list(sources.values()), "int64")
    return [processes.same_everywhere(shared, list(sources), "starting point"), same_weights(parts.state, world)]


def same_weights(state: TrainState, world: World) -> Finding:
    """Have all processes the same parameters? Statistics of a batch are each one's own."""
    names, values = zip(*[(name, p.astype("float64")) for name, p in state.model.named_parameters()
                          if not name.endswith(("._mean", "._variance"))])
    sums = [paddle.stack([value.sum(), (value * value).sum()]).sum().reshape([1]) for value in values]
    return processes.same_everywhere(world.gathered(paddle.concat(sums).tolist(), "float64"), names, "weights")


def _without_places(config: CfgNode) -> CfgNode:
    what = config.clone()
    what.defrost()
    for key in _PLACES:
        section, _, name = key.rpartition(".")
        (what[section] if section else what)[name] = None
    return what


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode())
