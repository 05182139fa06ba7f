"""A linear layer on frozen tokens: finds what is there, counts by the pixel, leaves the model alone."""
import json
import shutil

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples
from ppim.data.transforms import eval_view
from ppim.engine.command import probe_weights
from ppim.engine.probe import _batches, _summary, probe
from tests.helpers import run_python, small_lvvit, small_volo

PALETTE = np.array([[90, 90, 90], [220, 30, 30], [30, 30, 220]], np.uint8)  # ground and two classes


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Pictures of 64x64 of four coloured blocks, and masks that name the colours; classes at random."""
    root, rng = tmp_path_factory.mktemp("painted"), np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6)):
        for number in range(count):
            mask = rng.integers(0, 3, (2, 2)).astype(np.uint8).repeat(32, 0).repeat(32, 1)
            path = root / "data" / split / f"class{number % 2}" / f"{number}.png"
            other = root / "masks" / split / f"class{number % 2}" / f"{number}.png"
            for one in (path, other):
                one.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(PALETTE[mask]).save(path)
            Image.fromarray(mask).save(other)
    return root


def samples(root, split):
    return EvalSamples(find_images(str(root / "data"), split), eval_view((64, 64), 1.0), num_classes=2)


@pytest.mark.parametrize("split", ["train", "val"])
def test_masks_that_say_nothing_are_refused_by_name(painted, split, tmp_path):
    masks = {"train": painted / "masks" / "train", "val": painted / "masks" / "val"}
    for path in masks[split].rglob("*.png"):
        target = tmp_path / split / path.relative_to(masks[split])
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 64), 255).save(target)
    masks[split] = tmp_path / split
    how = {"layers": [-1], "batch_size": 5, "workers": 0, "timeout": 60, "mean": [0.5] * 3, "std": [0.25] * 3}
    with pytest.raises(ValueError, match=f"^{tmp_path / split}: where the model looks, all masks are 255, unknown"):
        probe(small_lvvit(image_size=64, num_classes=2, patch_size=8), samples(painted, "train"),
              samples(painted, "val"), (str(masks["train"]), str(masks["val"])), **how)


def test_colours_are_read_from_an_untrained_model_and_noise_is_not(painted):
    paddle.seed(0)
    model = small_lvvit(image_size=64, num_classes=2, patch_size=8)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    how = {"layers": [0, -1], "batch_size": 5, "workers": 0, "timeout": 60, "mean": [0.5] * 3, "std": [0.25] * 3}
    masks = (str(painted / "masks" / "train"), str(painted / "masks" / "val"))
    model.train()
    found = probe(model, samples(painted, "train"), samples(painted, "val"), masks, **how)
    assert found.miou > 75 and found.pixels == 6 * 64 * 64 and list(found.iou) == ["ground", "class0", "class1"]
    assert model.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    # the same pictures with the masks of others
    moved = painted.parent / "moved" / "train"
    paths = sorted((painted / "masks" / "train").rglob("*.png"))
    for path, other in zip(paths, [*paths[1:], paths[0]]):
        target = moved / path.relative_to(painted / "masks" / "train")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(other.read_bytes())
    lost = probe(model, samples(painted, "train"), samples(painted, "val"), (str(moved), masks[1]), **how)
    assert lost.miou < 50


def test_masks_of_photos_as_they_are_stored_are_not_laid_across_photos_that_exif_turns(tmp_path):
    note = Image.Exif()
    note[0x0112] = 6
    for split in ("train", "val"):
        (tmp_path / "data" / split / "class0").mkdir(parents=True)
        (tmp_path / "masks" / split / "class0").mkdir(parents=True)
        Image.new("RGB", (96, 64)).save(tmp_path / "data" / split / "class0" / "a.jpg", exif=note)
        Image.new("L", (96, 64), 1).save(tmp_path / "masks" / split / "class0" / "a.png")
    masks = (str(tmp_path / "masks" / "train"), str(tmp_path / "masks" / "val"))
    turned, stored = (EvalSamples(find_images(str(tmp_path / "data"), "val"), eval_view((64, 64), 1.0), num_classes=2,
                                  exif=exif) for exif in ("apply", "ignore"))
    how = {"layers": [-1], "batch_size": 5, "workers": 0, "timeout": 60, "mean": [0.5] * 3, "std": [0.25] * 3}
    model = small_lvvit(image_size=64, num_classes=2, patch_size=8)
    with pytest.raises(ValueError, match=r"a.png: drawn on 96 x 64 pixels.*a.jpg has 64 x 96.*-o DATA.EXIF ignore"):
        probe(model, turned, turned, masks, **how)
    (_, seen), = _batches(model, stored, masks[1], how)
    assert (seen == 1).all()


def test_maps_of_two_stages_do_not_stand_side_by_side(painted):
    how = {"batch_size": 5, "workers": 0, "timeout": 60, "mean": [0.5] * 3, "std": [0.25] * 3}
    masks = (str(painted / "masks" / "train"), str(painted / "masks" / "val"))
    model, val = small_volo(image_size=64, num_classes=2), samples(painted, "val")
    with pytest.raises(ValueError, match=r"layers \[0, -1\] have maps of 4x4 and 8x8 tokens; choose layers of one"):
        probe(model, val, val, (masks[1], masks[1]), layers=[0, -1], **how)


def test_iou_against_a_hand_count():
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])  # the last name never occurs
    found = _summary(confusion, ["ground", "cat", "dog"])
    assert found.iou == {"ground": pytest.approx(100 * 6 / 9), "cat": pytest.approx(100 * 3 / 6), "dog": None}
    assert found.miou == pytest.approx((100 * 6 / 9 + 50) / 2)
    assert found.accuracy == pytest.approx(75) and found.pixels == 12


def test_the_command_probes_the_weights_of_a_run_as_typed(painted, tmp_path):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(f"""
DATA: {{DATA_PATH: {painted}/data, IMAGE_SIZE: 64, BATCH_SIZE: 4, NUM_WORKERS: 0, CROP_PCT: 1.0}}
MODEL:
  NAME: tiny
  NUM_CLASSES: 2
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: False, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8}}
TRAIN: {{NUM_EPOCHS: 2, WARMUP_EPOCHS: 1, MAX_STEPS: 1}}
SAVE: {tmp_path}/run
TOKEN_LABEL: {{VAL_PATH: {tmp_path}/maps}}
""")
    for number in range(6):
        maps = tmp_path / "maps" / f"class{number % 2}" / f"{number}.npy"
        maps.parent.mkdir(parents=True, exist_ok=True)
        np.save(maps, np.ones((2, 1, 2, 2), np.float32))
    done = run_python("tools/train.py", "-c", recipe)
    assert done.returncode == 0, done.stderr
    done = run_python("-m", "ppim", "probe", "--load", tmp_path / "run", "--masks", painted / "masks", "--json",
                      tmp_path / "new" / "found.json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads((tmp_path / "new" / "found.json").read_text())
    assert set(told["iou"]) == {"ground", "class0", "class1"}
    # pictures of a class that the heads do not have are probed as well
    for split in ("train", "val"):
        for kind in ("data", "masks"):
            shutil.copytree(painted / kind / split, tmp_path / "wide" / kind / split)
            (tmp_path / "wide" / kind / split / "class2").mkdir()
            for number in range(2):
                shutil.copy(painted / kind / split / "class0" / "0.png",
                            tmp_path / "wide" / kind / split / "class2" / f"w{number}.png")
    wide = probe_weights(None, str(tmp_path / "run"), tmp_path / "wide" / "masks", [-1],
                         ["DATA.DATA_PATH", str(tmp_path / "wide" / "data")])
    assert list(wide.iou) == ["ground", "class0", "class1", "class2"] and wide.pixels == 8 * 64 * 64
