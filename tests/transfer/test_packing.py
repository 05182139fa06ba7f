"""Folders of label maps into packs and back: nothing is lost, or it is refused; what was interrupted goes on."""
from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.cli import main
from ppim.token_labels.card import Reading, load_card, save_card
from ppim.token_labels.manifest import read_manifest
from ppim.token_labels.maps import save_array, write_map
from ppim.token_labels.store import open_maps
from tests.helpers import ROOT, run_python, wait_until

COUNT = 23


def fill(folder, count=COUNT, seed=0, log_z=True):
    rng = np.random.default_rng(seed)
    for number in range(count):
        ids = np.argsort(rng.random((9, 3, 4)), axis=0)[:2]
        write_map(str(folder / f"n{number % 3}" / f"{number}.npy"), rng.normal(5, 3, (2, 3, 4)), ids,
                  rng.normal(9, 1, (3, 4)) if log_z else None)
    return folder


@pytest.fixture
def maps(tmp_path):
    return fill(tmp_path / "maps")


def pack(folder, target, *options, code=0):
    assert main(["labels", "pack", str(folder), str(target), "--shard-maps", "6", "--jobs", "1", *options]) == code


def files_of(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_folder_comes_back_from_its_pack_byte_for_byte(maps, tmp_path, capsys):
    save_card(maps, Reading("centre-crop", 0.9, "columns-first", True, "apply"), {"num_classes": 9, "model": "m"})
    pack(maps, tmp_path / "pack")
    told = capsys.readouterr().out
    assert "23 maps [3, 2, 3, 4] in " in told and "\n23/23 maps\n" in f"\n{told}"
    pack(tmp_path / "pack", tmp_path / "back", "--unpack")
    assert files_of(tmp_path / "back") == files_of(maps)
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == [
        *(f"labels-0000{number}.bin" for number in range(4)), "labels.index", "labels.json"]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_what_a_pack_gives_is_what_the_folder_holds_whatever_its_form(tmp_path_factory, data):
    """Any dtype, shape and number of classes; ids up to the last one are exact."""
    root = tmp_path_factory.mktemp("any")
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)))
    dtype = data.draw(st.sampled_from(["f2", "f4", "f8", ">f4", "i4"]))
    classes = data.draw(st.sampled_from([10, 2048] if dtype == "f2" else [10, 21_841, 65_536, 65_537, 1_000_000]))
    planes, rng = data.draw(st.sampled_from([2, 3])), np.random.default_rng(data.draw(st.integers(0, 99)))
    stems = data.draw(st.lists(st.text("ab/é.\udc80", min_size=1, max_size=6).map(tidy).filter(bool), min_size=1,
                               max_size=5, unique=True))
    arrays = {}
    for stem in stems:
        ids = np.stack([rng.permutation(min(classes, 50))[:shape[0]] for _ in range(shape[1] * shape[2])], axis=1)
        ids = classes - 1 - ids.reshape(shape)
        scores = rng.integers(-40, 40, shape) if dtype == "i4" else rng.normal(0, 9, shape).astype("f2")
        log_z = np.broadcast_to(rng.integers(1, 60, shape[1:]), shape)
        arrays[stem] = np.stack([scores, ids, log_z][:planes]).astype(dtype)
        save_array(str(root / "maps" / f"{stem}.npy"), arrays[stem])
    pack(root / "maps", root / "pack", "--classes", str(classes))
    assert read_manifest(root / "pack").ids == ("<u2" if classes <= 65_536 else "<u4")
    folder, packed = open_maps(root / "maps", classes), open_maps(root / "pack", classes)
    for stem in stems:
        one, other = folder.read(f"{stem}.x", (4, 3)), packed.read(f"{stem}.x", (4, 3))
        assert all(np.array_equal(first, second) for first, second in zip(one[:planes], other[:planes]))
    pack(root / "pack", root / "back", "--unpack")
    for stem in stems:
        np.testing.assert_array_equal(np.load(root / "back" / f"{stem}.npy"), arrays[stem])


def tidy(stem):
    """As a file's name can be; '' where it cannot."""
    return stem if all(part and part.strip(".") == part for part in stem.split("/")) else ""


def test_scores_that_half_precision_does_not_hold_are_refused_or_rounded_and_it_is_said_by_how_much(
        maps, tmp_path, capsys):
    array = np.load(maps / "n0" / "3.npy").astype("f4")
    array[0] = np.linspace(0.1, 99.9, array[0].size).reshape(array[0].shape)
    save_array(str(maps / "n0" / "3.npy"), array)
    pack(maps, tmp_path / "pack", code=1)
    assert "n0/3.npy: scores that are not exactly half-precision" in (seen := capsys.readouterr().err)
    assert "--round-scores" in seen and not (tmp_path / "pack").exists()
    pack(maps, tmp_path / "pack", "--round-scores")
    change = np.abs(array[0].astype("f2").astype("f8") - array[0]).max()
    assert f"rounded to half precision, by at most {change:.3g}" in capsys.readouterr().out
    assert read_manifest(tmp_path / "pack").largest_change == change
    np.testing.assert_array_equal(open_maps(tmp_path / "pack", 9).read("n0/3.jpg", (4, 3)).scores,
                                  array[0].astype("f2").astype("f4"))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda a: a + np.float16([[[[0]]], [[[2048]]], [[[0]]]]), "half precision holds class ids exactly only below"),
    (lambda a: a[:, :1], r"wanted \[3, 2, 3, 4\] as the first map of this pack has, got \[3, 1, 3, 4\]; .*pack the"),
    (lambda a: a[:2], r"got \[2, 2, 3, 4\]"),
    (lambda a: np.where(np.arange(4) == 2, np.inf, a), "not finite"),
    (lambda a: a * np.array([[1, 1, 1], [1, 1, 2]]).T[:, :, None, None], "log-sum-exps of one cell differ"),
    (lambda a: (a.astype("f4") + [[[[0]]], [[[70_000]]], [[[0]]]]).astype("f4"), "70.*does not fit into uint16; say"),
    (lambda a: (a.astype("f4") * [[[[1e5]]], [[[1]]], [[[1]]]]).astype("f4"), "beyond half precision"),
])
def test_what_cannot_be_packed_is_refused_with_the_reason_and_leaves_no_pack(maps, tmp_path, capsys, spoil, words):
    save_array(str(maps / "n2" / "8.npy"), spoil(np.load(maps / "n2" / "8.npy")))
    pack(maps, tmp_path / "pack", code=1)
    assert re.search(rf"n2/8\.npy: .*{words}", capsys.readouterr().err)
    assert not (tmp_path / "pack").exists()


def test_a_card_that_says_little_goes_along(maps, tmp_path, capsys):
    (maps / "annotation.json").write_text('{"num_classes": 10}')
    pack(maps, tmp_path / "pack")
    pack(tmp_path / "pack", tmp_path / "back", "--unpack")
    assert load_card(tmp_path / "back") == {"num_classes": 10, "exif": "ignore"}
    words = ["labels", "convert", str(maps), str(tmp_path / "back"), "--frame", "whole", "--orientation", "mirrored"]
    assert main([*words, "--jobs", "1"]) == 1
    assert "the maps there are to be read as no frame, no orientation" in capsys.readouterr().err


def test_links_that_lead_in_a_circle_are_named_and_what_is_hidden_stays_where_it_is(maps, tmp_path, capsys):
    shutil.copytree(maps / "n0", maps / ".trash")
    (tmp_path / "linked").symlink_to(maps)
    pack(tmp_path / "linked", tmp_path / "pack")
    assert read_manifest(tmp_path / "pack").maps == COUNT
    (maps / "n1" / "up").symlink_to("..")
    pack(maps, tmp_path / "other", code=1)
    assert "n1/up: a link back to a folder above it" in capsys.readouterr().err


def test_places_that_are_taken_or_mistaken_are_refused(maps, tmp_path, capsys):
    (tmp_path / "pack").mkdir()
    pack(maps, tmp_path / "pack", code=1)
    assert "pack is there already, and other than what is to be packed; remove it" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    for source, words in ((tmp_path / "nowhere", "no such folder"), (tmp_path / "empty", "no label maps there")):
        pack(source, tmp_path / "other", code=1)
        assert words in capsys.readouterr().err
    pack(maps, tmp_path / "other")
    pack(tmp_path / "other", tmp_path / "third", code=1)
    pack(maps, tmp_path / "third", "--unpack", code=1)
    seen = capsys.readouterr().err
    assert "is a pack; --unpack takes its maps out" in seen and "is no pack; leave --unpack out" in seen


def test_a_pack_that_is_there_of_these_maps_is_kept_and_one_of_others_refused(maps, tmp_path, capsys):
    for path in maps.rglob("*.npy"):
        os.utime(path, (1, 1))
    pack(maps, tmp_path / "pack")
    first = files_of(tmp_path / "pack")
    pack(maps, tmp_path / "pack")
    assert files_of(tmp_path / "pack") == first
    for options in (["--shard-maps", "5"], ["--classes", "9"]):
        pack(maps, tmp_path / "pack", *options, code=1)
    assert main(["labels", "convert", str(maps), str(tmp_path / "pack"), "--to", "pack", "--shard-maps", "6",
                 "--planes", "3", "--jobs", "1"]) == 1
    (maps / "n0" / "3.npy").touch()
    pack(maps, tmp_path / "pack", code=1)
    assert capsys.readouterr().err.count("other than what is to be packed") == 4


def interrupted(maps, tmp_path, name="n1/4") -> tuple[Path, dict]:
    """Start packing a folder with a map that is damaged, mend it; what is left beside."""
    content = (maps / f"{name}.npy").read_bytes()
    (maps / f"{name}.npy").write_bytes(content[:-9])
    pack(maps, tmp_path / "pack", code=1)
    (maps / f"{name}.npy").write_bytes(content)
    os.utime(maps / f"{name}.npy", (1, 1))
    return tmp_path / ".pack.unfinished"


@pytest.fixture
def small_pieces(monkeypatch):
    """Records come three at a time."""
    from ppim.transfer import pool

    monkeypatch.setattr(pool, "_PIECE", 3)


def test_an_interrupted_packing_goes_on_where_it_was(maps, tmp_path, small_pieces):
    pack(maps, tmp_path / "truth")
    for path in maps.rglob("*.npy"):
        os.utime(path, (1, 1))
    beside = interrupted(maps, tmp_path)
    left = {path.name: path.stat() for path in sorted(beside.glob("labels-*.bin"))}
    size = read_manifest(tmp_path / "truth").record.itemsize
    assert [found.st_size // size for found in left.values()] == [6, 6]
    with open(beside / "labels-00001.bin", "ab") as shard:  # as a power cut may leave it
        shard.truncate(4 * size)
        shard.write(bytes(size + 5))
    pack(maps, tmp_path / "pack")
    assert files_of(tmp_path / "pack") == files_of(tmp_path / "truth") and not beside.exists()
    # the first shard was not written again, of the second only what was damaged
    assert (tmp_path / "pack" / "labels-00000.bin").stat().st_mtime_ns == left["labels-00000.bin"].st_mtime_ns
    assert (tmp_path / "pack" / "labels-00001.bin").stat().st_ino == left["labels-00001.bin"].st_ino


def test_a_full_disk_is_told_with_its_file_and_what_was_written_is_gone_on_with(maps, tmp_path, capsys, small_pieces):
    pack(maps, tmp_path / "truth")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = 3 * (tmp_path / "truth" / "labels.index").stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        pack(maps, tmp_path / "pack", "--shard-maps", "20", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert re.search(r"cannot write, .*start again.*labels-00000\.bin", capsys.readouterr().err)
    pack(maps, tmp_path / "pack", "--shard-maps", "20")
    assert sorted(open_maps(tmp_path / "pack", 9).stems()) == sorted(open_maps(maps, 9).stems())
    assert not open_maps(tmp_path / "pack", 9).damage()


def test_maps_that_have_changed_meanwhile_are_packed_as_they_are_now(maps, tmp_path, small_pieces):
    for path in maps.rglob("*.npy"):
        os.utime(path, (1, 1))
    interrupted(maps, tmp_path)
    write_map(str(maps / "n0" / "3.npy"), np.ones((2, 3, 4)), np.stack([np.full((3, 4), i) for i in (7, 8)]),
              np.ones((3, 4)))
    pack(maps, tmp_path / "truth")
    pack(maps, tmp_path / "pack")
    assert files_of(tmp_path / "pack") == files_of(tmp_path / "truth")


@pytest.mark.parametrize("change", ["a map more", "other shards", "rounded", "a damaged index", "a card"])
def test_where_something_else_is_to_be_packed_by_then_it_starts_again(maps, tmp_path, small_pieces, change):
    for path in maps.rglob("*.npy"):
        os.utime(path, (1, 1))
    beside = interrupted(maps, tmp_path)
    options = {"other shards": ["--shard-maps", "9"], "rounded": ["--round-scores"]}.get(change, [])
    if change == "a map more":
        shutil.copy2(maps / "n0" / "3.npy", maps / "n0" / "04.npy")
    if change == "a damaged index":
        with open(beside / "labels.index", "r+b") as file:
            file.write(b"x")
    if change == "a card":
        save_card(maps, Reading(log_z=True), {})
    pack(maps, tmp_path / "truth", *options)
    pack(maps, tmp_path / "pack", *options)
    assert files_of(tmp_path / "pack") == files_of(tmp_path / "truth")


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
import ppim.transfer.pool as pool
from ppim.transfer.packing import _Encode
from ppim.cli import main
pool._PIECE = 2
slow = _Encode.__call__
def encode(self, stems):
    time.sleep(0.05)
    return slow(self, stems)
_Encode.__call__ = encode
main(["labels", "pack", "maps", "pack", "--shard-maps", "6", "--jobs", "1"])
"""


def test_a_packing_that_was_killed_leaves_no_pack_and_goes_on(maps, tmp_path, small_pieces):
    pack(maps, tmp_path / "truth")
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(root=str(ROOT))], cwd=tmp_path,
                               stdout=subprocess.DEVNULL)
    beside = tmp_path / ".pack.unfinished"
    try:
        wait_until(lambda: (beside / "labels-00001.bin").exists())
        assert main(["labels", "pack", str(maps), str(tmp_path / "pack")]) == 1  # one at a time
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "pack").exists()
    pack(maps, tmp_path / "pack")
    assert files_of(tmp_path / "pack") == files_of(tmp_path / "truth")


def test_a_second_process_keeps_off_a_pack_that_is_being_written(maps, tmp_path, capsys):
    beside = tmp_path / ".pack.unfinished"
    beside.mkdir()
    with open(beside / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pack(maps, tmp_path / "pack", code=1)
        assert "another process is writing this pack" in capsys.readouterr().err
    pack(maps, tmp_path / "pack")


def test_several_processes_write_what_one_does(tmp_path):
    fill(tmp_path / "maps", 600)
    pack(tmp_path / "maps", tmp_path / "one")
    done = run_python("-m", "ppim", "labels", "pack", tmp_path / "maps", tmp_path / "two", "--shard-maps", "6",
                      "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
