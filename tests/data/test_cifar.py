"""CIFAR's archives, small ones written here byte by byte, become class folders: the same from both forms, and nothing
that a damaged or dishonest one says."""
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from ppim.commands import guarded
from ppim.commands.cifar import unpack_cifar

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HUNDRED = [f"class_{number}" for number in range(100)]
RNG = np.random.default_rng(5)
TRAIN = [RNG.integers(0, 256, (4, 3072), np.uint8) for _ in range(5)]  # five files of four photos
TEST = RNG.integers(0, 256, (3, 3072), np.uint8)
LABELS = [[6, 9, 9, 4], [1, 1, 2, 7], [8, 3, 4, 7], [7, 2, 9, 9], [9, 3, 2, 6]]
TEST_LABELS = [3, 8, 8]


def record(pixels, *labels) -> bytes:
    return b"".join(bytes([*(column[i] for column in labels)]) + row.tobytes() for i, row in enumerate(pixels))


def by_python_2(pixels, key: str, labels) -> bytes:
    """The steps by which Python 2 wrote a dict of an array and a list, protocol 2."""
    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    content = pixels.tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R(K\x01M"
             + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R(K\x03"
             + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(content))
             + content + b"tb")
    numbers = b"](" + b"".join(b"K" + bytes([n]) for n in labels) + b"e"
    return b"\x80\x02}(" + text("data") + array + text(key) + numbers + b"u."


def archive(path, folder: str, files: dict):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"readme.html": b"<html>", **files}.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def binary_10(path, **odd):
    files = {f"data_batch_{n + 1}.bin": record(TRAIN[n], LABELS[n]) for n in range(5)}
    # the archive's order is none that counts
    files = {"test_batch.bin": record(TEST, TEST_LABELS), **dict(reversed(files.items())),
             "batches.meta.txt": ("\n".join(TEN) + "\n\n").encode(), **odd}
    return archive(path, "cifar-10-batches-bin", files)


def python_10(path, **odd):
    files = {f"data_batch_{n + 1}": by_python_2(TRAIN[n], "labels", LABELS[n]) for n in range(5)}
    files |= {"test_batch": by_python_2(TEST, "labels", TEST_LABELS),
              "batches.meta": pickle.dumps({"label_names": TEN, "num_vis": 3072}, protocol=2), **odd}
    return archive(path, "cifar-10-batches-py", files)


def binary_100(path):
    fine = [[90 + n for n in batch] for batch in LABELS]
    files = {"train.bin": b"".join(record(TRAIN[n], [0] * 4, fine[n]) for n in range(5)),
             "test.bin": record(TEST, [1] * 3, [0, 99, 99]), "fine_label_names.txt": "\n".join(HUNDRED).encode(),
             "coarse_label_names.txt": b"fish\nflowers"}
    return archive(path, "cifar-100-binary", files)


def python_100(path):
    fine = [90 + n for batch in LABELS for n in batch]
    files = {"train": by_python_2(np.concatenate(TRAIN), "fine_labels", fine),
             "test": by_python_2(TEST, "fine_labels", [0, 99, 99]),
             "meta": pickle.dumps({"fine_label_names": HUNDRED, "coarse_label_names": ["fish"]}, protocol=2)}
    return archive(path, "cifar-100-python", files)


def wanted(names, labels, pixels) -> dict:
    """By hand: photos by class and number, in the order of the files."""
    found = {name: {} for name in names}
    for label, row in zip(labels, pixels):
        of_class = found[names[label]]
        photo = [[[int(row[1024 * plane + 32 * y + x]) for plane in range(3)] for x in range(32)] for y in range(32)]
        of_class[f"{len(of_class):04d}"] = photo
    return found


def read(folder) -> dict:
    return {path.name: {photo.stem: np.asarray(Image.open(photo)).tolist() for photo in sorted(path.iterdir())}
            for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("make", [binary_10, python_10])
def test_both_forms_of_cifar_10_become_the_same_photos(tmp_path, make, capsys):
    unpack_cifar([str(make(tmp_path / "a.tar.gz")), "--output", str(tmp_path / "out")])
    flat = [n for batch in LABELS for n in batch]
    assert read(tmp_path / "out" / "train") == wanted(TEN, flat, np.concatenate(TRAIN))
    assert read(tmp_path / "out" / "test") == wanted(TEN, TEST_LABELS, TEST)
    assert {path.suffix for path in (tmp_path / "out").rglob("*.*")} == {".png"}
    told = capsys.readouterr().out
    assert "20 photos of 10 classes (cifar10 has 50,000)" in told and "(cifar10 has 10,000)" in told


@pytest.mark.parametrize("make", [binary_100, python_100])
def test_both_forms_of_cifar_100_become_its_fine_classes(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unpack_cifar([str(make(tmp_path / "a.tar.gz"))])
    flat = [90 + n for batch in LABELS for n in batch]
    assert read(tmp_path / "data" / "cifar100" / "train") == dict(sorted(
        wanted(HUNDRED, flat, np.concatenate(TRAIN)).items()))
    assert read(tmp_path / "data" / "cifar100" / "test") == dict(sorted(wanted(HUNDRED, [0, 99, 99], TEST).items()))


def test_jpeg_files_are_of_the_quality_asked_for(tmp_path):
    unpack_cifar([str(binary_10(tmp_path / "a.tar.gz")), "--output", str(tmp_path / "out"), "--quality", "75"])
    photo = Image.open(tmp_path / "out" / "train" / "frog" / "0001.jpg")
    like = io.BytesIO()
    Image.fromarray(np.array(wanted(TEN, [6], TRAIN[4][3:])["frog"]["0000"], np.uint8)).save(like, "JPEG", quality=75)
    assert photo.quantization == Image.open(like).quantization and np.array_equal(photo, Image.open(like))


def test_what_is_there_is_left_alone_and_what_was_begun_is_made_anew(tmp_path, capsys):
    (tmp_path / "out" / "test" / "cat").mkdir(parents=True)
    (tmp_path / "out" / "test" / "cat" / "mine.jpg").write_bytes(b"")
    (tmp_path / "out" / ".train.part" / "cat").mkdir(parents=True)
    (tmp_path / "out" / ".train.part" / "cat" / "0007.png").write_bytes(b"half")
    unpack_cifar([str(binary_10(tmp_path / "a.tar.gz")), "--output", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out" / "train" / "cat").iterdir()) == ["0000.png", "0001.png"]
    assert [path.name for path in (tmp_path / "out").glob("test/*/*")] == ["mine.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test", "train"]


class Evil:
    def __reduce__(self):
        return eval, ("open('pwned', 'w')",)


@pytest.mark.parametrize("make, odd, said", [
    (python_10, {"data_batch_3": pickle.dumps(Evil(), protocol=2)}, "wanted plain arrays, found a call of"),
    *((python_10, {"batches.meta": pickle.dumps({"label_names": names}, protocol=2)}, "does not name classes")
      for names in (["../a", "b"], [*TEN[:9], "cat"], "cat", [])),
    (python_10, {"data_batch_2": by_python_2(TRAIN[1], "labels", LABELS[1][:3])}, "wanted uint8 pixels of shape"),
    (python_10, {"data_batch_2": by_python_2(TRAIN[1], "other", LABELS[1])}, "has no data and labels"),
    (python_10, {"data_batch_2": by_python_2(TRAIN[1], "labels", LABELS[1])[:-900]}, "damaged or cut off"),
    (binary_10, {"data_batch_2.bin": b"\x00" * 3072}, "no whole records of 3,073"),
    (binary_10, {"data_batch_2.bin": record(TRAIN[1], [1, 2, 3, 10])}, "a label is 10, there are 10 classes"),
    (binary_10, {"batches.meta.txt": b""}, "does not name classes"),
])
def test_what_is_damaged_or_says_more_than_photos_is_refused(tmp_path, monkeypatch, capsys, make, odd, said):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "a.tar.gz", **odd)
    assert guarded(unpack_cifar, [str(path), "--output", "out"]) == 1
    error = capsys.readouterr().err
    assert said in error and str(path) in error and error.count("\n") == 1
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.tar.gz"]


def test_what_is_no_archive_of_cifar_is_refused(tmp_path, capsys):
    other = archive(tmp_path / "other.tar.gz", "other", {})
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(binary_10(tmp_path / "a.tar.gz").read_bytes()[:-3000])
    lacking = archive(tmp_path / "lacking.tar.gz", "x", {"batches.meta.txt": "\n".join(TEN).encode()})
    text = tmp_path / "text"
    text.write_text("no tar")
    for path, said in ((other, "no archive of CIFAR-10"), (cut, "get it again"), (lacking, "has no data_batch_1.bin"),
                       (text, "no tar"), (tmp_path / "none.tar", "none.tar")):
        assert guarded(unpack_cifar, [str(path), "--output", str(tmp_path / "out")]) == 1
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        guarded(unpack_cifar, [str(other), "--quality", "0"])
    assert "argument --quality: wants 1 to 95; got 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
