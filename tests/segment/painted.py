"""Photos whose colours are what their masks say, and a recipe that trains a toy segmenter on them."""
from __future__ import annotations

import numpy as np
from PIL import Image

RECIPE = """
TASK: segment
DATA: {{DATA_PATH: {data}, EXIF: ignore, IMAGE_SIZE: 16, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 0}}
MODEL:
  NAME: tiny
  DROPPATH: 0.2
  NUM_CLASSES: 3
  TRANS: {{PATCH_SIZE: 4, EMBED_DIM: 8, DEPTH: 4, NUM_HEADS: 2, MLP_RATIO: 2, QKV_BIAS: False, SKIP_LAM: 1.0,
           STEM_CHANNELS: 4}}
SEGMENT: {{LAYERS: [0, 1, 2, 3], CHANNELS: 4, TOP_CHANNELS: 8, SCALE: [40, 20], STRIDE: 11}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MODEL_EMA_DECAY: 0.9, LR_SCHEDULER: {{NAME: poly}}}}
SAVE: {save}
REPORT_FREQ: 1
VALIDATE_FREQ: 100
"""
# 6 steps of two micro-batches, with a checkpoint of each
OPTIONS = ["TRAIN.MAX_STEPS", "6", "SAVE_STEPS", "1", "KEEP_CHECKPOINTS", "6", "TRAIN.ACCUM_ITER", "2",
           "DATA.BATCH_SIZE", "2"]
# of the indices 0 (ignored) to 3, and of 255 (ignored as well)
COLOURS = {0: (250, 250, 250), 1: (220, 20, 20), 2: (20, 220, 20), 3: (20, 20, 220), 255: (0, 0, 0)}


def painted(mask: np.ndarray) -> Image.Image:
    """The photo of which a mask says what colours it has."""
    pixels = np.zeros((*mask.shape, 3), np.uint8)
    for index, colour in COLOURS.items():
        pixels[mask == index] = colour
    return Image.fromarray(pixels)


def some_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rectangles of all indices."""
    mask = np.full((height, width), rng.integers(0, 4), np.uint8)
    for index in (1, 2, 3, 255, 2):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        mask[top:top + rng.integers(4, height), left:left + rng.integers(4, width)] = index
    return mask
