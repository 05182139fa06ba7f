"""The file that exported bundles carry: it needs nothing of ppim, and makes of a photo what evaluation makes of it."""
from __future__ import annotations

import ast
import sys

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.data import preprocess
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.objective import pixels
from tests.helpers import ROOT

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_it_imports_only_pillow_numpy_and_the_standard_library():
    tree = ast.parse((ROOT / "ppim" / "data" / "preprocess.py").read_text(encoding="utf-8"))
    named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    rooms = {name.partition(".")[0] for name in named}
    assert rooms - set(sys.stdlib_module_names) == {"numpy", "PIL"}


@pytest.mark.smoke
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("image_hw", "crop_pct"), [((32, 32), 0.875), ((48, 32), 1.0), ((33, 47), 0.9)])
def test_the_view_and_its_numbers_are_those_of_evaluation(image_hw, crop_pct, interpolation):
    rng = np.random.default_rng(0)
    for wh in [(1, 3), (31, 200), (47, 33), (64, 64), *rng.integers(5, 130, (20, 2)).tolist()]:
        photo = Image.fromarray(rng.integers(0, 256, (wh[1], wh[0], 3), dtype=np.uint8))
        seen = preprocess.view(photo, image_hw, crop_pct, interpolation)
        wanted = to_array(apply_all(eval_view(image_hw, crop_pct, interpolation), photo))
        np.testing.assert_array_equal(seen, wanted, err_msg=str(wh))
        numbers = pixels.normalise(paddle.to_tensor(wanted[None]), MEAN, STD).numpy()
        np.testing.assert_array_equal(preprocess.normalised(seen, MEAN, STD), numbers[0])


def test_photos_are_found_in_folders_and_files_taken_as_they_are_named(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "b/notes.txt", "a.bin", "b/._1.jpg", "b/.checkpoints/1-copy.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = preprocess.photos_in([str(tmp_path / "a.bin"), str(tmp_path / "b"), "missing.jpg"])
    assert found == [str(tmp_path / name) for name in ("a.bin", "b/1.jpg", "b/2.PNG")] + ["missing.jpg"]


def test_photos_are_found_through_links_and_not_in_a_circle(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.jpg").touch()
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "1.jpg").touch()
    (tmp_path / "b" / "there").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b" / "c" / "back").symlink_to(tmp_path / "b")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    wanted = [str(tmp_path / "b" / name) for name in ("1.jpg", "there/3.jpg")]
    assert preprocess.photos_in([str(tmp_path / "b")]) == wanted
