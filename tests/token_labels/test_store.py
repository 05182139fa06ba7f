"""A folder of label maps beside a folder of images."""
from __future__ import annotations

import os

import numpy as np
import pytest

from ppim.token_labels.card import Reading
from ppim.token_labels.maps import stem_of, write_map
from ppim.token_labels.store import MapFolder, first_shared, open_maps


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(["n01/a.npy", "n01/b.c.npy", "n02/deep/d.npy", "top.npy"]):
        scores = np.random.default_rng(seed).normal(0, 1, (2, 2, 3))
        write_map(str(tmp_path / name), scores, np.stack([np.full((2, 3), seed), np.full((2, 3), 9)]))
    return tmp_path


def test_each_image_gets_its_own_map(folder):
    maps = MapFolder(folder, 10)
    for seed, image in enumerate(["n01/a.JPEG", "n01/b.c.JPEG", "n02/deep/d.png", "top.jpg"]):
        label_map = maps.read(image, (40, 30))
        assert label_map.ids[0, 0, 0] == seed and label_map.window == (0, 0, 1, 1)


def test_images_without_a_map_are_named_in_order_and_each_folder_is_listed_once(folder, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(os.path.relpath(path, folder)) or scandir(path))
    images = ["n01/a.jpg", "gone/x.jpg", "n01/b.jpg", "n01/b.c.jpg", "n02/deep/d.jpg", "n02/d.jpg", "gone/y.jpg",
              "top.jpg"]
    assert MapFolder(folder, 10).missing(images) == ["gone/x.jpg", "n01/b.jpg", "n02/d.jpg", "gone/y.jpg"]
    assert sorted(listed) == [".", "n01", "n02", "n02/deep"]


def test_the_window_of_a_centre_crop_depends_on_the_photo(folder):
    maps = MapFolder(folder, 10, Reading("centre-crop", 0.9))
    np.testing.assert_allclose(maps.read("top.jpg", (400, 300)).window, (0.1625, 0.05, 0.8375, 0.95))
    np.testing.assert_allclose(maps.read("top.jpg", (300, 400)).window, (0.05, 0.1625, 0.95, 0.8375))


def test_the_orientation_reaches_the_reader(folder):
    assert MapFolder(folder, 10).read("top.jpg", (4, 3)).ids.shape == (2, 2, 3)
    assert MapFolder(folder, 10, Reading(orientation="columns-first")).read("top.jpg", (4, 3)).ids.shape == (2, 3, 2)
    with pytest.raises(ValueError, match="orientation wants .*'up'"):
        MapFolder(folder, 10, Reading(orientation="up")).read("top.jpg", (4, 3))


def test_a_folder_or_a_frame_that_does_not_exist_is_an_error_at_the_start(folder):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of label maps"):
        MapFolder(folder / "nowhere", 10)
    with pytest.raises(ValueError, match="frame wants .*'half'"):
        MapFolder(folder, 10, Reading("half"))


def test_images_that_differ_by_their_suffix_alone_share_a_map():
    assert first_shared(["a/x.jpg", "b/x.jpg", "a/x.png", "b/x.bmp"]) == ("a/x.jpg", "a/x.png")
    assert first_shared(["a/x.jpg", "a/x.v2.jpg", "x.jpg", "a/x.jpg"]) is None  # a list may name an image twice


def test_stems_are_the_names_of_all_maps_and_of_nothing_else(folder):
    (folder / "annotation.json").write_text("{}")
    (folder / "n01" / ".a.npy.17").write_text("unfinished")
    maps = open_maps(folder, 10)
    assert sorted(maps.stems()) == ["n01/a", "n01/b.c", "n02/deep/d", "top"]
    assert stem_of("./n01//b.c.JPEG") == "n01/b.c" and maps.place("n01/b.c") == "n01/b.c.npy"
    assert maps.form("top.jpg") == "[2, 2, 2, 3] float16"
