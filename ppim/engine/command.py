"""From a command line to a run: which configuration, which weights, train or evaluate."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from ppim.config import find_recipe, get_config, recipe_path, teaches_tokens
from ppim.engine import build
from ppim.engine.distributed import World, join_world
from ppim.engine.evaluate import Evaluation
from ppim.engine.learner import eval_token_weight
from ppim.engine.log import Log
from ppim.engine.train import evaluate_samples, train
from ppim.models import build_model
from ppim.weights.load import load_weights
from ppim.weights.read import find_weights
from ppim.weights.recognise import recognise_file


def run(path: str | None, overrides: Sequence[str] = ()) -> Evaluation:
    """Train as the file at `path` says, or evaluate; prints the result as one JSON line at the end.

    Args:
        path: a yaml file, or the name of a published recipe; None: that of the weights which the overrides name.
        overrides: alternating keys and values; MODEL.PRETRAINED, MODEL.RESUME and MODEL.NEW_HEADS say what to start
            from, EVAL.ONLY that nothing is trained.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    notes: list[str] = []
    if path is None:
        said = dict(zip(overrides[::2], overrides[1::2]))
        path, classes, notes = recipe_of(said.get("MODEL.PRETRAINED") or said["MODEL.RESUME"])
        overrides = [*classes, *overrides]
    path = str(find_recipe(path))
    config = resolve(path, overrides)
    world = join_world()
    if world.is_main:
        print(*notes, sep="\n", end="\n" * len(notes), flush=True)
    result = evaluate_weights(config, world) if config.EVAL.ONLY else train(config, get_config(path), world)
    if world.is_main:
        print(json.dumps(result.as_dict()), flush=True)
    return result


def recipe_of(weights: str) -> tuple[str, list[str], list[str]]:
    """The recipe of weights for which none was named: (file, overrides, lines to tell about it).

    Those in a run folder have the run's own; of others the published model is recognised.
    """
    own = _run_config(weights)
    if own:
        return str(own), [], [f"recipe: {own}"]
    found = recognise_file(weights)
    twins = f" (or {', '.join(found.twins)}, of the same shapes: give --model then)" if found.twins else ""
    note = f"recipe: {found.name}, recognised by the weights in {weights}{twins}"
    return str(recipe_path(found.name)), ["MODEL.NUM_CLASSES", str(found.num_classes)], [note]


def resolve(path: str, overrides: Sequence[str]) -> CfgNode:
    """The configuration, with a run folder named after the file where none is set.

    Raises:
        ValueError: training is to resume from a file of weights.
    """
    config = get_config(path, overrides)
    if not config.SAVE:
        config = get_config(path, [*overrides, "SAVE", str(Path("output") / Path(path).stem)])
    if config.MODEL.RESUME and not config.EVAL.ONLY and _is_weights_file(config.MODEL.RESUME):
        raise ValueError(
            f"--resume {config.MODEL.RESUME} is a file of weights; to go on, training wants the folder of a run or of "
            "a checkpoint; to start anew from these weights, give --load"
        )
    return config


def _is_weights_file(path: str) -> bool:
    try:
        return bool(find_weights(path))
    except FileNotFoundError:
        return False


def evaluate_weights(config: CfgNode, world: World) -> Evaluation:
    """`--evaluate-only`: the weights named on exactly one of the ways there are, on the validation images.

    Raises:
        ValueError: no weights are named, or more than one file.
        FileNotFoundError: a path does not exist.
    """
    weights = [path for path in (config.MODEL.PRETRAINED, config.MODEL.RESUME) if path]
    if len(weights) != 1:
        raise ValueError(
            f"--evaluate-only wants weights from exactly one of --load (MODEL.PRETRAINED) and --resume (MODEL.RESUME), "
            f"got {' and '.join(weights) or 'none'}; e.g. --load {config.SAVE}/best.pdparams"
        )
    log = Log(world.is_main)
    images = build.val_images(config)
    model = build_model(config)
    file, kind = weights_file(weights[0], config.SAVE, config.EVAL.WEIGHTS)
    report = load_weights(model, file, which="auto" if kind else config.EVAL.WEIGHTS)
    kind = kind or ("ema" if report.averaged else "raw")
    log.say(str(report))
    trained = tokens_were_trained(file)
    model.eval_token_weight = eval_token_weight(model, config.MODEL.EVAL_TOKENS, trained)
    log.say(f"evaluating {kind} weights on {len(images):,} images of {images.root}, "
            f"token head {'on' if model.eval_token_weight else 'off'} (MODEL.EVAL_TOKENS {config.MODEL.EVAL_TOKENS})")
    data = config.DATA
    result = evaluate_samples(
        model, build.eval_samples(config, images, model.grid), world, batch_size=data.BATCH_SIZE_EVAL,
        workers=data.NUM_WORKERS, mean=data.IMAGENET_MEAN, std=data.IMAGENET_STD, amp=build.amp_arguments(config),
    )
    log.say(str(result))
    return result


def weights_file(path: str, run_folder: str, which: str) -> tuple[str, str]:
    """The file that holds the weights meant, and what they are: "raw", "ema", or "" where only its content can tell.

    `path` is a weights file, a run folder, a checkpoint folder, or "auto" for the newest checkpoint of `run_folder`.
    """
    from ppim.engine.checkpoint import newest_valid

    folder = Path(run_folder if path == "auto" else path)
    if (folder / "checkpoints").is_dir():
        folder = newest_valid(folder / "checkpoints")[0] or folder
    if not folder.is_dir():
        return path, "ema" if _names_ema(folder) else ""
    ema = folder / "ema.safetensors"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; give a weights file, or the folder of a run")
    if which == "ema" and not ema.is_file():
        raise ValueError(f"{folder} has no averaged weights; give -o EVAL.WEIGHTS raw")
    return (str(ema), "ema") if ema.is_file() and which != "raw" else (str(folder / "model.safetensors"), "raw")


def _names_ema(path: Path) -> bool:
    if path.stem.endswith("_ema"):
        return True
    card = path.parent / "best.json"
    return path.stem == "best" and card.is_file() and json.loads(card.read_text(encoding="utf-8"))["weights"] == "ema"


def tokens_were_trained(weights: str) -> bool:
    """Was the token head of these weights trained? Known where they lie in a run folder; published files: yes."""
    own = _run_config(weights)
    return teaches_tokens(get_config(own)) if own else True


def _run_config(weights: str) -> Path | None:
    """The configuration of the run whose folder holds these weights, or is meant by them."""
    path = Path(weights).resolve()
    for folder in (path, *list(path.parents)[:3]):
        if (folder / "config.yaml").is_file() and (folder / "log.jsonl").is_file():
            return folder / "config.yaml"
    return None
