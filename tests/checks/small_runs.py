"""What runs with planted mistakes, and sound ones, start from: drawn pictures, small recipes, what they are told."""
from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import paddle
from PIL import Image

from ppim.checks.finding import Finding
from ppim.config import get_config
from ppim.data import shapes
from ppim.data.datasets import find_images
from ppim.engine.checked import QUICK
from ppim.engine.distributed import World
from ppim.engine.rehearsal import rehearse
from ppim.models import build_model
from ppim.objective.pixels import normalise

WH, GRID, TRAIN, VAL = (64, 48), (9, 9), 200, 60

RECIPE = """
DATA: {{DATA_PATH: {data}/data, IMAGE_SIZE: 32, BATCH_SIZE: 32, BATCH_SIZE_EVAL: 32, NUM_WORKERS: 0, CROP_PCT: 1.0,
        EXIF: ignore}}
MODEL:
  TYPE: {kind}
  NAME: tiny
  NUM_CLASSES: 10
  DROPPATH: 0.0
  DENSE_HEAD: {dense}
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3.0, QKV_BIAS: {bias}, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8, TOKEN_TYPE: performer}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0, MODEL_EMA_DECAY: 0.9,
         AUTO_AUGMENT: ""}}
TOKEN_LABEL: {{ENABLE: {tokens}, PATH: {data}/labels/train}}
MIX: {{TOKEN_ALPHA: 0.0}}
SAVE: {data}/run
"""
KINDS = {
    "LV-ViT": {"dense": False, "bias": False, "tokens": True},
    "T2T-ViT": {"dense": True, "bias": False, "tokens": True},
    "DeiT": {"dense": True, "bias": True, "tokens": True},
}


def draw_data(folder: Path) -> Path:
    """Pictures and their exact maps; the folder."""
    shapes.write_dataset(folder, seed=0, train=TRAIN, val=VAL, wh=WH, grid=GRID)
    return folder


def write_recipe(data: Path, kind: str = "LV-ViT") -> Path:
    """A small recipe of a family with token labels on drawn pictures; its file."""
    path = data / f"{kind}.yaml"
    path.write_text(RECIPE.format(data=data, kind=kind, **KINDS[kind]))
    return path


def found_by(recipe: Path | str, keys=(), world: World | None = None) -> list[Finding]:
    """What `ppim train` is told up to its first step; a start that is refused is a finding as well."""
    keys = [str(key) for key in keys]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return rehearse(get_config(recipe, keys), get_config(recipe), world or World(), QUICK)
    except (ValueError, OSError) as error:
        return [Finding("refused", "error", str(error))]


def mistakes(found: list[Finding]) -> list[Finding]:
    """The findings that name a mistake."""
    return [finding for finding in found if finding.level in ("warning", "error")]


def maps_of(data: Path) -> list[Path]:
    """The maps of the training photos, in one order on every machine."""
    return sorted((data / "labels/train").glob("*/*.npy"))


def state_of(model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def colours(folder: Path) -> None:
    """Photos of ten classes, each of its own colour."""
    rng = np.random.default_rng(0)
    palette = rng.permutation(np.stack(np.meshgrid([40, 210], [40, 210], [40, 125, 210]), -1).reshape(-1, 3))[:10]
    for split, count in (("train", 8), ("val", 6)):
        for label, colour in enumerate(palette):
            for number in range(count):
                pixels = np.clip(colour + rng.normal(0, 8, (40, 48, 3)), 0, 255).astype("uint8")
                path = folder / split / f"c{label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def fitted_model(folder: Path, shift: int):
    """The small LV-ViT, whose class head knows the photos in `folder` by least squares, `shift` classes further on."""
    paddle.seed(77)
    model = build_model(get_config(write_recipe(folder)))
    model.eval()
    images = find_images(str(folder), "train")
    photos = np.stack([np.asarray(Image.open(images.full_path(i)).resize((32, 32))).transpose(2, 0, 1)
                       for i in range(len(images))])
    with paddle.no_grad():
        seen = normalise(paddle.to_tensor(photos), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        features = model.encode(seen)[0][:, 0].numpy()
    ones = np.ones((len(features), 1))
    wanted = np.eye(10)[(images.labels + shift) % 10]
    solution = np.linalg.lstsq(np.concatenate([features, ones], 1), wanted, rcond=None)[0].astype("float32")
    model.head.weight.set_value(solution[:-1])
    model.head.bias.set_value(solution[-1])
    return model
