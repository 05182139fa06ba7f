"""Which photos have which masks, what their classes are called, and what is said where that cannot be."""
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ppim.segment.figures import IGNORED
from ppim.segment.pairs import labels_of, names_of, photos_below, photos_of, places_of

pytestmark = pytest.mark.smoke


def test_ade20k_is_found_where_it_lies_with_the_names_of_its_list(ade):
    places = places_of(str(ade), "", "train")
    images = photos_of(places, names_of(str(ade), None, 3, False))
    assert len(images) == 12 and images.paths == sorted(images.paths)
    assert images.classes == ["wall", "sky", "flag, banner"]
    assert len(photos_of(places_of(str(ade), "", "val"), images.classes)) == 5
    assert names_of(str(ade), None, None, True) == ["ground", "wall", "sky", "flag, banner"]


def test_photos_in_folders_have_masks_in_folders_of_the_same_names(tmp_path):
    for name in ("cat/b.jpg", "ape/a.b.png", "cat/.hidden.png", "cat/readme.txt"):
        for root in ("data", "masks"):
            path = tmp_path / root / "train" / name
            path = path.with_suffix(".png") if root == "masks" else path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    places = places_of(str(tmp_path / "data"), str(tmp_path / "masks"), "train")
    assert photos_below(places.photos) == ["ape/a.b.png", "cat/b.jpg"]
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "dog").symlink_to(places.photos / "cat")
    (tmp_path / "linked" / "top.JPG").symlink_to(places.photos / "cat" / "b.jpg")
    assert photos_below(tmp_path / "linked") == ["dog/b.jpg", "top.JPG"]
    assert photos_of(places, ["x"]).paths == ["ape/a.b.png", "cat/b.jpg"]
    assert names_of(str(tmp_path / "data"), None, None, True) == ["ground", "ape", "cat"]
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    assert names_of(str(tmp_path / "data"), str(tmp_path / "names.txt"), 2, False) == ["one", "two"]
    assert names_of(str(tmp_path / "masks"), str(tmp_path / "names.txt"), 3, True) == ["ground", "one", "two"]
    (tmp_path / "masks" / "train" / "cat" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 photos in .* have no mask in .*, the first is cat/b\.jpg"):
        photos_of(places, ["x"])
    shutil.copy(places.photos / "ape" / "a.b.png", places.photos / "ape" / "a.b.jpg")
    (tmp_path / "masks" / "train" / "cat" / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"ape/a\.b\.png would be the mask of two photos"):
        photos_of(places, ["x"])


def test_classes_without_names_are_numbered_if_their_number_is_known(tmp_path):
    assert names_of(str(tmp_path), None, 3, False) == ["class 1", "class 2", "class 3"]
    assert names_of(str(tmp_path), None, 3, True) == ["ground", "class 1", "class 2"]
    with pytest.raises(ValueError, match="nobody says what the classes .* --classes FILE"):
        names_of(str(tmp_path), None, None, False)


@pytest.mark.parametrize(("rows", "ground", "error"), [(4, False, "3 classes, MODEL.NUM_CLASSES is 4"),
                                                       (3, True, "4 classes with the ground, MODEL.NUM_CLASSES is 3")])
def test_a_number_of_classes_that_is_not_theirs_is_refused(ade, rows, ground, error):
    with pytest.raises(ValueError, match=error):
        names_of(str(ade), None, rows, ground)


def test_folders_that_are_not_there_are_named(tmp_path, ade):
    with pytest.raises(FileNotFoundError, match=r"images/training: no such folder; wanted ADE20K.*SEGMENT\.MASKS"):
        places_of(str(tmp_path), "", "train")
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/train: no such folder; wanted DATA.DATA_PATH")):
        places_of(str(tmp_path), str(ade), "train")
    places = places_of(str(ade), "", "val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no photos there"):
        photos_of(places._replace(photos=tmp_path / "empty"), ["x"])


def test_index_0_is_ignored_or_a_class_and_255_is_always_ignored(tmp_path):
    path = str(tmp_path / "mask.png")
    Image.fromarray(np.array([[0, 1, 2, 3, 255]], np.uint8)).save(path)
    assert labels_of(path, 3, False, (5, 1)).tolist() == [[IGNORED, 0, 1, 2, IGNORED]]
    assert labels_of(path, 4, True, (5, 1)).tolist() == [[0, 1, 2, 3, IGNORED]]
    with pytest.raises(ValueError, match=r"mask.png: wanted 0 \(nothing\), 1 .. 2 .*got 3"):
        labels_of(path, 3, True, (5, 1))
    with pytest.raises(ValueError, match=r"mask.png: wanted the photo's size 1x5 \(w x h\), got 5x1"):
        labels_of(path, 3, False, (1, 5))
