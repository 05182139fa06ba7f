"""Photos and classes of two splits: empty classes, folders, lists, and photos in both."""
import os

import numpy as np
import pytest

from ppim.checks.photos import classes_have_photos, labels_are_folders, splits_agree, splits_are_apart
from ppim.data.datasets import find_images
from ppim.data.images import ImageList


@pytest.fixture
def splits(tmp_path):
    """Sixty training and twenty validation files of four classes, no two alike, many of one size."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 15), ("val", 5)):
        for label in range(4):
            for number in range(count):
                path = tmp_path / split / f"c{label}" / f"{split}{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(rng.bytes(100 + int(rng.integers(0, 25))))
    return tmp_path, find_images(str(tmp_path)), find_images(str(tmp_path), "val")


def test_two_splits_that_are_apart_are_fine(splits):
    _, train, val = splits
    assert splits_are_apart(train, val, 10_000).level == "fine"
    assert [check(train).level for check in (labels_are_folders, lambda x: classes_have_photos(x, 4))] == ["fine"] * 2


@pytest.mark.parametrize("name", ["renamed.jpg", "train3.jpg"])
def test_one_photo_in_both_is_found_by_its_bytes_whatever_its_name(splits, name):
    root, train, _ = splits
    (root / "val/c1" / name).write_bytes((root / "train/c2/train3.jpg").read_bytes())
    finding = splits_are_apart(train, find_images(str(root), "val"), 10_000)
    assert finding.level == "warning" and name in finding.text and "c2/train3.jpg" in finding.text


def test_no_more_files_are_read_than_allowed(splits, monkeypatch):
    from ppim.checks import photos

    _, train, val = splits
    read = []
    monkeypatch.setattr(photos, "_digest", lambda path: read.append(path) or path)
    splits_are_apart(train, val, 20)
    assert 0 < len(read) <= 20


def test_what_is_no_file_is_neither_opened_nor_the_same_as_another(splits):
    root, _, _ = splits
    for split in ("train", "val"):
        os.mkfifo(root / split / "c0" / "pipe.jpg")
        (root / split / "c1" / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "train" / "c2" / "empty.jpg").write_bytes(b"")  # of a pipe's size
    assert splits_are_apart(find_images(str(root)), find_images(str(root), "val"), 10_000).level == "fine"


def test_a_split_that_is_the_other_one_is_told(splits):
    _, train, _ = splits
    finding = splits_are_apart(train, train, 100)
    assert finding.level == "warning" and "the training photos themselves" in finding.text


def test_labels_that_are_not_those_of_their_folders_are_told(splits):
    _, train, _ = splits
    rolled = ImageList(train.root, train.paths, np.roll(train.labels, 1), train.classes)
    finding = labels_are_folders(rolled)
    assert finding.level == "error" and "4 of 60" in finding.text
    numbered = ImageList(train.root, train.paths, train.labels, list("0123"))
    assert labels_are_folders(numbered).level == "unknown"


def test_a_folder_that_is_named_as_a_split_says_nothing_of_a_class_of_that_name(tmp_path):
    lines = [f"{split}/{number}.png car" for split in ("train", "val", "test") for number in range(3)]
    lines += [f"more/{split}.png {split}" for split in ("train", "val", "test")]
    (tmp_path / "train_list.txt").write_text("\n".join(lines))
    images = find_images(str(tmp_path))
    assert images.classes == ["car", "test", "train", "val"]
    assert labels_are_folders(images).level == "unknown"
    (tmp_path / "train_list.txt").write_text("\n".join([*lines, "car/1.png car", "car/2.png train"]))
    finding = labels_are_folders(find_images(str(tmp_path)))
    assert finding.level == "error" and "car/2.png" in finding.text and "1 of 14" in finding.text


def test_lists_that_number_folders_otherwise_are_told(splits):
    _, train, val = splits
    ours, theirs = (ImageList(x.root, x.paths, x.labels, list("0123")) for x in (train, val))
    assert splits_agree(ours, theirs).level == "fine"
    shifted = ImageList(val.root, val.paths, (val.labels + 1) % 4, list("0123"))
    finding = splits_agree(ours, shifted)
    assert finding.level == "error" and "class 0 for photos in c0/" in finding.text and "4 of 4" in finding.text


def test_folders_inside_those_of_classes_may_be_called_alike(tmp_path):
    for split, names in (("train", ["ill/anna", "well/bert"]), ("val", ["ill/bert", "well/anna"])):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "1.png").write_bytes(b"")
    train, val = (find_images(str(tmp_path), split) for split in ("train", "val"))
    finding = splits_agree(train, val)
    assert finding.level == "fine" and "2 folders have one class in both" in finding.text


def test_classes_without_photos_are_counted_and_named(splits):
    _, train, _ = splits
    kept = train.labels != 2
    some = ImageList(train.root, [p for p, k in zip(train.paths, kept) if k], train.labels[kept], train.classes)
    assert "none of 1 of them: 2 (c2)" in classes_have_photos(some, 4).text
    assert "none of 2 of them: 2 (c2), 4" in classes_have_photos(some, 5).text
