"""A split made by name: who is set aside, and who stays where it is when photos come and go."""
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.data.images import ImageList
from ppim.data.split import as_list, has_validation, set_aside


def listed(*counts: int) -> ImageList:
    classes = [f"class {label}" for label in range(len(counts))]
    pairs = [(f"{classes[label]}/photo {number}.jpg", label) for label, count in enumerate(counts)
             for number in range(count)]
    return ImageList("photos", [path for path, _ in pairs], np.array([label for _, label in pairs], np.int64), classes)


@pytest.mark.smoke
@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.floats(0.05, 0.95))
def test_every_photo_is_on_one_side_and_every_class_on_both(counts, share):
    images = listed(*counts)
    train, val = set_aside(images, share)
    assert sorted(train.paths + val.paths) == sorted(images.paths)
    for part in (train, val):
        assert part.classes == images.classes and part.root == images.root
        assert set(part.labels) == set(range(len(counts)))
        assert [images.labels[images.paths.index(path)] for path in part.paths] == list(part.labels)


@pytest.mark.smoke
def test_the_name_alone_decides():
    few, many = listed(40, 40), listed(80, 40)
    val_of_few, val_of_many = set_aside(few, 0.25)[1], set_aside(many, 0.25)[1]
    assert [path for path in val_of_many.paths if path in few.paths] == val_of_few.paths
    by_hand = [path for path in many.paths
               if int(hashlib.sha256(path.encode()).hexdigest()[:16], 16) < 0.25 * 2**64]
    assert val_of_many.paths == by_hand
    assert 0.15 < len(val_of_many) / len(many) < 0.35


def test_a_class_of_one_photo_is_refused():
    with pytest.raises(ValueError, match="'class 1' has one photo .class 1/photo 0.jpg"):
        set_aside(listed(5, 1), 0.2)


def test_the_list_is_read_back(tmp_path):
    from ppim.data.datasets import find_images

    images = set_aside(listed(9, 9), 0.3)[1]
    (tmp_path / "val_list.txt").write_bytes(as_list(images))
    read = find_images(str(tmp_path), "val")
    assert read.paths == images.paths and (read.labels == images.labels).all()


@pytest.mark.parametrize(("made", "path", "has"), [
    (["cat/a.jpg"], "", False), (["train/cat/a.jpg"], "", False), (["train/cat/a.jpg"], "train", False),
    (["train/cat/a.jpg", "val/cat/b.jpg"], "", True), (["train/cat/a.jpg", "test/cat/b.jpg"], "train", True),
    (["cat/a.jpg", "val_list.txt"], "", True), (["cat/a.jpg", "train_list.txt"], "", False),
])
def test_whether_there_is_a_split_already(made, path, has, tmp_path):
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert has_validation(str(tmp_path / path)) is has
