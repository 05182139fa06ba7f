"""The table of bad inputs, row by row: each is read as promised or refused in one line that names the file, and none
is waited for, run, or taken for something else."""
from __future__ import annotations

import io
import os
import pickle
import socket

import numpy as np
import pytest
from PIL import Image, ImageFile

from ppim.data.augment import Policy, draw_view
from ppim.data.datasets import find_images
from ppim.data.photos import read_photo
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.seeds import sample_rng
from ppim.token_labels.maps import MapError, read_map

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def saved(picture, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def spoilt(content: bytes, at: int) -> bytes:
    """With one byte inverted."""
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1:]


JPEG, PNG = saved(NOISE, "JPEG", quality=95), saved(NOISE, "PNG")
WHITE = Image.new("RGB", (5, 4), (255, 255, 255))
EXIF = Image.Exif()
EXIF[0x0112] = 6

REFUSED = {  # name of the row -> content of x.jpg, a word of the reason
    "empty file": (b"", "empty"),
    "zeros, as after a power cut": (bytes(5000), "zeros"),
    "HTML page": (b"<html>404</html>", "web page"),
    "bad PNG CRC": (spoilt(PNG, 20), "another format or a damaged file"),
    "PNG damaged in its data": (spoilt(PNG, len(PNG) // 2), "broken"),
    "JPEG cut in half": (JPEG[:len(JPEG) // 2], "truncated"),
    "JPEG without its last two bytes": (JPEG[:-2], "truncated"),
    "PNG cut in half": (PNG[:len(PNG) // 2], "truncated"),
    "GIF cut in half": (saved(NOISE, "GIF")[:2000], "truncated"),
    "WebP cut in half": (saved(NOISE, "WEBP")[:2000], ""),
    "TIFF cut in half": (saved(NOISE, "TIFF")[:6000], ""),
    "BMP cut in half": (saved(NOISE, "BMP")[:6000], "truncated"),
    "bomb: 60000 x 60000": (b"P6 60000 60000 255\n" + bytes(64), "exceeds limit"),
    "bomb: 20000 x 20000": (b"P5 20000 20000 255\n" + bytes(64), "exceeds limit"),
    "float TIFF beyond 0..1": (saved(np.full((4, 4), 200.0, np.float32), "TIFF"), "float grey values from 200"),
    "float TIFF with NaN": (saved(np.full((4, 4), np.nan, np.float32), "TIFF"), "nan"),
    "float TIFF with infinity": (saved(np.full((4, 4), np.inf, np.float32), "TIFF"), "inf"),
    "32-bit TIFF": (saved(np.full((4, 4), 1 << 20, np.int32), "TIFF"), "32-bit grey values"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "PostScript"),
    "PDF": (b"%PDF-1.4\n" + bytes(range(200)), "PDF"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "HEIC under a JPEG's name": (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
    "AVIF under a JPEG's name": (saved(NOISE, "AVIF"), "AVIF"),
    "a pickle": (pickle.dumps({"a": 1}), "another format"),
    "text": ("猫\n".encode() * 50, "another format"),
}
READ = {  # name of the row -> content, size of the photo
    "CMYK JPEG": (saved(WHITE.convert("CMYK"), "JPEG"), (5, 4)),
    "grey": (saved(WHITE.convert("L"), "JPEG"), (5, 4)),
    "grey with transparency": (saved(WHITE.convert("L").convert("LA"), "PNG"), (5, 4)),
    "RGBA": (saved(WHITE.convert("RGBA"), "PNG"), (5, 4)),
    "palette with transparency": (saved(WHITE.convert("P"), "PNG", transparency=b"\0" * 10), (5, 4)),
    "1-bit": (saved(WHITE.convert("1"), "PNG"), (5, 4)),
    "PNG under a JPEG's name": (saved(WHITE, "PNG"), (5, 4)),
    "WebP": (saved(WHITE, "WEBP"), (5, 4)),
    "16-bit PNG": (saved(np.full((4, 5), 65535, np.uint16), "PNG"), (5, 4)),
    "float TIFF within 0..1": (saved(np.ones((4, 5), np.float32), "TIFF"), (5, 4)),
    "animated GIF": (saved(WHITE, "GIF", save_all=True, append_images=[Image.new("RGB", (5, 4))]), (5, 4)),
    "EXIF orientation 6, as it is stored": (saved(WHITE, "JPEG", exif=EXIF), (5, 4)),
    "damaged EXIF": (saved(WHITE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), (5, 4)),
    "1 x 1": (saved(WHITE.resize((1, 1)), "PNG"), (1, 1)),
    "1 x 3000": (saved(WHITE.resize((1, 3000)), "PNG"), (1, 3000)),
    "3000 x 1": (saved(WHITE.resize((3000, 1)), "PNG"), (3000, 1)),
    "large but no bomb": (saved(Image.new("1", (9500, 9500), 1), "PNG"), (9500, 9500)),
    "bytes behind the picture": (saved(WHITE, "PNG") + b"<?php", (5, 4)),
}


def refused(path, error=ValueError) -> str:
    with pytest.raises(error) as caught:
        read_photo(path)
    line = str(caught.value)
    assert str(path) in line and "\n" not in line and len(line) < len(str(path)) + 400
    return line


@pytest.mark.parametrize("row", REFUSED)
def test_a_photo_that_is_none_is_refused(tmp_path, row):
    content, reason = REFUSED[row]
    (tmp_path / "x.jpg").write_bytes(content)
    assert reason in refused(tmp_path / "x.jpg")


@pytest.mark.parametrize("row", READ)
def test_an_odd_photo_is_read(tmp_path, row):
    content, size = READ[row]
    (tmp_path / "x.jpg").write_bytes(content)
    photo = read_photo(tmp_path / "x.jpg")
    assert photo.mode == "RGB" and photo.size == size
    assert min(photo.getpixel((0, 0))) >= 254, "white is white in all of them"
    if max(size) < 5000:  # and goes through a training and an evaluation view
        for seed in range(20):
            view = draw_view(sample_rng(seed, 0, 0), photo.size, Policy((16, 16)))
            assert to_array(apply_all(view, photo)).shape == (3, 16, 16)
        assert to_array(apply_all(eval_view((16, 16), 0.9), photo)).shape == (3, 16, 16)


def test_a_cut_photo_is_never_filled_up():
    """Pillow's own switch, which would turn half a photo grey without a word."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_what_is_no_file_is_no_photo_and_not_waited_for(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's whole path may be too long
    path = tmp_path / "x.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind("x.jpg")
        server.close()
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    assert f"it is a {kind}, wanted a file" in refused(path)


@pytest.mark.parametrize("target", ["nowhere.jpg", "x.jpg"])
def test_a_link_that_leads_nowhere_or_to_itself_is_named(tmp_path, target):
    (tmp_path / "x.jpg").symlink_to(target)
    refused(tmp_path / "x.jpg", FileNotFoundError if target == "nowhere.jpg" else ValueError)


# ---- label maps ----------------------------------------------------------------------------------------------------


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def label_map(at=None, value=0, dtype=np.float16) -> np.ndarray:
    """Scores and ids of 2 x 2 cells, 3 classes each; one value replaced."""
    array = np.stack([np.ones((3, 2, 2)), np.tile(np.arange(3)[:, None, None], (1, 2, 2))]).astype(dtype)
    if at is not None:
        array[at] = value
    return array


MAPS = {  # name of the row -> content, a word of the reason
    "empty": (b"", "not a whole .npy file"),
    "zero-filled": (bytes(300), "not a whole .npy file"),
    "header cut": (npy(label_map())[:40], "not a whole .npy file"),
    "data cut": (npy(label_map())[:-2], "cut off"),
    "object array": (npy(np.array([{}], object), allow_pickle=True), "dtype"),
    "a pickle": (pickle.dumps(label_map()), "not a whole .npy file"),
    "an HTML page": (b"<html>404</html>", "not a whole .npy file"),
    "NaN": (npy(label_map((0, 1, 0, 1), np.nan)), "1 of 12 scores are not finite"),
    "infinity": (npy(label_map((0, 1, 0, 1), np.inf)), "1 of 12 scores are not finite"),
    "float64 beyond float32": (npy(label_map((0, 1, 0, 1), 1e300, np.float64)), "1 of 12 scores are not finite"),
    "wrong dtype": (npy(label_map().astype(np.int64)), "dtype"),
    "wrong shape": (npy(label_map()[:, 0]), "got shape [2, 2, 2]"),
    "classes last": (npy(label_map().transpose(2, 3, 1, 0)[:1]), "got shape"),
    "id out of range": (npy(label_map((1, 2, 1, 1), 10)), "must lie in 0 .. 9"),
    "negative id": (npy(label_map((1, 2, 1, 1), -1)), "must lie in 0 .. 9"),
    "fractional id": (npy(label_map((1, 2, 1, 1), 2.5)), "whole numbers"),
    "id that is no number": (npy(label_map((1, 2, 1, 1), np.nan)), "class ids"),
    "class twice in a cell, far apart": (npy(label_map((1, 2, 1, 1), 0)), "twice"),
    "never written": (npy(np.zeros((2, 1, 2, 2), np.float16)), "all zero"),
}


@pytest.mark.parametrize("row", MAPS)
def test_a_map_that_is_none_is_refused(tmp_path, row):
    content, reason = MAPS[row]
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(MapError) as caught:
        read_map(str(path), 10)
    assert str(path) in str(caught.value) and reason in str(caught.value) and "\n" not in str(caught.value)


def test_the_map_of_the_table_is_good_where_nothing_is_replaced(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(label_map()))
    assert read_map(str(tmp_path / "x.npy"), 10).ids[:, 1, 1].tolist() == [0, 1, 2]


def test_ids_that_half_precision_cannot_hold_are_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(label_map((1, 2, 1, 1), 2050)))
    with pytest.raises(MapError, match="half precision"):
        read_map(str(tmp_path / "x.npy"), 21841)


# ---- folders -------------------------------------------------------------------------------------------------------


def test_a_class_folder_that_is_empty_or_not_there_is_no_class_less(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match="dog: no images in this class folder"):
        find_images(tmp_path)
    (tmp_path / "dog").rmdir()
    (tmp_path / "dog").symlink_to("elsewhere")
    with pytest.raises(ValueError, match="dog: a link that leads nowhere"):
        find_images(tmp_path)


def test_links_that_lead_in_a_circle_are_named_and_not_walked_for_ever(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.jpg").write_bytes(JPEG)
    (tmp_path / "cat" / "linked").symlink_to(tmp_path / "other")  # a link elsewhere is followed
    assert find_images(tmp_path).paths == ["cat/a.jpg", "cat/linked/b.jpg", "other/b.jpg"]
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    with pytest.raises(OSError, match="cat/again: a link back to a folder above it") as error:
        find_images(tmp_path)
    assert "\n" not in str(error.value)


def test_links_that_lead_in_a_circle_together_are_named_too(tmp_path):
    """Neither leads to a folder above it where it really lies, so each image came as often as the system follows."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(JPEG)
    (tmp_path / "cat" / "d").symlink_to("../dog")
    assert find_images(tmp_path).paths == ["cat/a.jpg", "cat/d/a.jpg", "dog/a.jpg"]
    (tmp_path / "dog" / "c").symlink_to("../cat")
    with pytest.raises(OSError, match="cat/d/c: a link back to a folder above it"):
        find_images(tmp_path)


def test_what_programs_keep_in_hidden_folders_is_in_no_class(tmp_path):
    for name in ("a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "deep/b.jpg", "deep/.thumbs/further/b.txt"):
        (tmp_path / "cat" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cat" / name).write_bytes(JPEG)
    found = find_images(tmp_path)
    assert found.paths == ["cat/a.jpg", "cat/deep/b.jpg"] and not found.skipped


@pytest.mark.parametrize("name", [
    "a.b.c.jpg", "with space.JPG", "line\nbreak.jpg", "\u732b.jpeg", "\udcff.jpg", "-x.jpg"])
def test_names_may_hold_whatever_a_file_system_allows(tmp_path, name):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / name).write_bytes(JPEG)
    images = find_images(tmp_path)
    assert images.paths == [f"cat/{name}"] and read_photo(images.full_path(0)).size == (64, 64)
