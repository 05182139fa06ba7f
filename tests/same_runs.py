"""Does a change of shape leave the numbers alone? Short runs recorded on two commits and compared bit for bit.

    python tests/same_runs.py record REPOSITORY FOLDER      in each checkout, with one folder of pictures and first
    python tests/same_runs.py record OTHER OTHER_FOLDER     weights, made by the first call in ./same_runs_start
    python tests/same_runs.py compare FOLDER OTHER_FOLDER

Recorded are, for token labels with MixToken, cutmix with alignment on a DeiT, a teacher, accumulated gradients and two
processes: the first training batches (pixels and sparse targets), every logged loss and rate, and the weights at the
end. Only what users type and `ppim.engine.build` is called, so that the script runs on commits before and after.
"""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

START = Path("same_runs_start")
THREADS = "1"

RECIPE = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 6, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 1, CROP_PCT: 1.0}}
MODEL:
  TYPE: {kind}
  NAME: tiny
  NUM_CLASSES: 3
  DROPPATH: 0.2
  DENSE_HEAD: {dense_head}
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3.0, QKV_BIAS: {bias}, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8, TOKEN_TYPE: performer}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.8, CUTMIX_ALPHA: 1.0, MODEL_EMA_DECAY: 0.9,
         MAX_STEPS: 6, RANDOM_ERASE_PROB: 0.5}}
TOKEN_LABEL: {{ENABLE: {tokens}, PATH: {data}/maps, FRAME: whole}}
REPORT_FREQ: 1
VALIDATE_FREQ: 100
CHECKS: tell
"""  # the maps are of noise, which the checks would refuse
LVVIT = {"kind": "LV-ViT", "dense_head": False, "bias": False, "tokens": True}
DEIT = {"kind": "DeiT", "dense_head": False, "bias": True, "tokens": False}

# name: recipe, keys, processes
CASES = {
    "token labels + MixToken": (LVVIT, ["TRAIN.MIXUP_ALPHA", 0, "TRAIN.CUTMIX_ALPHA", 0, "MIX.TOKEN_ALPHA", 1.0], 1),
    "all mixes at once": (LVVIT, ["MIX.TOKEN_ALPHA", 1.0, "TRAIN.MIXUP_MODE", "elem"], 1),
    "cutmix + alignment": (DEIT, ["MIX.CLASS_SHARE", "alignment", "MIX.CUTMIX_GRID", "tokens",
                                  "TRAIN.MIXUP_ALPHA", 0], 1),
    "cutmix + attention": (DEIT, ["MIX.CLASS_SHARE", "attention", "TRAIN.MIXUP_ALPHA", 0], 1),
    "teacher": (LVVIT, ["DISTILL.TYPE", "soft", "DISTILL.DENSE_WEIGHT", 0.5, "DISTILL.TEACHER", "{start}/LV-ViT.yaml",
                        "DISTILL.WEIGHTS", "{start}/LV-ViT.pdparams", "DISTILL.TOP_K", 2], 1),
    "accumulation": (LVVIT, ["TRAIN.ACCUM_ITER", 2, "DATA.BATCH_SIZE", 3, "MIX.TOKEN_ALPHA", 1.0], 1),
    "two processes": (LVVIT, ["DATA.BATCH_SIZE", 3, "MODEL.STEM_BN", "frozen", "MIX.TOKEN_ALPHA", 1.0], 2),
}


def record(repository: Path, folder: Path) -> None:
    """Run every case with the package in `repository` and write `folder`/record.json."""
    start = START.resolve()
    environment = {**os.environ, "PYTHONPATH": str(repository), "PPIM_THREADS": THREADS}
    if not start.is_dir():
        _prepare(start)
    found = {}
    for name, (recipe, keys, processes) in CASES.items():
        case = folder.resolve() / name.replace(" ", "_")
        case.mkdir(parents=True)
        config = case / "recipe.yaml"
        config.write_text(RECIPE.format(data=start / "data", **recipe))
        options = [str(key).format(start=start) for key in [*keys, "SAVE", case / "run"]]
        launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", processes, "--log_dir", case / "log"]
        initial = start / f"{recipe['kind']}.pdparams"
        train = ["tools/train.py", "-c", config, "--load", initial, "-o", *options]
        command = [*launcher, *train] if processes > 1 else train
        subprocess.run([sys.executable, *map(str, command)], cwd=repository, env=environment, check=True,
                       stdout=subprocess.DEVNULL)
        shown = subprocess.run([sys.executable, __file__, "batches", config, *options], cwd=repository, check=True,
                               env=environment, capture_output=True, text=True)
        found[name] = {"batches": json.loads(shown.stdout.splitlines()[-1]), **_outcome(case / "run")}
        print(f"recorded: {name}", flush=True)
    (folder / "record.json").write_text(json.dumps(found, indent=1))


def _prepare(start: Path) -> None:
    """Pictures with label maps, and weights that every run on every commit starts from."""
    import numpy as np
    from PIL import Image

    from ppim.config import get_config
    from ppim.models import build_model

    rng = np.random.default_rng(0)
    for number in range(36):
        label, split = number % 3, "train" if number < 24 else "val"
        photo = start / "data" / split / f"class{label}" / f"photo{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (30 + number % 7, 40 - number % 5, 3)).astype("uint8")).save(photo)
        ids = rng.permuted(np.tile(np.arange(3)[:, None, None], (1, 6, 8)), axis=0)[:2]
        path = start / "data" / "maps" / f"class{label}" / f"photo{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([rng.normal(size=(2, 6, 8)) * 3, ids]).astype("float16"))
    import paddle

    paddle.seed(0)
    for recipe in (LVVIT, DEIT):
        config = start / f"{recipe['kind']}.yaml"
        config.write_text(RECIPE.format(data=start / "data", **recipe))
        state = build_model(get_config(config)).state_dict()
        paddle.save({name: value.numpy() for name, value in state.items()}, str(start / f"{recipe['kind']}.pdparams"))


def batches(config: str, options: list[str]) -> None:
    """Print the digests of the first three training batches of this commit's loader."""
    from ppim.config import get_config
    from ppim.data.loader import make_loader
    from ppim.engine import build
    from ppim.engine.distributed import World
    from ppim.models import build_model

    configuration = get_config(config, options)
    images = build.train_images(configuration)
    samples = build.train_samples(configuration, configuration, images, build_model(configuration).grid)
    wanted = build.train_batches(configuration, len(images), World(), 0, 3)
    found = [
        {name: _digest(value.numpy()) for name, value in sorted(batch.items()) if not name.startswith("mix")}
        for batch in make_loader(samples, wanted, 0)
    ]
    print(json.dumps(found))


def _outcome(run: Path) -> dict:
    import paddle

    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    wanted = ("step", "loss", "class_loss", "token_loss", "lr", "top1", "token_top1")
    log = [{name: line[name] for name in wanted if name in line} for line in lines]
    weights = {
        file: {name: _digest(value.numpy()) for name, value in sorted(paddle.load(str(run / file)).items())}
        for file in ("last.pdparams", "last_ema.pdparams")
    }
    return {"log": log, "weights": weights}


def _digest(array) -> str:
    return f"{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def compare(one: Path, other: Path) -> int:
    """Say for each case what is equal and what is not; 1 if anything differs."""
    first, second = (json.loads((folder / "record.json").read_text()) for folder in (one, other))
    different = 0
    for name in CASES:
        parts = [part for part in ("batches", "log", "weights") if first[name][part] != second[name][part]]
        different += bool(parts)
        tensors = sum(map(len, first[name]["weights"].values()))
        print(f"{name}: " + (f"{', '.join(parts)} differ" if parts else
                             f"equal ({len(first[name]['batches'])} batches, {len(first[name]['log'])} log lines, "
                             f"{tensors} tensors)"))
    return int(different > 0)


if __name__ == "__main__":
    command, *words = sys.argv[1:] or ["--help"]
    if command == "record":
        record(Path(words[0]).resolve(), Path(words[1]))
    elif command == "compare":
        sys.exit(compare(Path(words[0]), Path(words[1])))
    elif command == "batches":
        batches(words[0], words[1:])
    else:
        print(__doc__)
