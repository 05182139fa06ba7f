"""The recipes of segmenters train: a step of each kind, on a toy's size and data."""
import numpy as np
import pytest

from ppim.engine.command import run
from tests.helpers import records

SMALL = ["MODEL.TRANS.EMBED_DIM", "24", "MODEL.TRANS.DEPTH", "10", "MODEL.TRANS.STEM_CHANNELS", "4", "SEGMENT.CHANNELS",
         "4", "SEGMENT.TOP_CHANNELS", "8", "DATA.IMAGE_SIZE", "32", "SEGMENT.STRIDE", "21", "SEGMENT.SCALE", "[80, 40]",
         "DATA.BATCH_SIZE", "4", "DATA.NUM_WORKERS", "0", "TRAIN.MAX_STEPS", "1", "SEGMENT.MASKS", "",
         "SEGMENT.LAYERS", "[0, 3, 6, 9]"]


@pytest.mark.parametrize(("name", "rows"), [("upernet_lvvit_l", 3), ("upernet_collage", 4)])
def test_a_recipe_trains_one_tiny_step(name, rows, ade, tmp_path):
    options = [*SMALL, "DATA.DATA_PATH", str(ade), "MODEL.NUM_CLASSES", str(rows), "SAVE", str(tmp_path / "run")]
    result = run(name, options)
    assert result.count == 5 and len(result.iou) == rows and ("ground" in result.iou) == (rows == 4)
    step = next(record for record in records(tmp_path / "run") if record["event"] == "train")
    assert np.isfinite(step["loss"]) and step["loss"] > 0
