"""ImageNet's archives, small ones made here, become class folders: whole, again and again, and nowhere else."""
import gzip
import io
import os
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from ppim.commands import guarded
from ppim.commands.imagenet import lay_out
from ppim.data.class_folders import Counts
from ppim.data.classes import match
from ppim.data.datasets import find_images
from ppim.data.imagenet import classes_of_validation, lay_out_training, lay_out_validation
from tests.helpers import run_python

WNIDS = ["n02119789", "n02100735", "n01440764"]  # in the order of the devkit's ids, which is not alphabetical
TRUTH = [3, 1, 1, 2, 3, 2]  # id of each validation image
DEVKIT = "ILSVRC2012_devkit_t12"


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, "uint8")).save(file, "JPEG")
    return file.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def tar_of(files: dict, path=None, mode="w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            add(tar, name, content)
    if path:
        path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def training_tar(path, wnids=WNIDS, images=3) -> dict:
    """Writes the tar of tars; its images by class and name."""
    content = {w: {f"{w}_{n}.JPEG": picture(40 * n + i) for n in range(images)} for i, w in enumerate(wnids)}
    tar_of({f"{wnid}.tar": tar_of(files) for wnid, files in content.items()}, path)
    return content


def validation_tar(path, images=6) -> dict:
    content = {f"ILSVRC2012_val_{n:08d}.JPEG": picture(30 * n) for n in range(1, images + 1)}
    tar_of(content, path)
    return content


def devkit(path, meta: bytes = b"") -> None:
    truth = "".join(f"{number}\n" for number in TRUTH).encode()
    tar_of({f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt": truth, f"{DEVKIT}/data/meta.mat": meta,
            f"{DEVKIT}/readme.txt": b""}, path, "w:gz")


def found(folder) -> dict:
    """Bytes of the images by class and name."""
    return {path.name: {image.name: image.read_bytes() for image in path.iterdir()} for path in folder.iterdir()}


def by_class(validation: dict) -> dict:
    """By hand: the n-th image is of the class that the n-th id stands for."""
    return {wnid: {name: content for (name, content), number in zip(validation.items(), TRUTH)
                   if WNIDS[number - 1] == wnid} for wnid in WNIDS}


def quiet(_):
    pass


# ---- training ------------------------------------------------------------------------------------------------------


def test_each_tar_of_the_training_tar_becomes_a_class_folder(tmp_path):
    content = training_tar(tmp_path / "train.tar")
    assert lay_out_training(tmp_path / "train.tar", tmp_path / "train", quiet) == Counts(images=9, classes=3)
    assert found(tmp_path / "train") == content


def test_a_broken_archive_leaves_whole_classes_and_a_second_run_goes_on(tmp_path):
    content = training_tar(tmp_path / "whole.tar")
    data = (tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        inside_of_the_last = tar.getmember(f"{WNIDS[2]}.tar").offset_data + 700
    (tmp_path / "broken.tar").write_bytes(data[:inside_of_the_last])
    with pytest.raises(ValueError, match=r"broken\.tar.*(damaged|incomplete).*again"):
        lay_out_training(tmp_path / "broken.tar", tmp_path / "train", quiet)
    whole = [name for name in os.listdir(tmp_path / "train") if not name.startswith(".")]
    assert sorted(whole) == sorted(WNIDS[:2])
    finished = {image: image.stat().st_ino for image in (tmp_path / "train").glob("n*/*")}

    assert lay_out_training(tmp_path / "whole.tar", tmp_path / "train", quiet) == Counts(9, 3)
    assert found(tmp_path / "train") == content
    assert {image: image.stat().st_ino for image in finished} == finished, "a class that was whole is left alone"


@pytest.mark.parametrize("name", ["../out.JPEG", "/out.JPEG", "sub/out.JPEG", "..\\out.JPEG", "..", ".hidden.JPEG"])
def test_a_member_that_is_not_a_plain_name_is_refused(name, tmp_path):
    tar_of({"n01440764.tar": tar_of({"n01440764_1.JPEG": b"x", name: b"x"})}, tmp_path / "train.tar")
    with pytest.raises(ValueError, match=r"n01440764\.tar in .*train\.tar.*out|hidden|\.\."):
        lay_out_training(tmp_path / "train.tar", tmp_path / "deep" / "train", quiet)
    assert not [path for path in tmp_path.rglob("*out*")]
    assert not list((tmp_path / "deep" / "train").glob("n*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind, tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        info = tarfile.TarInfo("n01440764_1.JPEG")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    tar_of({"n01440764.tar": inner.getvalue()}, tmp_path / "train.tar")
    with pytest.raises(ValueError, match="n01440764_1.JPEG.*plain file"):
        lay_out_training(tmp_path / "train.tar", tmp_path / "train", quiet)


def test_an_archive_of_something_else_is_refused(tmp_path):
    validation_tar(tmp_path / "val.tar")
    with pytest.raises(ValueError, match=r"val\.tar.*ILSVRC2012_val_00000001\.JPEG.*nXXXXXXXX\.tar"):
        lay_out_training(tmp_path / "val.tar", tmp_path / "train", quiet)
    (tmp_path / "page.tar").write_text("<html>")
    with pytest.raises(ValueError, match=r"page\.tar"):
        lay_out_training(tmp_path / "page.tar", tmp_path / "train", quiet)


# ---- validation ----------------------------------------------------------------------------------------------------


@pytest.fixture
def synsets(tmp_path):
    path = tmp_path / "synsets.txt"
    path.write_text("".join(f"{wnid} some words\n" for wnid in WNIDS))
    return path


def test_validation_images_go_to_the_class_the_ground_truth_says(tmp_path, synsets):
    devkit(tmp_path / "devkit.tar.gz")
    content = validation_tar(tmp_path / "val.tar")
    classes = classes_of_validation(tmp_path / "devkit.tar.gz", synsets)
    assert classes == [WNIDS[number - 1] for number in TRUTH]
    assert lay_out_validation(tmp_path / "val.tar", classes, tmp_path / "val", quiet) == Counts(6, 3)
    assert found(tmp_path / "val") == by_class(content)


def test_the_classes_are_read_from_the_devkits_mat_file(tmp_path):
    io_of_scipy = pytest.importorskip("scipy.io", reason="meta.mat is read with scipy")
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object),
              ("num_children", object), ("children", object), ("wordnet_height", object), ("num_train_images", object)]
    above = [(4, "n00001740", "entity", "what is", 3, np.array([1, 2, 3]), 2, 0)]  # not a class but their parent
    rows = [(number, wnid, "words", "gloss", 0, np.zeros(0), 0, 1300) for number, wnid in enumerate(WNIDS, 1)]
    file = io.BytesIO()
    io_of_scipy.savemat(file, {"synsets": np.array([*rows, *above], fields).reshape(-1, 1)})
    devkit(tmp_path / "devkit.tar.gz", file.getvalue())
    assert classes_of_validation(tmp_path / "devkit.tar.gz", None) == [WNIDS[number - 1] for number in TRUTH]


def test_without_scipy_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    devkit(tmp_path / "devkit.tar.gz")
    with pytest.raises(ValueError, match=r"pip install scipy.*--synsets"):
        classes_of_validation(tmp_path / "devkit.tar.gz", None)


def test_a_damaged_mat_file_is_told(tmp_path):
    pytest.importorskip("scipy.io", reason="meta.mat is read with scipy")
    devkit(tmp_path / "devkit.tar.gz", b"\0" * 300)
    with pytest.raises(ValueError, match=r"meta\.mat in .*devkit\.tar\.gz"):
        classes_of_validation(tmp_path / "devkit.tar.gz", None)


@pytest.mark.parametrize("spoil", [
    lambda data: data[:30] + bytes(byte ^ 0xFF for byte in data[30:60]) + data[60:],
    lambda data: gzip.compress(gzip.decompress(data), 0)[:-400_000] + b"\xff" * 400_000,  # of no kind of block
    lambda data: data[:len(data) // 2],
    lambda data: b"",
])
def test_a_damaged_devkit_is_told(tmp_path, spoil):
    devkit(tmp_path / "devkit.tar.gz", repr(list(range(400_000))).encode())
    content = spoil((tmp_path / "devkit.tar.gz").read_bytes())
    (tmp_path / "devkit.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"devkit\.tar\.gz: damaged, incomplete or no tar .*; get it again") as told:
        classes_of_validation(tmp_path / "devkit.tar.gz", None)
    assert "\n" not in str(told.value)
    with pytest.raises(FileNotFoundError):
        classes_of_validation(tmp_path / "none.tar.gz", None)


def test_what_does_not_belong_together_is_refused(tmp_path, synsets):
    devkit(tmp_path / "devkit.tar.gz")
    synsets.write_text(f"{WNIDS[0]}\n{WNIDS[1]}\n")
    with pytest.raises(ValueError, match=r"synsets\.txt.*2 classes.*id 3"):
        classes_of_validation(tmp_path / "devkit.tar.gz", synsets)
    synsets.write_text("fish\n")
    with pytest.raises(ValueError, match=r"synsets\.txt:1.*n01440764.*fish"):
        classes_of_validation(tmp_path / "devkit.tar.gz", synsets)
    tar_of({"readme.txt": b""}, tmp_path / "other.tar.gz", "w:gz")
    with pytest.raises(ValueError, match=r"other\.tar\.gz.*ILSVRC2012_validation_ground_truth\.txt"):
        classes_of_validation(tmp_path / "other.tar.gz", synsets)
    validation_tar(tmp_path / "val.tar", images=7)
    with pytest.raises(ValueError, match=r"val_00000007\.JPEG.*6 images"):
        lay_out_validation(tmp_path / "val.tar", [WNIDS[0]] * 6, tmp_path / "val", quiet)
    assert not (tmp_path / "val").exists()


def test_an_interrupted_validation_split_goes_on_and_appears_whole(tmp_path):
    classes = [WNIDS[number - 1] for number in TRUTH]
    content = validation_tar(tmp_path / "val.tar")
    data = (tmp_path / "val.tar").read_bytes()
    (tmp_path / "broken.tar").write_bytes(data[:len(data) // 2])
    with pytest.raises(ValueError, match=r"broken\.tar"):
        lay_out_validation(tmp_path / "broken.tar", classes, tmp_path / "val", quiet)
    assert not (tmp_path / "val").exists()
    done = {path: path.stat().st_ino for path in tmp_path.rglob("*_val_*.JPEG")}
    assert done
    cut = sorted(done)[0]
    os.truncate(cut, 10)  # as if the machine had stopped while it was written

    assert lay_out_validation(tmp_path / "val.tar", classes, tmp_path / "val", quiet) == Counts(6, 3)
    assert found(tmp_path / "val") == by_class(content)
    kept = {path.stat().st_ino for path in (tmp_path / "val").rglob("*.JPEG")}
    assert {number for path, number in done.items() if path != cut} <= kept
    (tmp_path / "val.tar").unlink()
    assert lay_out_validation(tmp_path / "val.tar", classes, tmp_path / "val", quiet) == Counts(6, 3), "it is there"


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_lays_out_both_splits_and_a_second_run_finds_them(tmp_path, synsets):
    training_tar(tmp_path / "ILSVRC2012_img_train.tar")
    validation_tar(tmp_path / "ILSVRC2012_img_val.tar")
    devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz")
    command = ["tools/prepare_imagenet.py", tmp_path, "--output", tmp_path / "imagenet", "--synsets", synsets]
    for _ in range(2):
        done = run_python(*command)
        assert done.returncode == 0, done.stderr
        assert "train: 9 images in 3 classes (ILSVRC2012 has 1,281,167 in 1,000)" in done.stdout
        assert "val: 6 images in 3 classes (ILSVRC2012 has 50,000 in 1,000)" in done.stdout
    train, val = (find_images(tmp_path / "imagenet", split) for split in ("train", "val"))
    assert match(val, train.classes, "train").labels.tolist() == val.labels.tolist()
    assert val.classes == sorted(WNIDS) and len(val) == 6
    assert sorted(os.listdir(tmp_path / "imagenet")) == ["train", "val"]


def test_the_command_takes_what_there_is_and_says_what_is_missing(tmp_path):
    command = ["tools/prepare_imagenet.py", tmp_path, "--output", tmp_path / "imagenet"]
    done = run_python(*command)
    assert done.returncode == 1 and "ILSVRC2012_img_train.tar" in done.stderr and str(tmp_path) in done.stderr
    training_tar(tmp_path / "ILSVRC2012_img_train.tar")
    done = run_python(*command)
    assert done.returncode == 0 and "no ILSVRC2012_img_val.tar" in done.stdout
    validation_tar(tmp_path / "ILSVRC2012_img_val.tar")
    done = run_python(*command)
    assert done.returncode == 1 and "ILSVRC2012_devkit_t12.tar.gz" in done.stderr


def test_validation_images_alone_are_laid_out_too(tmp_path, synsets, capsys):
    validation_tar(tmp_path / "ILSVRC2012_img_val.tar")
    devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz")
    words = [str(tmp_path), "--output", str(tmp_path / "imagenet"), "--synsets", str(synsets)]
    assert guarded(lay_out, words) == 0
    out = capsys.readouterr().out
    assert "train: no ILSVRC2012_img_train.tar" in out and "val: 6 images in 3 classes" in out


def test_zeros_that_a_power_cut_left_in_an_unfinished_split_are_written_anew(tmp_path, synsets):
    images = validation_tar(tmp_path / "val.tar")
    devkit(tmp_path / "devkit.tar.gz")
    classes = classes_of_validation(tmp_path / "devkit.tar.gz", synsets)
    name, content = sorted(images.items())[0]
    unfinished = tmp_path / ".val.part" / classes[0] / name
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(bytes(len(content)))
    assert lay_out_validation(tmp_path / "val.tar", classes, tmp_path / "val", quiet) == Counts(6, 3)
    assert (tmp_path / "val" / classes[0] / name).read_bytes() == content
