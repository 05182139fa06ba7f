"""Layouts on disk, classes, and photos that can or cannot be read."""
from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ppim.data.datasets import check_classes, find_images, read_photo, validation_path


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
    check_classes(find_images(tmp_path, "train"), find_images(tmp_path, "val"))


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


def test_lists_carry_numbers_or_names_and_paths_with_spaces(tmp_path):
    (tmp_path / "train_list.txt").write_text("train/a/my cat.jpg 2\ntrain/b.jpg 0\n\n")
    (tmp_path / "val_list.txt").write_text("x/1.jpg dog\nx/2.jpg cat\n")
    train, val = find_images(tmp_path, "train"), find_images(tmp_path, "val")
    # the split's own folder belongs to the root, so that a map's path is that of a class-folder data set
    assert train.root == str(tmp_path / "train") and train.paths == ["a/my cat.jpg", "b.jpg"]
    assert train.labels.tolist() == [2, 0] and train.classes == ["0", "1", "2"]
    assert val.root == str(tmp_path) and val.labels.tolist() == [1, 0] and val.classes == ["cat", "dog"]


def test_a_numbered_val_list_may_lack_the_last_classes_but_names_must_agree(tmp_path):
    (tmp_path / "train_list.txt").write_text("a.jpg 0\nb.jpg 2\n")
    (tmp_path / "val_list.txt").write_text("a.jpg 1\n")
    check_classes(find_images(tmp_path, "train"), find_images(tmp_path, "val"))
    with pytest.raises(ValueError, match="2"):
        check_classes(find_images(tmp_path, "val"), find_images(tmp_path, "train"))
    touch(tmp_path / "f", "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg")
    with pytest.raises(ValueError, match="only the first has b, only the second c"):
        check_classes(find_images(tmp_path / "f", "train"), find_images(tmp_path / "f", "val"))


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


@pytest.mark.parametrize("damage", ["cut", "html", "empty", "bomb"])
def test_a_damaged_photo_is_one_value_error_that_names_it(tmp_path, damage):
    jpeg = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(jpeg, "JPEG")
    png = b"P6 60000 60000 255\n" + bytes(64)
    content = {"cut": jpeg.getvalue()[:-900], "html": b"<html>404</html>", "empty": b"", "bomb": png}[damage]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="photo.jpg"):
        read_photo(path)
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        read_photo(tmp_path / "gone.jpg")


def test_every_mode_becomes_rgb_and_sixteen_bits_are_scaled_not_cut(tmp_path):
    ramp = np.linspace(900, 40000, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    expected = np.rint(ramp / 257).astype(np.uint8)
    assert np.array_equal(np.asarray(read_photo(tmp_path / "deep.png"))[..., 1], expected)
    for mode in ("L", "P", "RGBA", "CMYK", "1", "LA"):
        name = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.new("RGB", (5, 4), (255, 255, 255)).convert("L" if mode == "LA" else "RGB").convert(mode).save(name)
        photo = read_photo(name)
        assert photo.mode == "RGB" and photo.getpixel((2, 2)) == (255, 255, 255)


def test_an_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(tmp_path / "turned.jpg").size == (8, 4)
