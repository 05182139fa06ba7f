"""A pack of label maps: every map is read as from its folder, and every kind of damage is found and named."""
from __future__ import annotations

import json
import os
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.checks.maps import pack_has_changed
from ppim.cli import main
from ppim.index import names_digest, write_index
from ppim.token_labels.card import Reading, load_card, read_card, save_card
from ppim.token_labels.check import survey, unmatched
from ppim.token_labels.maps import MapError, write_map
from ppim.token_labels.record import seal_record
from ppim.token_labels.store import expect, open_maps

STEMS = ["n01/a", "n01/b.c", "n02/deep/d", "n02/é", "top", *(f"n03/{number}" for number in range(8))]
IMAGES = [f"{stem}.jpg" for stem in STEMS]
SHAPE, RECORD_BYTES = (2, 3, 4), 24 * 2 + 24 * 2 + 12 * 2 + 4


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder of maps with log-sum-exp and its pack, in shards of five."""
    root = tmp_path_factory.mktemp("pack")
    rng = np.random.default_rng(0)
    for stem in STEMS:
        ids = np.argsort(rng.random((9, 3, 4)), axis=0)[:2]
        write_map(str(root / "maps" / f"{stem}.npy"), rng.normal(5, 3, SHAPE), ids, rng.normal(9, 1, (3, 4)))
    save_card(root / "maps", Reading(log_z=True), {"num_classes": 9, "model": "m"})
    assert main(["labels", "pack", str(root / "maps"), str(root / "pack"), "--shard-maps", "5", "--jobs", "1"]) == 0
    return root


@pytest.fixture
def copy(places, tmp_path):
    """A pack that may be spoilt."""
    shutil.copytree(places / "pack", tmp_path / "pack")
    return tmp_path / "pack"


def assert_same(one, other):
    assert one.window == other.window
    for first, second in zip(one[:3], other[:3]):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


@pytest.mark.smoke
@pytest.mark.parametrize("reading", [
    Reading(), Reading("centre-crop", 0.8, "columns-first"), Reading(orientation="columns-first"),
])
def test_every_map_is_read_from_a_pack_as_from_its_folder(places, reading):
    folder, pack = open_maps(places / "maps", 9, reading), open_maps(places / "pack", 9, reading)
    for image in IMAGES:
        assert_same(pack.read(image, (40, 30)), folder.read(image, (40, 30)))


def test_a_pack_answers_for_its_maps_as_a_folder_does(places):
    folder, pack = open_maps(places / "maps", 9), open_maps(places / "pack", 9)
    assert sorted(pack.stems()) == sorted(folder.stems()) == sorted(STEMS)
    assert (folder.digest, pack.digest) == (None, names_digest(sorted(STEMS, key=str.encode)))
    asked = ["top.png", "gone/x.jpg", *IMAGES, "n01/b.jpg"]
    assert pack.missing(asked) == folder.missing(asked) == ["gone/x.jpg", "n01/b.jpg"]
    assert pack.missing(IMAGES) == [] == pack.missing(IMAGES[3:])
    assert unmatched(pack, IMAGES[1:]) == ([], ["n01/a"])
    seen, there = survey(pack, IMAGES), survey(folder, IMAGES)
    assert seen.broken == [] and seen.named.tolist() == there.named.tolist() and seen.highest_id == there.highest_id
    assert seen.forms == {"[3, 2, 3, 4] float16, ids uint16": len(IMAGES)}
    assert read_card(places / "pack") == read_card(places / "maps")
    assert load_card(places / "pack") == load_card(places / "maps")
    with pytest.raises(FileNotFoundError, match="no label map of gone/x in this pack"):
        pack.read("gone/x.jpg", (4, 3))
    for image in ("gone/x.jpg", "top.jpg"):  # said ahead, for all stores alike
        expect(pack, image)
        expect(folder, image)
    assert_same(pack.read("n01/a.jpg", (4, 3)), folder.read("n01/a.jpg", (4, 3)))


def test_the_files_are_as_documented_byte_by_byte(places):
    said = json.loads((places / "pack" / "labels.json").read_text())
    assert (said["format"], said["version"], said["maps"], said["shape"]) == ("ppim label pack", 1, 13, list(SHAPE))
    assert (said["record_bytes"], said["ids"], said["scores"], said["log_z"]) == (RECORD_BYTES, "<u2", "<f2", True)
    stems = sorted(STEMS, key=lambda stem: stem.encode())
    data = b"".join((places / "pack" / f"labels-0000{number}.bin").read_bytes() for number in range(3))
    assert len(data) == 13 * RECORD_BYTES
    for number, stem in enumerate(stems):
        record = data[number * RECORD_BYTES:(number + 1) * RECORD_BYTES]
        array = np.load(places / "maps" / f"{stem}.npy")
        assert record[:48] == array[1].astype("<u2").tobytes() and record[48:96] == array[0].astype("<f2").tobytes()
        assert record[96:120] == array[2, 0].astype("<f2").tobytes()
        assert int.from_bytes(record[120:], "little") == crc32(stem.encode() + record[:120])


def crc32(data):
    """By its definition, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@settings(max_examples=25, deadline=None)
@given(row=st.integers(0, 12), at=st.integers(0, RECORD_BYTES - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_when_the_map_is_read_and_the_photo_named(places, tmp_path_factory, row, at, flip):
    pack = tmp_path_factory.mktemp("spoilt") / "pack"
    shutil.copytree(places / "pack", pack)
    shard = pack / f"labels-0000{row // 5}.bin"
    content = bytearray(shard.read_bytes())
    content[row % 5 * RECORD_BYTES + at] ^= flip
    shard.write_bytes(content)
    maps, stem = open_maps(pack, 9), sorted(STEMS, key=str.encode)[row]
    with pytest.raises(MapError, match=rf"{shard}: the map of {stem} \(record {row % 5}\) is not what was written"):
        maps.read(f"{stem}.jpg", (4, 3))
    assert [line.split(": ")[1][:len(f"the map of {stem} ")] for line in maps.damage()] == [f"the map of {stem} "]
    whole = next(other for other in STEMS if other != stem)
    assert_same(maps.read(f"{whole}.jpg", (4, 3)), open_maps(places / "pack", 9).read(f"{whole}.jpg", (4, 3)))


def test_a_record_that_stands_for_another_photo_is_not_believed(copy):
    shard = copy / "labels-00000.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[RECORD_BYTES:2 * RECORD_BYTES] + content[:RECORD_BYTES] + content[2 * RECORD_BYTES:])
    maps = open_maps(copy, 9)
    for stem in ("n01/a", "n01/b.c"):
        with pytest.raises(MapError, match=f"the map of {stem}"):
            maps.read(f"{stem}.jpg", (4, 3))
    assert len(maps.damage()) == 2


def test_what_was_put_in_with_a_checksum_of_its_own_is_found_by_the_digests(copy):
    shard, index = copy / "labels-00000.bin", copy / "labels.index"
    content = shard.read_bytes()
    shard.write_bytes(seal_record("n01/a", bytes(RECORD_BYTES - 4)) + content[RECORD_BYTES:])
    maps = open_maps(copy, 9)
    assert not maps.read("n01/a.jpg", (4, 3)).scores.any()
    (said,) = maps.damage()
    assert f"{shard}: has changed since it was written" in said
    shard.write_bytes(content)
    names = index.read_bytes()
    index.write_bytes(names.replace(b"top", b"tot"))
    (said, lost) = open_maps(copy, 9).damage()
    assert "labels.index" in said and "the map of tot" in lost


def test_files_that_are_cut_off_missing_or_of_another_pack_are_named_when_the_pack_is_opened(copy):
    shard = copy / "labels-00001.bin"
    content = shard.read_bytes()
    for wrong in (content[:-1], content[:-RECORD_BYTES], content + b"x", b""):
        shard.write_bytes(wrong)
        with pytest.raises(ValueError, match=rf"labels-00001.bin: wanted {len(content)} bytes, got {len(wrong)};"):
            open_maps(copy, 9)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"labels-00001\.bin"):
        open_maps(copy, 9)
    shard.write_bytes(content)
    write_index(copy / "labels.index", STEMS[:3], {}, {})
    with pytest.raises(ValueError, match=r"labels\.index: 3 stems for 13 maps"):
        open_maps(copy, 9)
    (copy / "labels.index").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels\.index"):
        open_maps(copy, 9)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_changed_byte_of_labels_json_is_refused_by_name(places, tmp_path_factory, data):
    pack = tmp_path_factory.mktemp("spoilt") / "pack"
    shutil.copytree(places / "pack", pack)
    path = pack / "labels.json"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        maps = open_maps(pack, 9)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:  # another name of the seal, or a blank
        assert maps.manifest == open_maps(places / "pack", 9).manifest


def test_a_pack_of_a_later_version_says_so(copy):
    said = json.loads((copy / "labels.json").read_text())
    del said["seal"]
    for key, value, words in (("version", 2, "version 2, this program knows 1.*update ppim"), ("maps", 0, "above 0"),
                              ("format", "x", "format wants 'ppim label pack'"), ("shards", [], "0 shards of 5 for 13"),
                              ("ids", "<i8", "ids want one of")):
        (copy / "labels.json").write_text(json.dumps({**said, key: value}))
        with pytest.raises(ValueError, match=f"labels.json: not a pack .*{words}"):
            open_maps(copy, 9)
    (copy / "labels.json").write_text(json.dumps(said))
    assert open_maps(copy, 9).read("top.jpg", (4, 3)).scores.shape == SHAPE


def test_what_no_map_of_the_pack_may_be_is_refused_when_it_is_opened(places):
    highest = open_maps(places / "pack", 9).manifest.highest_id
    with pytest.raises(ValueError, match=rf"ids must lie in 0 .. {highest - 1}, this pack has some up to {highest}"):
        open_maps(places / "pack", highest)
    with pytest.raises(ValueError, match="frame wants .*'half'"):
        open_maps(places / "pack", 9, Reading("half"))
    with pytest.raises(ValueError, match="orientation wants .*'up'"):
        open_maps(places / "pack", 9, Reading(orientation="up"))


def test_a_forked_process_opens_the_files_itself_and_threads_share_them(places):
    maps = open_maps(places / "pack", 9)
    truth = {image: open_maps(places / "maps", 9).read(image, (4, 3)) for image in IMAGES}
    maps.read("top.jpg", (4, 3))
    shard = next(path.resolve() for path in (places / "pack").glob("labels-*.bin") if positions(path))
    pid = os.fork()
    if not pid:  # moves the position of what it has opened, which would be the parent's were it inherited
        maps.read("top.jpg", (4, 3))
        moved = [os.lseek(descriptor, 7, os.SEEK_SET) for descriptor in positions(shard)]
        os._exit(0 if moved == [7] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(positions(shard).values()) == [0]
    wrong = []

    def read_all(turn):
        for image in IMAGES[turn:] + IMAGES[:turn]:
            found = maps.read(image, (4, 3))
            if not all(np.array_equal(one, other) for one, other in zip(found[:3], truth[image][:3])):
                wrong.append(image)

    threads = [threading.Thread(target=read_all, args=(turn,)) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert_same(pickle.loads(pickle.dumps(maps)).read("top.jpg", (4, 3)), truth["top.jpg"])


def positions(path) -> dict[int, int]:
    """This process's descriptors of a file, and the position of each."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        if entry.exists() and entry.resolve() == Path(path).resolve():
            said = Path(f"/proc/self/fdinfo/{entry.name}").read_text()
            found[int(entry.name)] = int(said.split()[1])
    return found


def test_labels_check_reads_all_of_a_pack(places, copy, tmp_path, capsys):
    from PIL import Image

    photos = tmp_path / "photos"
    for label, stem in enumerate(STEMS):
        path = photos / f"c{label % 2}" / f"{stem.replace('/', '_')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 16, 3), 20 * label, np.uint8)).save(path)
    with open(copy / "labels-00002.bin", "r+b") as shard:
        shard.write(b"\xff\xff")
    assert main(["labels", "check", str(copy), "--images", str(photos), "--classes", "9"]) == 1
    seen = capsys.readouterr()
    assert "files of the label maps" in seen.out and "labels-00002.bin: the map of n03/6 (record 0)" in seen.out
    assert pack_has_changed(["x"]).level == "error"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", [["pack"], ["convert", "--to", "pack"]])
@pytest.mark.parametrize("option, count", [("--shard-maps", -1), ("--shard-maps", 0), ("--classes", 0),
                                           ("--classes", -2), ("--jobs", 0)])
def test_counts_below_one_are_refused(option, count, command, places, tmp_path, capsys):
    made = ["labels", *command, str(places / "maps"), str(tmp_path / "pack"), "--jobs", "1", option, str(count)]
    with pytest.raises(SystemExit):
        main(made)
    assert f"argument {option}: wants at least 1; got {count}\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
