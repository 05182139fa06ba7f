"""How a photo becomes pixels: modes, ranges, orientation; what is refused stands in test_bad_inputs.py."""
from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageOps, ImageSequence

from ppim.data.photos import EXIF, FORMATS, SUFFIXES, as_rgb, photo_size, read_photo, read_turned
from tests.helpers import run_python

RED, WHITE = (255, 0, 0), (255, 255, 255)
CORNERS = [[RED, WHITE, WHITE], [(0, 255, 0), (0, 0, 255), (0, 0, 0)]]  # 3 x 2, no two turns of it alike


def pixels(photo: Image.Image) -> np.ndarray:
    assert photo.mode == "RGB"
    return np.asarray(photo)


@pytest.mark.smoke
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "PA", "YCbCr", "HSV", "RGBX", "RGBa", "La"])
def test_a_picture_of_any_mode_becomes_rgb(mode):
    steps = {"LA": ("L", "LA"), "PA": ("P", "PA"), "RGBa": ("RGBA", "RGBa"), "La": ("L", "LA", "La")}
    picture = Image.new("RGB", (5, 4), WHITE)
    for step in steps.get(mode, (mode,)):
        picture = picture.convert(step)
    assert picture.mode == mode
    assert (pixels(as_rgb(picture)) == 255).all()


@pytest.mark.parametrize(("name", "mode"), [
    ("l.png", "L"), ("p.png", "P"), ("rgba.png", "RGBA"), ("cmyk.tif", "CMYK"), ("cmyk.jpg", "CMYK"), ("one.png", "1"),
    ("a.webp", "RGBA"), ("a.gif", "P"), ("a.bmp", "RGB"), ("a.ppm", "RGB"), ("a.pgm", "L"), ("png inside.JPEG", "RGB")])
def test_files_of_every_suffix_are_read_by_what_is_in_them(tmp_path, name, mode):
    kind = {"png inside.JPEG": "PNG"}.get(name)
    Image.new("RGB", (5, 4), WHITE).convert(mode).save(tmp_path / name, kind)
    photo = read_photo(tmp_path / name)
    assert photo.size == (5, 4) and (pixels(photo) >= 254).all()
    assert os.path.splitext(name)[1].lower() in SUFFIXES


def test_transparency_is_dropped_so_that_what_lies_below_it_shows(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_photo(tmp_path / "clear.png").getpixel((0, 0)) == RED


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_divided_by_their_range(tmp_path, order):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    mode = "I;16" if order == "<u2" else "I;16B"
    picture = Image.frombytes(mode, (256, 256), every.astype(order).tobytes())
    expected = np.rint(every / 257).astype(np.uint8)  # 257 x = x beside x: white is white, black black
    assert np.array_equal(pixels(as_rgb(picture))[..., 1], expected)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(every).save(tmp_path / name)
        assert np.array_equal(pixels(read_photo(tmp_path / name))[..., 0], expected)


def test_a_dark_photo_of_sixteen_bits_stays_dark(tmp_path):
    (tmp_path / "dark.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([1, 1, 8, 16]))
    assert pixels(read_photo(tmp_path / "dark.pgm"))[0, :, 0].tolist() == [1, 8]
    assert pixels(as_rgb(Image.fromarray(np.full((2, 2), 100, np.uint16))))[0, 0, 0] == 0
    assert pixels(as_rgb(Image.fromarray(np.zeros((2, 2), np.int32))))[0, 0, 0] == 0


def test_floats_count_from_black_at_zero_to_white_at_one(tmp_path):
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "float.tif")
    assert pixels(read_photo(tmp_path / "float.tif"))[0, :, 2].tolist() == [0, 128, 255]


@pytest.mark.parametrize(("values", "says"), [
    (np.array([[0, 1.5]], np.float32), "from 0 to 1.5, wanted 0"), (np.array([[0, np.nan]], np.float32), "nan"),
    (np.array([[0, np.inf]], np.float32), "inf"), (np.array([[-0.1, 1]], np.float32), "-0.1"),
    (np.array([[0, 70000]], np.int32), "32-bit grey values from 0 to 70000"),
    (np.array([[-3, 900]], np.int32), "from -3"), (np.array([[0, 255]], np.int32), "from 0 to 255.*8 or 16 bits")])
def test_grey_values_of_an_unknown_range_are_refused_and_not_cut_off(values, says):
    with pytest.raises(ValueError, match=says):
        as_rgb(Image.fromarray(values))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, WHITE, (0, 0, 255))]
    path = tmp_path / f"moves.{kind.lower()[:3]}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    with Image.open(path) as file:
        assert len(list(ImageSequence.Iterator(file))) == 3
    assert np.allclose(read_photo(path).getpixel((1, 1)), RED, atol=3)


# ---- orientation ---------------------------------------------------------------------------------------------------


def save_with(path, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.array(CORNERS, np.uint8)).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_photo_is_turned_upright_where_asked_and_stays_as_stored_where_not(tmp_path, orientation):
    path = save_with(tmp_path / "photo.png", orientation)
    stored, (photo, turned) = read_photo(path), read_turned(path, "apply")
    assert pixels(stored).tolist() == [[list(colour) for colour in row] for row in CORNERS]
    with Image.open(path) as file:
        assert np.array_equal(pixels(photo), pixels(ImageOps.exif_transpose(file).convert("RGB")))
    assert turned == (orientation != 1) and read_turned(path, "ignore")[1] == turned
    assert (pixels(photo).shape[:2] == (3, 2)) == (orientation >= 5)


def test_what_the_camera_calls_six_is_turned_clockwise(tmp_path):
    """Stored red at the top left of a landscape, seen at the top right of a portrait."""
    photo = read_photo(save_with(tmp_path / "photo.png", 6), "apply")
    assert photo.size == (2, 3) and photo.getpixel((1, 0)) == RED and photo.getpixel((0, 0)) == (0, 255, 0)


@pytest.mark.parametrize("exif", ["ignore", "apply"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_tiff_is_that_of_the_photo_that_is_read(tmp_path, orientation, exif):
    """Pillow turns a TIFF whatever is asked; which sides it states before that has changed with its versions."""
    noted = Image.Exif()
    noted[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "a.tif", exif=noted)
    upright = (40, 30) if orientation < 5 else (30, 40)
    assert photo_size(tmp_path / "a.tif", exif) == read_photo(tmp_path / "a.tif", exif).size == upright


def test_the_orientation_of_a_tiff_is_applied_once(tmp_path):
    path = save_with(tmp_path / "photo.tif", 6)
    with Image.open(path) as file:
        expected = pixels(ImageOps.exif_transpose(file).convert("RGB"))
    assert all(np.array_equal(pixels(read_photo(path, exif)), expected) for exif in EXIF)


@pytest.mark.parametrize("block", [
    b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0junk"])
def test_a_damaged_exif_block_says_nothing(tmp_path, block):
    Image.fromarray(np.array(CORNERS, np.uint8)).save(tmp_path / "photo.jpg", exif=block)
    assert read_photo(tmp_path / "photo.jpg", "apply").size == (3, 2)


def test_an_orientation_that_is_none_says_nothing(tmp_path):
    assert read_photo(save_with(tmp_path / "photo.png", 9), "apply").size == (3, 2)


# ---- whose decoders are asked --------------------------------------------------------------------------------------


def test_postscript_under_an_images_name_starts_no_program(tmp_path):
    """A Ghostscript on the path that leaves a trace: with Pillow's other formats it is started, with ours it is not."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    photo = tmp_path / "photo.jpg"
    photo.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n")
    code = ("import sys; from PIL import Image; from ppim.data.photos import read_photo\n"
            "try: (read_photo if sys.argv[2] == 'ours' else lambda path: Image.open(path).load())(sys.argv[1])\n"
            "except Exception as error: print(error)")
    for reader, started in (("ours", False), ("Pillow's", True)):
        done = run_python("-c", code, photo, reader, env={"PATH": f"{program.parent}:{os.environ['PATH']}"})
        assert (tmp_path / "started").exists() == started, done
        assert started or "it looks like PostScript" in done.stdout


def test_every_format_that_is_read_can_be_told_from_a_name(tmp_path):
    for kind in FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (4, 4)).save(file, kind)
        (tmp_path / "photo.jpg").write_bytes(file.getvalue())
        assert read_photo(tmp_path / "photo.jpg").size == (4, 4)
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "ICO")
    (tmp_path / "photo.jpg").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="wanted one of JPEG, PNG"):
        read_photo(tmp_path / "photo.jpg")
