"""ImageNet with other labels or other photos: ReaL's file, the folders of ImageNet-C."""
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from ppim.data.corruptions import corrupted_folders, corrupted_images, groups
from ppim.data.real_labels import read_real

pytestmark = pytest.mark.smoke


def real(tmp_path, labels) -> str:
    path = tmp_path / "real.json"
    path.write_text(json.dumps(labels))
    return str(path)


def test_real_labels_are_found_by_the_number_in_a_files_name(tmp_path):
    path = real(tmp_path, [[5], [], [1, 2]])
    images = ["n1/ILSVRC2012_val_00000003.JPEG", "n0/ILSVRC2012_val_00000001.jpeg", "x/ILSVRC2012_val_00000002.png"]
    assert read_real(path, images, 6) == [[1, 2], [5], []]


@pytest.mark.parametrize("image", ["a/photo.jpg", "ILSVRC2012_val_00000004.JPEG", "ILSVRC2012_val_00000000.JPEG"])
def test_an_image_that_has_no_real_labels_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="wanted one of the 3 validation images"):
        read_real(real(tmp_path, [[5], [], [1, 2]]), [image], 6)


@pytest.mark.parametrize("labels", [{}, [], [[6]], [[-1]], [["1"]], [1], [[True]], [[1.0]]])
def test_real_labels_of_another_form_are_refused(tmp_path, labels):
    with pytest.raises(ValueError, match="wanted a list with a list of classes, 0 .. 5"):
        read_real(real(tmp_path, labels), ["ILSVRC2012_val_00000001.JPEG"], 6)
    (tmp_path / "cut.json").write_text("[[1], [")
    with pytest.raises(ValueError, match="no JSON"):
        read_real(str(tmp_path / "cut.json"), [], 6)
    with pytest.raises(FileNotFoundError, match="reassessed-imagenet"):
        read_real(str(tmp_path / "gone.json"), [], 6)


def test_corrupted_images_are_those_of_all_folders_labelled_by_name(tmp_path):
    assert corrupted_folders(str(tmp_path)) == []
    for folder in ("fog/1/b", "fog/1/c", "fog/2/b", "snow/5/a", "clean/1/z"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(tmp_path / folder / "x.png")
    assert corrupted_folders(str(tmp_path)) == [("snow", "5"), ("fog", "1"), ("fog", "2")]
    found = corrupted_images(str(tmp_path))
    assert found.paths == ["snow/5/a/x.png", "fog/1/b/x.png", "fog/1/c/x.png", "fog/2/b/x.png"]
    assert found.classes == ["a", "b", "c"] and found.labels.tolist() == [0, 1, 2, 1]
    assert groups(found.paths).tolist() == ["snow/5", "fog/1", "fog/1", "fog/2"]
    assert all(tmp_path.joinpath(found.full_path(index)).is_file() for index in range(4))
