"""From a command line to a run: which configuration, which weights, train or evaluate."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from ppim.checks.finding import Finding
from ppim.config import altered, find_recipe, get_config
from ppim.data.loader import EvalSamples
from ppim.engine import build, classes
from ppim.engine.best import as_json
from ppim.engine.distributed import join_world
from ppim.engine.evaluate import Evaluation
from ppim.engine.knn import USUAL, Voted, knn
from ppim.engine.loaded import load_by
from ppim.engine.probe import Probed, probe
from ppim.engine.rehearsal import rehearse
from ppim.engine.run_folder import RunFolder, recipe_of
from ppim.engine.task import task_of
from ppim.engine.train import train
from ppim.strict_json import dumps
from ppim.weights.read import is_weights_file
from ppim.weights.run_folders import config_of


def run(path: str | None, overrides: Sequence[str] = (), *, advised: Sequence[str] = ()) -> Evaluation:
    """Train as the file at `path` says, or evaluate; prints the result as one JSON line at the end.

    Args:
        path: a yaml file, or the name of a published recipe; None: that of the weights which the overrides name, and
            a run that goes on does so in its own folder unless they name another.
        overrides: alternating keys and values; MODEL.PRETRAINED, MODEL.RESUME and MODEL.NEW_HEADS say what to start
            from, EVAL.ONLY that nothing is trained.
        advised: the same of a command that knows better than the recipe; what the overrides say counts more.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    notes: list[str] = []
    if path is None:
        path, implied, notes = _recipe_of_what_is_named(dict(zip(overrides[::2], overrides[1::2])))
        overrides = [*implied, *overrides]
    path = str(find_recipe(path))
    notes += altered(path)
    config, recipe = resolve(path, [*advised, *overrides]), get_config(path, advised)
    world = join_world()
    if world.is_main:
        print(*notes, sep="\n", end="\n" * len(notes), flush=True)
    if config.EVAL.ONLY:
        result = task_of(config).evaluate_weights(config, recipe, world)
        told = result.as_dict()
    else:
        result, card = train(config, recipe, world)
        told = as_json(result, card, RunFolder(config.SAVE))
    if world.is_main:
        print(dumps(told), flush=True)
    return result


def _recipe_of_what_is_named(said: dict[str, str]) -> tuple[str, list[str], list[str]]:
    """Recipe, overrides and lines to tell, where no recipe is named: of weights to evaluate, or of a run to go on with.

    Raises:
        ValueError: the run is to go on, and what is named lies in no run's folder.
    """
    weights = said.get("MODEL.PRETRAINED") or said["MODEL.RESUME"]
    if "EVAL.ONLY" in said:
        return recipe_of(weights)
    own = config_of(weights)
    if own is None:
        raise ValueError(f"--resume {weights}: no folder of a run with config.yaml and log.jsonl is there; give the "
                         "recipe as well, with -c FILE")
    return str(own), ["SAVE", str(own.parent)], [f"recipe: {own}"]


def check(path: str, overrides: Sequence[str] = ()) -> list[Finding]:
    """What is wrong, without a word of complaint, with a run of the file at `path`; arguments and errors as of `run`.

    Raises:
        ValueError: it is to evaluate only.
    """
    path = str(find_recipe(path))
    config = resolve(path, overrides)
    if config.EVAL.ONLY:
        raise ValueError("a run that only evaluates has nothing to check; leave --evaluate-only out")
    return rehearse(config, get_config(path), join_world())


def resolve(path: str, overrides: Sequence[str]) -> CfgNode:
    """The configuration, with a run folder named after the file where none is set.

    Raises:
        ValueError: training is to resume from a file of weights.
    """
    config = get_config(path, overrides)
    if not config.SAVE:
        config = get_config(path, [*overrides, "SAVE", str(Path("output") / Path(path).stem)])
    if config.MODEL.RESUME and not config.EVAL.ONLY and is_weights_file(config.MODEL.RESUME):
        raise ValueError(
            f"--resume {config.MODEL.RESUME} is a file of weights; to go on, training wants the folder of a run or of "
            "a checkpoint; to start anew from these weights, give --load"
        )
    return config


def probe_weights(
    path: str | None, weights: str, masks: Path, layers: Sequence[int], overrides: Sequence[str] = (),
) -> Probed:
    """`ppim probe`: what a linear layer can tell from the frozen tokens of these weights.

    Args:
        path: recipe; None: that of the weights.
        masks: folder with train/ and val/.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    (model, *_), config, _ = load_by(path, weights, overrides, features_do=True)
    if not hasattr(model, "features"):
        raise ValueError(f"{config.MODEL.NAME} gives no maps of its tokens; probe LV-ViT, VOLO, T2T-ViT, DeiT or ViT")
    train, val, how = _whatever_classes(config)
    return probe(model, train, val, (str(masks / "train"), str(masks / "val")), layers=layers, **how)


def knn_weights(
    path: str | None, weights: str, ks: Sequence[int], tokens: str, temperature: float, overrides: Sequence[str] = (),
) -> dict[int, Voted]:
    """`ppim knn`: what the nearest training photos say of the validation photos, by the frozen features of weights.

    Args:
        path: recipe; None: that of the weights.
        ks, tokens, temperature: as of `knn`; no ks: the usual ones, as far as there are photos.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    (model, *_), config, _ = load_by(path, weights, overrides, features_do=True)
    if not hasattr(model, "encode"):
        raise ValueError(f"{config.MODEL.NAME} has no class token; take LV-ViT, VOLO, T2T-ViT, DeiT or ViT")
    bank, asked, how = _whatever_classes(config)
    ks = ks or [k for k in USUAL if k <= len(bank)] or [len(bank)]
    return knn(model, bank, asked, ks=ks, tokens=tokens, temperature=temperature, **how)


def _whatever_classes(config: CfgNode) -> tuple[EvalSamples, EvalSamples, dict[str, object]]:
    """The photos of both splits as an evaluation shows them, of other classes than the heads' too, which are not asked;
    and how they are gone through."""
    config = config.clone()
    config.defrost()
    config.MODEL.NUM_CLASSES = None
    train = build.train_images(config)
    config = classes.with_rows(config, len(train.classes))
    shown = [build.shown_samples(config, images) for images in (train, build.val_images(config, train))]
    how = build.evaluation_arguments(config)
    del how["amp"]
    return *shown, how
