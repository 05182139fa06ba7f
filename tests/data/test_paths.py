"""Which photos are meant: files, folders, patterns and lists, in the order typed."""
from __future__ import annotations

import io
import os
import sys

import pytest

from ppim.data.paths import Meant, meant

pytestmark = pytest.mark.smoke


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder to be in, with photos by their names alone."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "狗/一只 狗.jpg", "狗/inner/c.webp", "notes.txt", ".hidden.jpg", ".cache/d.jpg",
                 "[1].jpg", "1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def paths(*typed, **how):
    found = meant(typed, **how)
    assert not any(photo.error for photo in found)
    return [photo.path for photo in found]


def test_a_folder_is_its_images_with_those_inside_sorted_and_without_hidden_ones(there):
    assert paths("狗/") == paths("狗") == ["狗/inner/c.webp", "狗/一只 狗.jpg"]
    assert paths(".") == ["./1.jpg", "./[1].jpg", "./a.PNG", "./b.jpg", "./狗/inner/c.webp", "./狗/一只 狗.jpg"]
    assert paths(there / ".cache") == [str(there / ".cache" / "d.jpg")]


def test_what_is_typed_comes_in_its_order_and_as_often_as_it_is_typed(there):
    assert paths("b.jpg", "狗", "a.PNG", "b.jpg") == ["b.jpg", "狗/inner/c.webp", "狗/一只 狗.jpg", "a.PNG", "b.jpg"]
    assert paths("notes.txt") == ["notes.txt"]  # whoever names a file means it


def test_a_pattern_takes_images_alone_and_a_name_that_looks_like_one_is_a_name(there):
    assert paths("*.*") == ["1.jpg", "[1].jpg", "a.PNG", "b.jpg"]
    assert paths("**/*.jpg") == ["1.jpg", "[1].jpg", "b.jpg", "狗/一只 狗.jpg"]
    assert paths("[1].jpg") == ["[1].jpg"] and paths("[12].jpg") == ["1.jpg"]
    assert paths("?") == ["狗/inner/c.webp", "狗/一只 狗.jpg"]


def test_a_list_on_stdin_has_a_path_a_line_whatever_its_bytes(there):
    name = b"\xff.jpg"
    open(name, "wb").close()
    listed = io.BytesIO("b.jpg\r\n\n狗\n".encode() + name + b"\n")
    found = paths("1.jpg", "-", stdin=listed)
    assert found == ["1.jpg", "b.jpg", "狗/inner/c.webp", "狗/一只 狗.jpg", os.fsdecode(name)]


def test_what_is_not_there_keeps_its_place(there):
    found = meant(["b.jpg", "gone.jpg", "no*.jpg", ".cache/../狗/inner", "b.jpg"])
    assert [photo.path for photo in found] == ["b.jpg", "gone.jpg", "no*.jpg", ".cache/../狗/inner/c.webp", "b.jpg"]
    assert found[1] == Meant("gone.jpg") and "no image has such a path" in found[2].error
    (there / "empty").mkdir()
    (one,) = meant(["empty"])
    assert one.path == "empty" and "no image in this folder" in one.error


def test_nothing_typed_is_a_mistake_with_a_closed_stdin_too(monkeypatch):
    with pytest.raises(ValueError, match="no photo is named"):
        meant(["-"], stdin=io.BytesIO(b"\n"))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="no photo is named"):
        meant(["-"])


def test_a_link_back_to_a_folder_above_is_told_and_not_followed_for_ever(there):
    (there / "狗" / "loop").symlink_to(there)
    (one,) = meant(["狗"])
    assert "leads in a circle" in one.error or "back to a folder above" in one.error
