"""Every photo of a data set decoded: all faults at once, and what is worth knowing."""
from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ppim.commands import guarded
from ppim.commands.data_check import check_data, table
from ppim.data.check import check
from ppim.data.looks import Look, look_at_all


def save(path, seed, size=(40, 36), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def good(tmp_path):
    """7 photos of 2 classes in 2 splits, with nothing wrong."""
    for seed, name in enumerate(["train/cat/a.png", "train/cat/b.png", "train/dog/c.png", "train/dog/in/d.jpg",
                                 "val/cat/e.png", "val/dog/f.png", "val/dog/g.png"]):
        save(tmp_path / "data" / name, seed)
    return tmp_path / "data"


def kinds(report):
    return sorted(fault.kind for fault in report.faults)


def test_a_good_data_set_has_no_faults_and_no_notes(good):
    report = check(good)
    assert report.faults == [] and report.notes == [] and len(report.photos) == 7
    assert report.classes == {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 2}}


def test_every_photo_that_cannot_be_read_is_listed_with_the_reason(good):
    (good / "train" / "cat" / "empty.jpg").write_bytes(b"")
    (good / "train" / "dog" / "page.jpg").write_bytes(b"<html>404</html>")
    (good / "val" / "cat" / "gone.png").symlink_to("nowhere.png")
    cut = (good / "val" / "dog" / "f.png").read_bytes()[:300]
    (good / "val" / "dog" / "cut.png").write_bytes(cut)
    os.mkfifo(good / "train" / "cat" / "pipe.jpg")
    told = {fault.files[0].rpartition("/")[2]: fault.text for fault in check(good).faults}
    assert sorted(told) == ["cut.png", "empty.jpg", "gone.png", "page.jpg", "pipe.jpg"]
    for name, word in (("empty.jpg", "empty"), ("page.jpg", "web page"), ("gone.png", "no such image"),
                       ("cut.png", "truncated"), ("pipe.jpg", "pipe")):
        assert word in told[name] and name in told[name] and "\n" not in told[name]


def test_the_same_pixels_are_the_same_photo_whatever_the_file(good):
    Image.open(good / "train" / "cat" / "a.png").save(good / "val" / "cat" / "leak.bmp")
    Image.open(good / "train" / "cat" / "b.png").save(good / "train" / "dog" / "mistaken.tif")
    Image.open(good / "train" / "dog" / "c.png").save(good / "train" / "dog" / "again.ppm")
    report = check(good)
    assert kinds(report) == ["in both splits", "in two classes"]
    both, two = sorted(report.faults, key=lambda fault: fault.kind)
    assert {os.path.basename(file) for file in both.files} == {"a.png", "leak.bmp"}
    assert {os.path.basename(file) for file in two.files} == {"b.png", "mistaken.tif"}
    assert report.notes == ["note: 1 photos are in their class again under another name"]
    assert len(report.as_dict()["duplicates"]) == 3


def test_the_same_bytes_in_another_shape_are_another_photo(tmp_path):
    for name, size in (("a", (8, 4)), ("b", (4, 8))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size, (9, 9, 9)).save(tmp_path / name / "x.png")
    assert kinds(check(tmp_path)) == []


def test_validation_may_lack_a_class(good):
    shutil.rmtree(sorted((good / "val").iterdir())[0])
    assert kinds(check(good)) == []


def test_faults_of_the_layout_are_told_beside_those_of_the_photos(good):
    save(good / "train" / "stray.jpg", 20)
    (good / "train" / "empty").mkdir()
    save(good / "val" / "owl" / "h.png", 21)
    (good / "val" / "owl" / "bad.png").write_bytes(b"x")
    report = check(good)
    assert kinds(report) == ["classes", "layout", "layout", "unreadable"]
    text = "\n".join(fault.text for fault in report.faults)
    assert "stray.jpg" in text and "train/empty: no images" in text and "class empty" not in text
    assert "only val has photos of the class owl" in text and len(report.photos) == 9


def test_what_is_worth_knowing_is_told_and_is_no_fault(good):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(good / "train" / "cat" / "turned.jpg", 30, exif=exif)
    save(good / "val" / "cat" / "tiny.png", 31, size=(20, 300))
    (good / "val" / "cat" / "phone.HEIC").write_bytes(b"x")
    for seed in range(40, 60):
        save(good / "train" / "dog" / f"{seed}.png", seed)
    save(good / "val" / "dog" / "tinier.png", 32, size=(7, 9))
    report = check(good)
    assert report.faults == []
    text = "\n".join(report.notes)
    assert "1 files in" in text and ".heic" in text and "1 photos have an EXIF orientation" in text
    assert "2 photos have a side shorter than 32 pixels" in text and "tinier.png with 7 x 9" in text
    assert "uneven" not in text  # 22 and 3
    for seed in range(60, 80):
        save(good / "train" / "dog" / f"{seed}.png", seed)
    assert "the classes of train are uneven: 42 photos of dog, 3 of cat" in "\n".join(check(good).notes)


# ---- layouts -------------------------------------------------------------------------------------------------------


def test_lists_are_checked_by_what_they_name(tmp_path, good):
    (good / "train_list.txt").write_text("train/cat/a.png 0\ntrain/dog/c.png 1\ntrain/cat/a.png 0\ntrain/gone.png 2\n")
    (good / "val_list.txt").write_text("val/cat/e.png 0\ntrain/dog/c.png 1\n")
    report = check(good)
    assert kinds(report) == ["in both splits", "unreadable"]  # a line that stands there twice is no duplicate
    assert report.classes["train"] == {"0": 2, "1": 1, "2": 1}
    (good / "val_list.txt").write_text("nonsense\n")
    assert kinds(check(good)) == ["layout", "unreadable"]


def test_one_split_alone_a_train_folder_and_a_class_folder(good):
    assert list(check(good / "val").classes) == ["photos"]
    assert list(check(good / "train").classes) == ["train", "val"]  # as training does
    report = check(good / "train" / "cat")
    assert kinds(report) == ["layout"] and "give the folder above it" in report.faults[0].text
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check(good / "nowhere")


def test_a_data_set_without_one_of_its_splits_is_checked_as_far_as_it_goes(good):
    (good / "val").rename(good / "elsewhere")
    assert list(check(good).classes) == ["train"] and check(good).faults == []


# ---- processes -----------------------------------------------------------------------------------------------------


def deadly(path: str) -> Look:
    """A decoder that takes the process with it at some photos."""
    if "deadly" in path:
        os._exit(11)
    return Look("", (1, 1), False, path)


def test_several_processes_find_the_same_and_survive_a_photo_that_kills_them(monkeypatch):
    monkeypatch.setattr("ppim.data.looks._CHUNK", 2)
    paths, done = ["0", "1", "deadly", "3", "4"], []
    looks = look_at_all(paths, 2, done.append, deadly)
    assert [look.digest for look in looks] == ["0", "1", "", "3", "4"]
    assert looks[2].fault.startswith("deadly: cannot be read as an image (the process that decoded it died)")
    assert sum(done) == 5


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_ends_with_one_where_there_are_faults(good, tmp_path, capsys):
    assert guarded(check_data, [str(good), "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "no faults" in out and "7 photos looked at" in out
    (good / "train" / "cat" / "bad.jpg").write_bytes(b"x")
    (good / "val" / "dog" / "bad.png").write_bytes(b"x")
    assert guarded(check_data, [str(good), "--jobs", "2", "--json", str(tmp_path / "found" / "it.json")]) == 1
    out, err = capsys.readouterr()
    assert len([line for line in out.splitlines() if line.startswith("fault: ")]) == 2
    assert err == f"error: 2 faults in {good}, 9 photos looked at; see the lines that begin with fault:\n"
    found = json.loads((tmp_path / "found" / "it.json").read_text())
    assert found["splits"]["train"] == {"photos": 5, "classes": {"cat": 3, "dog": 2}}
    assert sorted(os.path.basename(fault["files"][0]) for fault in found["faults"]) == ["bad.jpg", "bad.png"]
    assert guarded(check_data, [str(tmp_path / "nowhere")]) == 1 and "no such folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        guarded(check_data, [str(good), "--jobs", "-1"])
    assert "--jobs: wants at least 1; got -1" in capsys.readouterr().err


def test_of_many_classes_the_smallest_and_the_largest_are_shown():
    few = table({"train": {"b": 2, "a": 1}, "val": {"a": 1000}})
    assert [line.split() for line in few] == [["class", "train", "val"], ["a", "1", "1,000"], ["b", "2", "0"],
                                              ["all", "classes", "3", "1,000"]]
    many = table({"photos": {f"c{i}": i for i in range(50)}})
    assert [line.split()[0] for line in many[1:11]] == ["c0", "c1", "c2", "c3", "c4", "c45", "c46", "c47", "c48", "c49"]
    assert "40 classes" in many[-1] and many[-2].split()[-1] == "1,225"
