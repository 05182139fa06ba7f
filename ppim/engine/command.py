"""From a command line to a run: which configuration, which weights, train or evaluate."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from ppim.config import get_config, recipe_path
from ppim.engine import build
from ppim.engine.distributed import World, join_world
from ppim.engine.evaluate import Evaluation
from ppim.engine.learner import eval_token_weight
from ppim.engine.log import Log
from ppim.engine.train import evaluate_samples, train
from ppim.models import build_model
from ppim.weights.load import load_weights


def run(
    path: str, overrides: Sequence[str] = (), *, load: str | None = None, resume: str | None = None,
    evaluate_only: bool = False, new_heads: bool = False,
) -> Evaluation:
    """Train as the file at `path` says, or evaluate; prints the result as one JSON line at the end.

    Args:
        path: a yaml file, or the name of a published recipe; overrides: alternating keys and values.
        load: weights to start from, or to evaluate; resume: "auto", or a checkpoint or run folder.
        new_heads: start from `load` without its heads, for other classes.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    if not path.endswith((".yaml", ".yml")):
        path = str(recipe_path(path))
    recipe = get_config(path)
    config = resolve(path, overrides, load=load, resume=resume, evaluate_only=evaluate_only, new_heads=new_heads)
    world = join_world()
    if config.EVAL.ONLY:
        result = evaluate_weights(config, world)
    else:
        result = train(config, recipe, world, config.MODEL.RESUME, new_heads)
    if world.is_main:
        print(json.dumps(result.as_dict()), flush=True)
    return result


def resolve(path, overrides, *, load, resume, evaluate_only, new_heads) -> CfgNode:
    """The configuration with what the command line says folded in."""
    config = get_config(path, overrides).clone()
    config.defrost()
    given = [name for name, value in (("--load", load), ("MODEL.PRETRAINED", config.MODEL.PRETRAINED)) if value]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} both name weights; give one")
    if evaluate_only and new_heads:
        raise ValueError("--new-heads starts heads afresh, which leaves nothing to evaluate; train first")
    config.MODEL.PRETRAINED = load or config.MODEL.PRETRAINED
    config.MODEL.RESUME = resume or config.MODEL.RESUME
    config.EVAL.ONLY = evaluate_only or config.EVAL.ONLY
    config.SAVE = config.SAVE or str(Path("output") / Path(path).stem)
    config.freeze()
    return config


def evaluate_weights(config: CfgNode, world: World) -> Evaluation:
    """`--evaluate-only`: the weights named on exactly one of the ways there are, on the validation images.

    Raises:
        ValueError: no weights are named, or more than one file.
        FileNotFoundError: a path does not exist.
    """
    weights = [path for path in (config.MODEL.PRETRAINED, config.MODEL.RESUME) if path]
    if len(weights) != 1:
        raise ValueError(
            f"--evaluate-only wants weights from exactly one of --load, --resume and MODEL.PRETRAINED, got "
            f"{' and '.join(weights) or 'none'}; e.g. --load {config.SAVE}/best.pdparams"
        )
    log = Log(world.is_main)
    images = build.val_images(config)
    model = build_model(config)
    file, kind = weights_file(weights[0], config.SAVE, config.EVAL.WEIGHTS)
    log.say(str(load_weights(model, file)))
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
    """The file that holds the weights meant, and what they are: "raw" or "ema".

    `path` is a weights file, a run folder, a checkpoint folder, or "auto" for the newest checkpoint of `run_folder`.
    """
    from ppim.engine.checkpoint import newest_valid

    folder = Path(run_folder if path == "auto" else path)
    if (folder / "checkpoints").is_dir():
        folder = newest_valid(folder / "checkpoints")[0] or folder
    if not folder.is_dir():
        if which == "ema" and not _names_ema(folder):
            raise ValueError(f"EVAL.WEIGHTS ema: {path} does not say that it holds averaged weights; "
                             "give last_ema.pdparams, a checkpoint folder, or -o EVAL.WEIGHTS raw")
        return path, "ema" if _names_ema(folder) else "raw"
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
    for folder in list(Path(weights).resolve().parents)[:3]:
        if (folder / "config.yaml").is_file() and (folder / "log.jsonl").is_file():
            return build.teaches_tokens(get_config(folder / "config.yaml"))
    return True
