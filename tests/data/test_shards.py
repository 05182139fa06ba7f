"""Tar shards hold what the folders held; what others made is read as Python's tarfile reads it, or refused."""
from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import re
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from ppim import cli
from ppim.data.augment import Policy
from ppim.data.batches import EvalBatches, TrainBatches
from ppim.data.classes import match
from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples, TrainSamples, make_loader
from ppim.data.manifest import FOLDER
from ppim.data.tars import samples_of
from ppim.data.transforms import eval_view
from ppim.plan.loader import measured
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import write_map
from ppim.token_labels.store import open_maps

CLASSES = ["cat", "dog", "é 猫"]


def ppim(*words) -> int:
    return cli.main([str(word) for word in words])


def draw(path, colour) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(colour).integers(0, 255, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path, "PNG" if path.suffix == ".png" else "JPEG")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Nineteen training photos with maps, six validation photos."""
    root = tmp_path_factory.mktemp("folders")
    for split, count in (("train", 19), ("val", 6)):
        for number in range(count):
            name = f"{CLASSES[number % 3]}/deep.er/{'x' * 90}{number}" if number % 5 == 4 else \
                f"{CLASSES[number % 3]}/photo{number}"
            draw(root / split / f"{name}.{('jpg', 'JPEG', 'png')[number % 3]}", number + 100 * (split == "val"))
            if split == "train":
                ids = np.tile(np.array([number % 3, (number + 1) % 3])[:, None, None], (1, 4, 4))
                write_map(str(root / "maps" / f"{name}.npy"), np.full((2, 4, 4), [[[5.0]], [[number / 9]]]), ids)
    return root


@pytest.fixture(scope="module")
def shards(folders, tmp_path_factory):
    """The same in tar files of three or four photos."""
    root = tmp_path_factory.mktemp("shards") / "out"
    assert ppim("data", "shards", folders, root, "--labels", folders / "maps", "--size", 1) == 0
    shutil.rmtree(root)
    from ppim.data.indexing import index_split
    from ppim.data.sharding import write_shards

    write_shards(find_images(folders), root / "train", str(folders / "maps"), 4_000, True, lambda _: None)
    write_shards(find_images(folders, "val"), root / "val", None, 4_000, False, lambda _: None)
    for split in ("train", "val"):
        index_split(root, split, lambda _: None)
    return root


def by_path(images) -> dict:
    """Of each photo its class, bytes and pixels, under its path."""
    found = {}
    for index, path in enumerate(images.paths):
        with images.open(index) as file:
            found[path] = (images.classes[images.labels[index]], file.read(), images.size(index),
                           images.photo(index).tobytes())
    return found


@pytest.mark.parametrize("split", ["train", "val"])
def test_photos_and_classes_are_those_of_the_folders(folders, shards, split):
    one, other = find_images(folders, split), find_images(shards, split)
    assert by_path(one) == by_path(other) and one.classes == other.classes and one.names == other.names
    assert other.stems == hashlib.sha256(b"\n".join(sorted(os.fsencode(os.path.splitext(path)[0]) for path in one.paths
                                                           ))).hexdigest()
    mixed = list(one.paths) != list(other.paths)
    assert mixed == (split == "train") and len(list((shards / split).glob("*.tar"))) > 1


def test_tarfile_finds_every_member_where_the_index_says(folders, shards):
    for path in sorted((shards / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: (member.offset_data, tar.extractfile(member).read()) for member in tar}
        for sample in samples_of(str(path)):
            for part in (sample.photo, sample.label_map):
                at, content = members.pop(part.name)
                assert (at, len(content)) == part[1:]
                source = folders / ("maps" if part.name.endswith(".npy") else "train") / part.name.replace(
                    "deep_er", "deep.er")
                assert content == source.read_bytes()
            assert members.pop(os.path.splitext(sample.photo.name)[0] + ".cls")[1].decode() == sample.said
        assert members == {}


def test_maps_are_those_of_the_folder_and_the_digest_stands_for_all(folders, shards):
    photos = find_images(shards)
    ours = open_maps(shards / "train", 3, Reading(frame="centre-crop", crop_pct=0.5))
    theirs = open_maps(folders / "maps", 3, Reading(frame="centre-crop", crop_pct=0.5))
    for path in photos.paths:
        for one, other in zip(ours.read(path, (24, 20)), theirs.read(path, (24, 20))):
            np.testing.assert_array_equal(one, other)
        assert ours.form(path) == theirs.form(path)
    assert ours.digest == photos.stems and sorted(ours.stems()) == sorted(theirs.stems())
    assert ours.damage() == [] and ours.place("cat/photo0").endswith(".tar/cat/photo0.npy")
    assert ours.missing(["cat/photo0.jpg", "cat/none.jpg"]) == ["cat/none.jpg"]
    with pytest.raises(FileNotFoundError, match="none"):
        ours.read("cat/none.jpg", (1, 1))
    with pytest.raises(FileNotFoundError, match="no such folder|no index|No such"):
        open_maps(shards / "nowhere", 3)


def test_shards_are_the_same_bytes_again_and_what_is_there_stays(folders, shards, tmp_path):
    from ppim.data.sharding import write_shards

    def write(size=4_000):
        return write_shards(find_images(folders), tmp_path, str(folders / "maps"), size, True, lambda _: None)

    count = write()
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")}
    assert first == {path.name: path.read_bytes() for path in (shards / "train").glob("*.tar")} and len(first) == count
    (tmp_path / "000001.tar").unlink()
    kept = (tmp_path / "000000.tar").stat().st_ino
    write()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")} == first
    assert (tmp_path / "000000.tar").stat().st_ino == kept
    with pytest.raises(ValueError, match="000000.tar: is there already, and holds something else"):
        write(size=9_000)
    last = sorted(tmp_path.glob("*.tar"))[-1]
    last.write_bytes(first[last.name][:-512])
    with pytest.raises(ValueError, match=f"{last.name}: is there already, and holds something else"):
        write()


def give_other_maps(folder):
    for path in (folder.parent / "maps").rglob("*.npy"):
        write_map(str(path), np.full((2, 4, 4), 7.0), np.tile(np.array([2, 0])[:, None, None], (1, 4, 4)))
    save_card(folder.parent / "maps", Reading("centre-crop", 0.5, log_z=False), {"model": "another"})


def give_other_classes(folder):
    lines = (folder / "train_list.txt").read_text().split()
    (folder / "train_list.txt").write_text("".join(f"{path} {1 - int(label)}\n" for path, label in zip(
        lines[::2], lines[1::2])))


def give_another_photo(folder):
    data = bytearray((folder / "a/1.jpg").read_bytes())
    data[-3] ^= 1
    (folder / "a/1.jpg").write_bytes(data)


@pytest.mark.parametrize("change", [give_other_maps, give_other_classes, give_another_photo])
def test_what_changed_in_place_is_not_taken_for_what_was_packed(change, tmp_path, capsys):
    """Sizes are the same before and after, so only bytes can tell."""
    source, root = tmp_path / "source", tmp_path / "out"
    out = root / "train"
    for number in range(4):
        draw(source / f"a/{number}.jpg", number)
        write_map(str(tmp_path / f"maps/a/{number}.npy"), np.full((2, 4, 4), 5.0), np.tile(
            np.array([0, 1])[:, None, None], (1, 4, 4)))
    save_card(tmp_path / "maps", Reading(log_z=False), {"model": "one"})
    for split in ("train", "val"):
        (source / f"{split}_list.txt").write_text("".join(f"a/{number}.jpg {number % 2}\n" for number in range(4)))
    packed = ["data", "shards", source, root, "--labels", tmp_path / "maps"]
    assert ppim(*packed) == 0 and ppim(*packed) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert set(before) == {"000000.tar", "annotation.json"}
    change(source)
    capsys.readouterr()
    assert ppim(*packed) == 1
    said = capsys.readouterr().err
    assert re.search("000000.tar: is there already, and holds something else.*remove the tar files", said)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    for path in root.rglob("*.tar"):
        path.unlink()
    assert ppim(*packed) == 0
    assert (out / "annotation.json").read_bytes() == (tmp_path / "maps/annotation.json").read_bytes()
    with tarfile.open(out / "000000.tar") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}
    assert held["a/1.npy"] == (tmp_path / "maps/a/1.npy").read_bytes()
    assert held["a/1.jpg"] == (source / "a/1.jpg").read_bytes()
    assert held["a/1.cls"] == (b"0" if change is give_other_classes else b"1")


def test_classes_of_lists_keep_their_names(tmp_path):
    """All photos in one folder: only the names say what a number means, and the two splits number them differently."""
    source, out = tmp_path / "source", tmp_path / "out"
    for number in range(1, 6):
        draw(source / f"images/{number}.jpg", number)
    (source / "train_list.txt").write_text("images/5.jpg bird\nimages/1.jpg cat\nimages/2.jpg dog\n")
    (source / "val_list.txt").write_text("images/3.jpg dog\nimages/4.jpg cat\n")
    assert ppim("data", "shards", source, out) == 0
    train, val = find_images(out), find_images(out, "val")
    assert train.names == ("bird", "cat", "dog") and val.names == ("cat", "dog")
    named = {path: images.classes[label] for images in (train, val) for path, label in zip(images.paths, images.labels)}
    assert named == {"images/5.jpg": "bird", "images/1.jpg": "cat", "images/2.jpg": "dog", "images/3.jpg": "dog",
                     "images/4.jpg": "cat"}
    matched = match(val, train.classes, "the training photos")
    assert dict(zip(matched.paths, matched.labels.tolist())) == {"images/3.jpg": 2, "images/4.jpg": 1}


def test_classes_that_one_folder_shares_keep_their_names(tmp_path):
    """A class of a list may be called as another one's folder is."""
    for name in ("cat/1.jpg", "cat/2.jpg", "3.jpg"):
        draw(tmp_path / "source" / name, 1)
    (tmp_path / "source/train_list.txt").write_text("cat/1.jpg dog\ncat/2.jpg cat\n3.jpg é猫\n")
    (tmp_path / "source/val_list.txt").write_text("cat/1.jpg 0\n3.jpg 1\n")
    assert ppim("data", "shards", tmp_path / "source", tmp_path / "out") == 0
    train, val = find_images(tmp_path / "out"), find_images(tmp_path / "out", "val")
    assert {path: train.names[label] for path, label in zip(train.paths, train.labels)} == {
        "cat/1.jpg": "dog", "cat/2.jpg": "cat", "3.jpg": "é猫"}
    assert val.numbered and val.labels.tolist() == [0, 1]


def test_shards_of_shards_hold_the_same_photos(shards, folders, tmp_path):
    assert ppim("data", "shards", shards, tmp_path / "again") == 0
    for split in ("train", "val"):
        assert by_path(find_images(tmp_path / "again", split)) == by_path(find_images(shards, split))


def test_tar_files_do_not_come_to_lie_beside_class_folders(photo, tmp_path, capsys):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(photo)
    assert ppim("data", "shards", tmp_path, tmp_path) == 1
    assert "has folders, cat among them, which count as classes" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat", "dog"]


def test_maps_that_cannot_be_taken_along_are_told_in_a_line(folders, shards, tmp_path, capsys):
    assert ppim("labels", "pack", folders / "maps", tmp_path / "pack", "--classes", "3", "--jobs", "1") == 0
    shutil.copytree(folders / "maps", tmp_path / "fewer")
    (tmp_path / "fewer/cat/photo0.npy").unlink()
    shutil.copytree(folders / "train", tmp_path / "alone/train")
    shutil.copytree(folders / "val", tmp_path / "other/val")
    for source, option, maps, words in (
            (folders, "--labels", tmp_path / "pack", "pack: a pack, wanted a folder of .npy files; .*--unpack"),
            (folders, "--labels", shards / "train", "train: label maps in tar files, wanted a folder of .npy files"),
            (folders, "--labels", tmp_path / "fewer", r"photo0.npy: no label map there for .*photo0.jpg; make"),
            (tmp_path / "alone", "--val-labels", folders / "maps", "--val-labels .*no validation photos"),
            (tmp_path / "other", "--labels", folders / "maps", "--labels .*no training photos")):
        capsys.readouterr()
        assert ppim("data", "shards", source, tmp_path / "out", option, maps) == 1
        assert re.search(words, capsys.readouterr().err), words
        assert not list(tmp_path.glob("out/**/*.tar"))


POLICY = Policy((16, 16), scale=(0.5, 1.0))


def seen(images, maps, workers, world=1):
    """Batches of an epoch and a half of all processes, as bytes; shards are read by several at once."""
    samples = TrainSamples(images, POLICY, seed=5, num_classes=3, maps=maps, grid=(2, 2))
    found = []
    for rank in range(world):
        batches = TrainBatches(len(images), 8 // world, seed=5, stop=4, rank=rank, world=world,
                               shards=images.shard_starts())
        found.append([batch for batch in make_loader(samples, batches, workers)])
    return [np.concatenate([np.ascontiguousarray(batch[name].numpy()) for batch in step]).tobytes()
            for step in zip(*found) for name in ("index", "label", "image", "token_weight")]


def test_workers_and_processes_change_nothing(shards):
    images, maps = find_images(shards), open_maps(shards / "train", 3)
    alone = seen(images, maps, 0)
    assert seen(images, maps, 2) == alone and seen(images, maps, 0, world=2) == alone
    assert seen(pickle.loads(pickle.dumps(images.shards)) and images, maps, 2, world=2) == alone


def test_samples_are_those_of_the_folder_whose_photos_have_their_order(folders, shards):
    """The same photos in a list of that order, drawn in the order of the shards: no bit differs."""
    images = find_images(shards)
    one = seen(images, open_maps(shards / "train", 3), 0)
    place = {path: number for number, path in enumerate(find_images(folders).paths)}
    rows = np.array([place[path] for path in images.paths])
    listed = find_images(folders).pick(rows)
    object.__setattr__(listed, "shards", None)
    batches = TrainBatches(len(listed), 8, seed=5, stop=4, shards=images.shard_starts())
    samples = TrainSamples(listed, POLICY, seed=5, num_classes=3, maps=open_maps(folders / "maps", 3), grid=(2, 2))
    other = [np.ascontiguousarray(batch[name].numpy()).tobytes() for batch in make_loader(samples, batches, 0)
             for name in ("index", "label", "image", "token_weight")]
    assert one == other


def test_a_batch_is_read_forward_one_shard_after_the_other(shards):
    images = find_images(shards)
    samples, read = TrainSamples(images, POLICY, seed=5, num_classes=3), []
    shard, at = images.paths.field("shard"), images.paths.field("at")
    keys = next(iter(TrainBatches(len(images), 12, seed=5, stop=1, shards=images.shard_starts())))
    for place in samples.in_order_of_reading(keys):
        read.append((shard[keys[place][1]], at[keys[place][1]]))
    assert read == sorted(read) and [key[1] for key in keys] != sorted(key[1] for key in keys)


def test_evaluation_sees_every_photo_once(shards):
    images = find_images(shards, "val")
    samples = EvalSamples(images, eval_view((16, 16), 1.0), num_classes=3)
    shares = [EvalBatches(len(images), 2, rank=rank, world=2) for rank in range(2)]
    seen_by = [number for share in shares for batch in make_loader(samples, share, 0)
               for number in batch["index"].tolist()]
    assert seen_by == list(range(6))


def test_some_photos_of_shards_are_themselves(shards):
    images = find_images(shards)
    some = images.pick(np.array([7, 2, 11]))
    again = some.pick(np.array([2, 0]))
    whole = by_path(images)
    assert by_path(some) == {path: whole[path] for path in some.paths}
    assert list(again.paths) == [images.paths[11], images.paths[7]] and by_path(again).items() <= whole.items()
    assert again.full_path(1) == images.full_path(7) and ".tar/" in again.full_path(1)
    half = images.pick(np.arange(0, len(images), 2))
    shard_of = images.paths.field("shard")[::2]
    assert np.diff(half.shard_starts()).tolist() == np.bincount(shard_of).tolist()


# ---- tar files of others -------------------------------------------------------------------------------------------


def pack(path, members, format=tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture(scope="module")
def photo():
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("said, labels, classes, numbered", [
    ([("0.cls", b"2\n"), ("1.cls", b"0")], [2, 0], ["0", "1", "2"], True),
    ([("0.cls", b"dog"), ("1.json", b'{"label": "cat"}')], [1, 0], ["cat", "dog"], False),
    ([("0.json", b'{"cls": 1, "caption": "x"}'), ("1.json", b'{"cls": 0}')], [1, 0], ["0", "1"], True),
])
def test_others_say_classes_in_their_ways(said, labels, classes, numbered, format, photo, tmp_path):
    long = "./" + "d" * 80 + "/"
    pack(tmp_path / "a.tar", [part for number, name in enumerate(["0", "1"]) for part in (
        (f"{long}{name}.JPG", photo), (f"{long}{name}.seg.png", b"no photo of ours"),
        *((long + file, data) for file, data in said if file[0] == name))], format)
    assert ppim("data", "index", tmp_path) == 0
    images = find_images(tmp_path)
    assert images.labels.tolist() == labels and (images.classes, images.numbered) == (classes, numbered)
    assert images.photo(1).size == (4, 3) and images.paths[0] == long[2:] + "0.JPG"


def test_what_a_mac_puts_beside_photos_and_files_without_a_suffix_are_passed_over(photo, tmp_path):
    pack(tmp_path / "a.tar", [("README", b"x"), ("._a", b"x"), ("a/._1.jpg", b"x"), ("a/1.jpg", photo),
                              ("a/.DS_Store", b"x"), ("b/2.jpg", photo)])
    assert ppim("data", "index", tmp_path) == 0
    images = find_images(tmp_path)
    assert list(images.paths) == ["a/1.jpg", "b/2.jpg"] and images.photo(0).size == (4, 3)


def test_numbers_that_go_with_folders_have_their_names(photo, tmp_path):
    pack(tmp_path / "a.tar", [(f"{folder}/{at}.{kind}", data) for at, (folder, label) in enumerate(
        [("zebra", 0), ("ant", 1), ("zebra", 0)]) for kind, data in (("jpg", photo), ("cls", b"%d" % label))])
    assert ppim("data", "index", tmp_path) == 0
    images = find_images(tmp_path)
    assert images.classes == ["zebra", "ant"] and images.labels.tolist() == [0, 1, 0] and not images.numbered


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9_000])


def flip_header(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"b/2.jpg")] ^= 1
    path.write_bytes(data)


def compress(path):
    path.write_bytes(gzip.compress(path.read_bytes()))


def test_the_rate_of_a_loader_is_measured_on_shards_as_on_files(folders, shards):
    found = [measured(TrainSamples(find_images(place), POLICY, seed=5, num_classes=3), 19)
             for place in (folders, shards)]
    assert found[0].file_bytes == found[1].file_bytes > 0
    assert found[1].source == f"measured here on 19 photos of {shards / 'train'}" and found[1].per_core > 1


FAULTS = {
    "cut off": (truncate, "a.tar: .*(unexpected end|cut off)"),
    "a header changed": (flip_header, "a.tar: damaged or cut off at byte"),
    "compressed": (compress, "a.tar: compressed by gzip.*unpack it"),
    "no tar": (lambda path: path.write_bytes(b"x" * 5000), "a.tar: no whole tar file"),
    "empty": (lambda path: path.write_bytes(b""), "a.tar: no whole tar file"),
    "compressed by name": (lambda path: path.rename(path.with_name("a.tar.gz")), "a.tar.gz: a compressed tar"),
    "nothing said": (lambda path: pack(path, [("1.jpg", b"x")]), "sample 1 has no class"),
    "two photos": (lambda path: pack(path, [("a/1.jpg", b"x"), ("a/1.png", b"x")]), "sample a/1 has 2 photos"),
    "no photo": (lambda path: pack(path, [("a/1.npy", b"x")]), "sample a/1 has 0 photos"),
    "no samples": (lambda path: pack(path, []), "no sample in 1 tar files"),
    "broken json": (lambda path: pack(path, [("a/1.jpg", b"x"), ("a/1.json", b"{")]), "a/1.json: says no class"),
    "deep json": (lambda path: pack(path, [("a/1.jpg", b"x"), ("a/1.json", b"[" * 99_999)]), "a/1.json: says no class"),
    "several classes": (lambda path: pack(path, [("1.jpg", b"x"), ("1.json", b'{"label": [1, 2]}')]),
                        r"1.json: says no class \(wanted a number or a name, got \[1, 2\]"),
    "null": (lambda path: pack(path, [("1.jpg", b"x"), ("1.json", b'{"label": null}')]), "says no class .*None"),
    "a date": (lambda path: pack(path, [("1.jpg", b"x"), ("1.cls", b"20240131")]), "1.cls: .*one below 1,000,000"),
    "a long number": (lambda path: pack(path, [("1.jpg", b"x"), ("1.cls", b"9" * 30)]), "1.cls: says no class .*999"),
    "a negative number": (lambda path: pack(path, [("1.jpg", b"x"), ("1.cls", b"-1")]),
                          r"1.cls: says no class \(wanted a number from 0 or a name, got -1\)"),
    "two maps of a name": (lambda path: [pack(path.with_name(name), [(f"a/1.{kind}", b"x"), ("a/1.npy", b"x")])
                                         for name, kind in (("a.tar", "jpg"), ("b.tar", "png"))],
                           "two photos with label maps are called a/1 .*rename one"),
    "some say": (lambda path: pack(path, [("a/1.jpg", b"x"), ("a/2.jpg", b"x"), ("a/2.cls", b"1")]),
                 "some samples have a .cls"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_tar_of_samples_is_refused_by_name(fault, photo, tmp_path, capsys):
    pack(tmp_path / "a.tar", [("a/1.jpg", photo * 9), ("b/2.jpg", photo * 9)])
    spoil, why = FAULTS[fault]
    spoil(tmp_path / "a.tar")
    assert ppim("data", "index", tmp_path) == 1
    assert re.search(why, capsys.readouterr().err) and not (tmp_path / FOLDER).exists()


def test_shards_without_an_index_and_those_that_changed_say_what_to_do(photo, tmp_path):
    pack(tmp_path / "a.tar", [("a/1.jpg", photo), ("b/2.jpg", photo)])
    with pytest.raises(ValueError, match="tar files, and nothing that says what is in them; run `ppim data index`"):
        find_images(tmp_path)
    assert ppim("data", "index", tmp_path) == 0
    images = find_images(tmp_path)
    os.utime(tmp_path / "a.tar", ns=(1, 1))
    with pytest.raises(ValueError, match="a.tar: has changed since it was indexed"):
        images.open(0)
    with pytest.raises(ValueError, match="a.tar has changed since; run `ppim data index` again"):
        find_images(tmp_path)
    pack(tmp_path / "b.tar", [("c/1.jpg", photo)])
    assert ppim("data", "index", tmp_path) == 0 and len(find_images(tmp_path)) == 3


def test_names_with_dots_are_told_apart_or_refused(photo, tmp_path, capsys):
    for name in ("a/x.y.jpg", "a/x_y.jpg"):
        draw(tmp_path / "in" / name, 1)
    assert ppim("data", "shards", tmp_path / "in", tmp_path / "out") == 1
    assert "another photo is called a/x_y in tar files" in capsys.readouterr().err
    (tmp_path / "in/a/x_y.jpg").unlink()
    assert ppim("data", "shards", tmp_path / "in", tmp_path / "out") == 0
    assert list(find_images(tmp_path / "out").paths) == ["a/x_y.jpg"]
