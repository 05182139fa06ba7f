"""Layouts on disk and classes: what is found, and what is refused with what to do."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ppim.data.datasets import find_images, skipped_note, validation_path
from ppim.data.photos import read_photo


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (10, 20, 30)).save(path, "PNG")


def test_children_that_are_class_folders_are_the_split_itself(tmp_path):
    touch(tmp_path, "dog/b.JPG", "dog/a.png", "cat/x.v1.jpeg", "cat/inner/y.jpg", "cat/notes.txt", ".cache/z.jpg")
    images = find_images(tmp_path, "train")
    assert images.classes == ["cat", "dog"]
    assert images.paths == ["cat/inner/y.jpg", "cat/x.v1.jpeg", "dog/a.png", "dog/b.JPG"]
    assert images.labels.tolist() == [0, 0, 1, 1] and images.labels.dtype == np.int64
    assert read_photo(images.full_path(3)).size == (4, 3)


@pytest.mark.parametrize("val", ["val", "test"])
def test_train_and_val_or_test_below_the_path_make_it_the_root(tmp_path, val):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", f"{val}/a/3.jpg", f"{val}/b/4.jpg")
    assert find_images(tmp_path, "train").paths == ["a/1.jpg", "b/2.jpg"]
    assert find_images(tmp_path, "val").paths == ["a/3.jpg", "b/4.jpg"]


@pytest.mark.parametrize("val", ["val", "test"])
def test_training_on_the_train_folder_itself_validates_on_the_folder_beside_it(tmp_path, val):
    touch(tmp_path, "train/a/1.jpg")
    with pytest.raises(FileNotFoundError, match="beside .*train"):
        validation_path(tmp_path / "train")
    touch(tmp_path, f"{val}/a/3.jpg")
    assert find_images(validation_path(tmp_path / "train"), "val").root == str(tmp_path / val)
    assert find_images(tmp_path / "train", "val").paths == ["a/1.jpg"]  # evaluation takes the path at its word


def test_a_data_path_that_is_a_root_or_any_other_folder_is_its_own_validation_path(tmp_path):
    touch(tmp_path, "train/train/a/1.jpg", "train/val/a/2.jpg", "val/a/3.jpg", "photos/a/4.jpg")
    assert [validation_path(tmp_path / name) for name in ("train", "photos", "")] == [
        tmp_path / "train", tmp_path / "photos", tmp_path]


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_class_may_be_called_as_a_split_is(tmp_path, name):
    """VOC and COCO have a class `train`; it was taken for the split, and refused for having no classes."""
    touch(tmp_path, "v/bus/1.jpg", "v/car/2.jpg", f"v/{name}/3.jpg")
    for split in ("train", "val"):
        assert find_images(tmp_path / "v", split).classes == sorted(["bus", "car", name])
    (tmp_path / "v").rename(tmp_path / "train")
    with pytest.raises(FileNotFoundError, match="val or .*test: no such folder beside .*train"):
        validation_path(tmp_path / "train")
    touch(tmp_path, "val/bus/4.jpg", f"val/{name}/5.jpg")
    assert find_images(tmp_path).paths == find_images(tmp_path / "train").paths
    assert validation_path(tmp_path / "train") == str(tmp_path / "val")
    assert find_images(tmp_path, "val").classes == sorted(["bus", name])


def test_splits_without_classes_are_no_classes(tmp_path):
    """Or a network would learn to tell training photos from those of validation."""
    touch(tmp_path, "both/train/1.jpg", "both/val/2.jpg", "both/more/3.jpg", "alone/train/1.jpg")
    for name in ("both", "alone"):
        with pytest.raises(ValueError, match="train: wanted one folder of images per class, found 1 images"):
            find_images(tmp_path / name)
    touch(tmp_path, "deep/train/cat/1.jpg", "deep/more/2.jpg")
    assert find_images(tmp_path / "deep").root == str(tmp_path / "deep" / "train")


def test_lists_carry_numbers_or_names_and_paths_with_spaces(tmp_path):
    (tmp_path / "train_list.txt").write_text("train/a/my cat.jpg 2\ntrain/b.jpg 0\n\n")
    (tmp_path / "val_list.txt").write_text("x/1.jpg dog\nx/2.jpg cat\n")
    train, val = find_images(tmp_path, "train"), find_images(tmp_path, "val")
    # the split's own folder belongs to the root, so that a map's path is that of a class-folder data set
    assert train.root == str(tmp_path / "train") and train.paths == ["a/my cat.jpg", "b.jpg"]
    assert train.labels.tolist() == [2, 0] and train.classes == ["0", "1", "2"]
    assert val.root == str(tmp_path) and val.labels.tolist() == [1, 0] and val.classes == ["cat", "dog"]
    assert train.names == () and val.names == ("cat", "dog")


def test_what_cannot_be_a_data_set_is_refused_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_images(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="found none"):
        find_images(tmp_path, "train")
    touch(tmp_path, "train/a/1.jpg")
    with pytest.raises(FileNotFoundError, match="val"):
        find_images(tmp_path, "val")
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(ValueError, match="empty.*no images"):
        find_images(tmp_path, "train")
    (tmp_path / "train_list.txt").write_text("a.jpg 0\nlonely.jpg\n")
    with pytest.raises(ValueError, match=r"train_list.txt:2.*lonely.jpg"):
        find_images(tmp_path, "train")
    with pytest.raises(ValueError, match="split"):
        find_images(tmp_path, "training")


def test_files_left_out_for_their_suffix_are_counted_and_named(tmp_path):
    touch(tmp_path, "cat/a.jpg", "cat/b.HEIC", "cat/inner/c.heic", "dog/d.png", "dog/notes.txt", "dog/Thumbs",
          "dog/.hidden.heic", ".cache/x.heic", "readme.md")
    images = find_images(tmp_path)
    assert dict(images.skipped) == {".heic": 2, ".txt": 1, "": 1, ".md": 1} and len(images) == 2
    (note,) = skipped_note(images)
    assert note.startswith(f"note: 5 files in {tmp_path}") and "2 .heic" in note and "1 without suffix" in note
    assert "HEIC is not read, convert it" in note
    touch(tmp_path / "clean", "cat/a.jpg")
    assert skipped_note(find_images(tmp_path / "clean")) == []


def test_images_beside_class_folders_are_refused_with_the_way_out(tmp_path):
    """Evaluation took the only sub-folder of a class for its only class, and passed over the class's photos."""
    touch(tmp_path, "train/dog/deep/1.jpg", "train/dog/2.JPG", "train/dog/3.jpg", "train/cat/4.jpg", "val/dog/5.jpg")
    with pytest.raises(ValueError, match=r"dog: 2 images lie beside the class folders deep.*first is 2\.JPG.*above it"):
        find_images(tmp_path / "train" / "dog")
    with pytest.raises(ValueError, match="cat: wanted one folder of images per class, found 1 images.*above it"):
        find_images(tmp_path / "train" / "cat")
    assert find_images(tmp_path / "train").classes == ["cat", "dog"]
    touch(tmp_path, "train/.thumbnail.jpg", "overview.jpg")  # neither is in the way
    assert len(find_images(tmp_path)) == 4


# ---- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_list_may_come_from_any_system(tmp_path, ends):
    text = ends.join(["train\\\u732b\\a b.jpg 1", "train\\dog.jpg\t0", ""])
    (tmp_path / "train_list.txt").write_bytes(text.encode("utf-8-sig"))
    found = find_images(tmp_path)
    assert found.paths == ["\u732b/a b.jpg", "dog.jpg"] and found.labels.tolist() == [1, 0]


def test_a_backslash_that_is_part_of_a_name_stays(tmp_path):
    touch(tmp_path, "a\\b.jpg")
    (tmp_path / "train_list.txt").write_text("a\\b.jpg 0\n")
    assert read_photo(find_images(tmp_path).full_path(0)).size == (4, 3)


@pytest.mark.parametrize(("text", "encoding", "says"), [
    ("dog.jpg 0\n\u732b/\u5976\u725b.jpg \u732b\u54aa\n", "gbk",
     "list.txt:2: not UTF-8, it looks like GBK.*iconv -f GBK"),
    ("\u732b.jpg 0\n", "utf-16", "list.txt:1: not UTF-8, it looks like UTF-16.*iconv -f UTF-16"),
    ("a.jpg 0\nb.jpg 1\ncaf\xe9.jpg 2\n", "latin-1", "list.txt:3: not UTF-8, in an encoding of its own.*ENCODING"),
])
def test_a_list_in_another_encoding_is_named_with_how_to_convert_it(tmp_path, text, encoding, says):
    (tmp_path / "train_list.txt").write_bytes(text.encode(encoding))
    with pytest.raises(ValueError, match=says):
        find_images(tmp_path)


@pytest.mark.parametrize("label", ["1000000", "9" * 30, "9" * 5000])
def test_a_label_that_is_no_class_is_refused_and_not_counted_up_to(tmp_path, label):
    (tmp_path / "train_list.txt").write_text(f"a.jpg 0\nb.jpg {label}\n")
    with pytest.raises(ValueError, match=r"train_list.txt:2: wanted a class below 1,000,000, got [019]+") as caught:
        find_images(tmp_path)
    assert len(str(caught.value)) < 300


def test_a_figure_that_is_no_digit_is_a_class_name(tmp_path):
    (tmp_path / "train_list.txt").write_text("a.jpg \u00b2\nb.jpg 1\n")
    assert find_images(tmp_path).classes == ["1", "\u00b2"]


def test_a_list_made_by_find_is_that_of_its_split(tmp_path):
    """Its root stayed the folder of the list, and label maps were looked for at ./train/a/1.npy."""
    (tmp_path / "train_list.txt").write_text("./train/a/1.jpg 0\n././train/b./2 3.jpg 1\n.//train/.c.jpg 1\n")
    found = find_images(tmp_path)
    assert found.root == str(tmp_path / "train") and found.paths == ["a/1.jpg", "b./2 3.jpg", ".c.jpg"]
    (tmp_path / "train_list.txt").write_bytes(b".\\train\\a\\1.jpg 0\r\n.\\train\\.c.jpg 1\r\n")
    assert find_images(tmp_path).paths == ["a/1.jpg", ".c.jpg"]


def test_a_list_may_lead_out_of_the_data_path(tmp_path):
    touch(tmp_path, "elsewhere/a.jpg", "data/b.jpg")
    (tmp_path / "data" / "train_list.txt").write_text(f"../elsewhere/a.jpg 0\n{tmp_path}/elsewhere/a.jpg 0\nb.jpg 1\n")
    found = find_images(tmp_path / "data")
    assert all(read_photo(found.full_path(index)).size == (4, 3) for index in range(3))
