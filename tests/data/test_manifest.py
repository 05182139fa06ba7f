"""What was written down of a data set is what is there, in the same order, or is refused."""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim import cli
from ppim.data.datasets import find_images
from ppim.data.images import walked
from ppim.data.indexing import index_split, places_of
from ppim.data.manifest import FOLDER
from ppim.data.split import set_aside
from ppim.index import Index, Picked, write_index

NAMES = st.sampled_from(["a", "a b", "a-b", "b.c", "é", "x"])
LAYOUT = st.dictionaries(NAMES, st.sets(st.tuples(st.sampled_from(["", "in/", "z.d/"]), NAMES, st.sampled_from(
    [".jpg", ".JPEG", ".png", ".txt"])), min_size=1, max_size=6), min_size=1, max_size=4)


def fill(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number + 1))


def index(path) -> int:
    return cli.main(["data", "index", str(path)])


def same(one, other) -> None:
    """Two lists of images say the same, bit for bit."""
    assert list(one.paths) == list(other.paths) and one.root == other.root and one.classes == other.classes
    assert one.labels.tolist() == other.labels.tolist() and one.labels.dtype == other.labels.dtype == np.int64
    assert dict(one.skipped) == dict(other.skipped) and list(one.skipped) == list(other.skipped)
    assert (one.numbered, one.names) == (other.numbered, other.names)
    assert one.checksum == other.checksum and one.counts().tolist() == other.counts().tolist()
    assert [one.full_path(i) for i in range(len(one))] == [other.full_path(i) for i in range(len(other))]


@pytest.mark.smoke
@settings(max_examples=20, deadline=None)
@given(layout=LAYOUT)
def test_images_written_down_are_those_that_are_found(layout, tmp_path_factory):
    root = tmp_path_factory.mktemp("any")
    fill(root, *sorted({f"{label}/{place}{name}{suffix}" for label, files in layout.items()
                        for place, name, suffix in files} | {f"{label}/one.png" for label in layout}))
    found = find_images(root)
    kept = index_split(root, "train", lambda _: None)
    mapped = find_images(root)
    same(found, mapped)
    assert isinstance(mapped.paths, Index) and kept.field("bytes").tolist() == [
        os.path.getsize(path) for path in map(mapped.full_path, range(len(mapped)))]
    stems = [path.rpartition(".")[0] for path in found.paths]
    unique = hashlib.sha256(b"\n".join(sorted(os.fsencode(stem) for stem in stems))).hexdigest()
    assert mapped.stems == (unique if len(set(stems)) == len(stems) else None)
    shutil.rmtree(root)


@pytest.mark.smoke
@pytest.mark.parametrize("lines", ["train/a/2.jpg 1\ntrain/a/1.jpg 0\n", "x/2.jpg dog\nx/1.jpg cat\n",
                                   "train/b.jpg 4\nx/1.jpg 0\n"])
def test_a_list_written_down_is_the_list(lines, tmp_path):
    (tmp_path / "train_list.txt").write_text(lines)
    fill(tmp_path, *[line.split()[0] for line in lines.splitlines()])
    found = find_images(tmp_path)
    assert index(tmp_path) == 0
    mapped = find_images(tmp_path)
    same(found, mapped)
    assert isinstance(mapped.paths, Index)
    (tmp_path / "train_list.txt").write_text(lines + lines.splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="train_list.txt has changed since; run `ppim data index` again"):
        find_images(tmp_path)


@pytest.fixture
def photos(tmp_path):
    fill(tmp_path, "train/a/1.jpg", "train/a/deep/2.jpg", "train/b/3.jpg", "train/b/3.txt", "val/a/4.jpg",
         "val/b/5.jpg")
    assert index(tmp_path) == 0
    return tmp_path


@pytest.mark.parametrize("path, split", [("", "train"), ("", "val"), ("train", "train"), ("train", "val")])
def test_a_split_is_found_by_whichever_path_leads_to_it(photos, path, split):
    mapped = find_images(photos / path, split)
    assert isinstance(mapped.paths, Index)
    for folder in photos.glob(f"*/{FOLDER}"):
        shutil.rmtree(folder)
    same(find_images(photos / path, split), mapped)


CHANGES = {
    "a photo more": lambda root: fill(root, "train/a/9.jpg"),
    "a photo less": lambda root: (root / "train/a/deep/2.jpg").unlink(),
    "another name": lambda root: (root / "train/b/3.jpg").rename(root / "train/b/4.jpg"),
    "a class more": lambda root: fill(root, "train/c/1.jpg"),
    "a class gone": lambda root: shutil.rmtree(root / "train/b"),
    "files of two makings": lambda root: shutil.copy(root / f"val/{FOLDER}/sources.index", root / f"train/{FOLDER}"),
    "half of it": lambda root: (root / f"train/{FOLDER}/sources.index").unlink(),
}


@pytest.mark.smoke
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_so_no_more_is_not_believed(photos, change):
    CHANGES[change](photos)
    why = {"files of two makings": "do not belong together", "half of it": "sources.index is gone"}.get(
        change, "has changed since")
    with pytest.raises(ValueError, match=rf"train/\.ppim-index: what it says .*{why}; run `ppim data index` again"):
        find_images(photos)
    assert find_images(photos, "val").paths[0] == "a/4.jpg"
    assert index(photos) == 0 and cli.main(["data", "index", str(photos), "--check"]) == 0
    mapped = find_images(photos)
    shutil.rmtree(photos / "train" / FOLDER)
    same(find_images(photos), mapped)


def test_a_full_comparison_sees_what_stamps_do_not(photos, capsys):
    assert cli.main(["data", "index", str(photos), "--check"]) == 0
    assert capsys.readouterr().out.count("all as written down") == 2
    (photos / "train/b/3.jpg").write_bytes(b"longer than it was")
    find_images(photos)  # the folder is as it was
    assert cli.main(["data", "index", str(photos), "--check"]) == 1
    assert "b/3.jpg: bytes 3 is written down, it is 18" in capsys.readouterr().err
    data = bytearray((photos / f"val/{FOLDER}/images.index").read_bytes())
    data[20] ^= 1
    (photos / f"val/{FOLDER}/images.index").write_bytes(data)
    (photos / "train/b/3.jpg").write_bytes(b"xxx")
    assert cli.main(["data", "index", str(photos), "--check"]) == 1
    assert "has changed since it was written" in capsys.readouterr().err


@pytest.mark.parametrize("name, why", [
    ("a/x/y.txt", "no images in this class folder"), ("beside.jpg", "images lie beside the class folders")])
def test_what_would_be_refused_is_not_written_down(tmp_path, name, why, capsys):
    fill(tmp_path, name, "b/1.jpg")
    assert index(tmp_path) == 1
    assert why in capsys.readouterr().err and not (tmp_path / FOLDER).exists()


def test_a_refusal_leaves_what_was_written_down_before_as_it_was(tmp_path, capsys):
    """The class alone has no classes; to find that out changed the stamp of its folder."""
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    assert index(tmp_path) == 0
    stamp = (tmp_path / "a").stat().st_mtime_ns
    assert index(tmp_path / "a") == 1 and "give the folder above it" in capsys.readouterr().err
    assert not (tmp_path / "a" / FOLDER).exists() and (tmp_path / "a").stat().st_mtime_ns == stamp
    assert isinstance(find_images(tmp_path).paths, Index)
    (tmp_path / "a" / "train_list.txt").write_text("gone.jpg 0\n")
    assert index(tmp_path / "a") == 1 and not (tmp_path / "a" / FOLDER).exists()


def test_images_of_one_stem_have_no_digest(tmp_path, capsys):
    fill(tmp_path, "a/1.jpg", "a/1.png", "a/2.jpg")
    assert index(tmp_path) == 0
    assert "'a/1' comes twice" in capsys.readouterr().out and find_images(tmp_path).stems is None


@pytest.mark.smoke
def test_photos_set_aside_are_the_same_and_are_not_copied(tmp_path):
    fill(tmp_path, *[f"{label}/{number}.jpg" for label in "abc" for number in range(30)])
    found = set_aside(find_images(tmp_path), 0.2)
    assert index(tmp_path) == 0
    mapped = set_aside(find_images(tmp_path), 0.2)
    for one, other in zip(found, mapped):
        same(one, other)
        assert isinstance(other.paths, Picked) and other.paths.rows.nbytes == len(other) and other.stems is None
        same(one.pick(np.array([3, 1])), other.pick(np.array([3, 1])))


def test_of_many_images_some_are_walked_through():
    assert walked(1_000) == range(1_000) and walked(2 << 20) == range(2 << 20)
    for length in (3_000_000, 14_197_122, 10**9):
        some = walked(length)
        assert 50_000 <= len(some) <= 55_000 and some[-1] >= length - 2 * some.step and some[0] == 0


def test_a_process_holds_nothing_that_grows_with_the_images(tmp_path):
    program = """
import sys
from ppim.data.batches import TrainBatches
from ppim.data.datasets import find_images

def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

def used(place):
    images = find_images(place)
    images.counts(), images.checksum
    steps = iter(TrainBatches(len(images), 64, seed=0, stop=10**9))
    for _ in range(20):
        for epoch, index, copy in next(steps):
            images.full_path(index), images.labels[index]
    for path in images.paths:
        pass
    return private()

before = used(sys.argv[1])
print(used(sys.argv[2]) - before)
"""
    places = [tmp_path / "2000", tmp_path / "200000"]
    for place in places:
        fill(place, "a/x.jpg")
        index_split(place, "train", lambda _: None)
        _enlarge(place, int(place.name))
    done = subprocess.run([sys.executable, "-c", program, *map(str, places)], check=True, text=True,
                          capture_output=True, timeout=120)
    assert int(done.stdout) < 5_000  # kB, most of it a block of names; a list of the paths alone would be 17,000


def _enlarge(place, count: int) -> None:
    """Say of a manifest that it has so many images."""
    path = place / FOLDER / "images.index"
    about = Index(path).about
    write_index(path, (f"a/{number:09}.jpg" for number in range(count)),
                {"label": np.zeros(count, np.int64), "bytes": np.ones(count, np.uint32)}, about)


def test_both_splits_of_a_path_are_found_and_one_that_is_both_once(tmp_path):
    fill(tmp_path, "train/a/1.jpg", "test/a/1.jpg")
    assert places_of(tmp_path) == {"train": str(tmp_path / "train"), "val": str(tmp_path / "test")}
    assert places_of(tmp_path / "train") == {"train": str(tmp_path / "train")}
    with pytest.raises(FileNotFoundError, match="no such folder"):
        places_of(tmp_path / "nowhere")
