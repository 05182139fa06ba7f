"""DATA.ON_BAD skip: who stands in for a photo that cannot be read, who is told, and when it is too much."""
from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ppim.data.augment import Policy
from ppim.data.bad_photos import AT_LEAST, TRIES, BadPhotos
from ppim.data.batches import EvalBatches, TrainBatches
from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples, TrainSamples, make_loader
from ppim.data.transforms import eval_view
from ppim.engine.command import run
from tests.helpers import records, run_python

POLICY = Policy((16, 16), erase_prob=0.5)
BAD = ("a/4.png", "b/3.png", "b/11.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """12 photos of two classes, 3 of them cut off."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(12):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(path)
    for name in BAD:
        path = folder / name
        path.write_bytes((folder / "a" / "0.png").read_bytes()[:200])
    return find_images(folder)


def samples_of(photos, on_bad="skip"):
    return TrainSamples(photos, POLICY, seed=5, num_classes=2, on_bad=on_bad)


def epochs(photos, workers=0, rank=0, world=1, batch=4, on_bad="skip"):
    batches = TrainBatches(len(photos), batch, seed=5, stop=6, rank=rank, world=world)
    told = []
    loader = BadPhotos(len(photos), told.append).taken_out(make_loader(samples_of(photos, on_bad), batches, workers))
    return [{name: value.numpy() for name, value in batch.items()} for batch in loader], told


def test_the_same_stand_ins_come_whatever_the_number_of_workers_and_processes(photos):
    alone, told = epochs(photos)
    fields = ("image", "label", "index", "class_id")
    for other, lines in (epochs(photos, workers=2),):
        assert all(np.array_equal(a[name], b[name]) for a, b in zip(alone, other) for name in fields)
        assert len(alone) == len(other) == 6 and sorted(told) == sorted(lines)
    ranks = [epochs(photos, rank=rank, world=2, batch=2)[0] for rank in range(2)]
    for step, whole in enumerate(alone):
        for name in fields:
            assert np.array_equal(np.concatenate([rank[step][name] for rank in ranks]), whole[name]), name


def test_good_samples_stay_as_they_are_and_a_stand_in_is_a_whole_other_sample(photos):
    bad = {photos.paths.index(name) for name in BAD}
    strict, lenient = samples_of(photos, "raise"), samples_of(photos)
    stood_in = set()
    for epoch in range(3):
        for index in range(len(photos)):
            sample = lenient[epoch, index, 0]
            if index not in bad:
                expected = strict[epoch, index, 0]
                assert "bad" not in sample and sample.keys() == expected.keys()
                assert np.array_equal(sample["image"], expected["image"])
                continue
            other = int(sample["index"])
            assert other not in bad and sample["label"] == photos.labels[other]
            assert photos.paths[index] in sample["bad"][0]
            stood_in.add(other)
            with pytest.raises(ValueError, match="cannot be read as an image"):
                strict[epoch, index, 0]
    assert len(stood_in) > 3  # not always the same


def test_each_bad_photo_is_told_once_with_its_number(photos):
    _, told = epochs(photos)
    assert len(told) == len(BAD)
    for number, line in enumerate(told, 1):
        assert line.startswith(f"left out (DATA.ON_BAD skip), photo {number} of at most {AT_LEAST}: ")
    assert all(any(name in line for line in told) for name in BAD)


def test_too_many_bad_photos_end_the_run():
    told = []
    many = BadPhotos(2000, told.append)  # 1 % of them are 20
    batches = [{"bad": [f"photo {i}"]} for i in range(25)]
    with pytest.raises(ValueError, match=r"21 of 2000 training photos cannot be read.*allows 20.*photo 20.*data check"):
        list(many.taken_out(batches))
    assert len(told) == 20
    few = BadPhotos(50, told.append)
    assert len(list(few.taken_out({"bad": ["the same"]} for _ in range(99)))) == 99
    with pytest.raises(ValueError, match="11 of 50.*allows 10"):
        list(few.taken_out({"bad": [f"photo {i}"]} for i in range(99)))


def test_where_no_photo_can_be_read_none_is_drawn_for_ever(tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{TRIES} photos in a row cannot be read.*png"):
        samples_of(find_images(tmp_path))[0, 0, 0]


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_leaves_nothing_out(photos, workers):
    samples = EvalSamples(photos, eval_view((16, 16), 1.0), num_classes=2)
    with pytest.raises(ValueError, match="cannot be read as an image"):
        list(make_loader(samples, EvalBatches(len(photos), 4), workers))


def test_a_bad_photo_whose_name_is_no_text_ends_no_run(tiny_data, tiny_config, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    (data / "train" / "class0" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"<html>404</html>")
    done = run_python("tools/train.py", "-c", tiny_config, "-o", "DATA.DATA_PATH", data, "TOKEN_LABEL.ENABLE", "False",
                      "TRAIN.NUM_EPOCHS", "2", "DATA.ON_BAD", "skip", env={"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "left out" in line]
    assert len(told) == 1 and "class0/caf\\udce9.png: cannot be read as an image" in told[0]


def test_a_run_goes_on_past_bad_photos_and_says_which(tiny_data, tiny_config, tmp_path, capsys):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    (data / "train" / "class0" / "photo.1.png").write_bytes(b"<html>404</html>")
    (data / "train" / "class2" / "photo.5.png").unlink()
    (data / "train" / "class2" / "photo.5.png").symlink_to("gone.png")
    (data / "train" / "class1" / "pose.HEIC").write_bytes(b"not read")
    options = ["DATA.DATA_PATH", str(data), "TOKEN_LABEL.PATH", str(data / "maps"), "TRAIN.NUM_EPOCHS", "2"]
    with pytest.raises(ValueError, match=r"photo\.[15]\.png"):
        run(str(tiny_config), [*options, "SAVE", str(tmp_path / "strict")])
    capsys.readouterr()
    run(str(tiny_config), [*options, "SAVE", str(tmp_path / "run"), "DATA.ON_BAD", "skip"])
    told = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert len(told) == 3 and "1 .heic" in told[0] and "HEIC is not read" in told[0]
    assert sum("photo.1.png: cannot be read as an image (it looks like a web page" in line for line in told) == 1
    assert sum("photo.5.png: no such image" in line for line in told) == 1
    assert [record["step"] for record in records(tmp_path / "run") if record["event"] == "train"] == list(range(1, 13))
