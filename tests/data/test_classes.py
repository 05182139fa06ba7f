"""Classes by name: the right place whatever else is there, the nearest where a name is unknown, ImageNet's own list."""
from __future__ import annotations

import tarfile

import numpy as np
import pytest
from PIL import Image

from ppim.data.classes import (
    difference,
    imagenet_classes,
    in_words,
    match,
    read_names,
    write_names,
)
from ppim.data.datasets import find_images

ANIMALS = ["bird", "cat", "dog", "鱼", "马"]


def folders(root, *classes):
    """The images of class folders of these names, two in each."""
    for name in classes:
        for number in (1, 2):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3)).save(path)
    return find_images(root)


def listed(root, text):
    root.mkdir(exist_ok=True)
    (root / "val_list.txt").write_text(text, encoding="utf-8")
    return find_images(root, "val")


@pytest.mark.smoke
def test_some_of_the_classes_have_the_places_they_have_among_all(tmp_path):
    images = match(folders(tmp_path / "some", "马", "dog", "bird"), ANIMALS, "w")
    assert images.classes == ANIMALS and len(images) == 6
    assert [ANIMALS[label] for label in images.labels] == [path.split("/")[0] for path in images.paths]
    assert images.labels.dtype == np.int64 and sorted(set(images.labels.tolist())) == [0, 2, 4]


def test_names_in_a_list_are_matched_as_folders_are(tmp_path):
    images = match(listed(tmp_path, "a.png 马\nb.png cat\n"), ANIMALS, "w")
    assert images.labels.tolist() == [4, 1] and images.classes == ANIMALS


def test_an_unknown_class_is_named_with_the_nearest_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="w.pdparams has not: dogs; nearest to dogs is dog ") as caught:
        match(folders(tmp_path, "bird", "dogs"), ANIMALS, "w.pdparams")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_is_the_same_however_its_accents_are_composed(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert match(folders(tmp_path, apart), ["bar", composed], "w").labels.tolist() == [1, 1]
    assert difference({"these": [composed], "those": [apart]}) == ""


def test_numbers_in_a_list_are_places_and_not_beyond_the_last(tmp_path):
    images = listed(tmp_path, "a.png 4\nb.png 0\n")
    assert match(images, ANIMALS, "w").labels.tolist() == [4, 0]
    with pytest.raises(ValueError, match=r"class 4 \(a.png\), w has 4 classes, 0 .. 3"):
        match(images, ANIMALS[:4], "w")


def test_numbers_are_refused_where_folders_are_called_by_other_numbers_than_their_places(tmp_path):
    images = listed(tmp_path, "a.png 2\n")
    with pytest.raises(ValueError, match="class 2 in order of names is called 10; call the folders 00"):
        match(images, sorted(["0", "1", "2", "10"]), "w")
    assert match(images, ["00", "01", "02", "10"][:3], "w").labels.tolist() == [2]
    # folders are known by name, so that theirs may be any numbers
    assert match(folders(tmp_path / "f", "10"), sorted(["0", "1", "2", "10"]), "w").labels.tolist() == [2, 2]


def test_a_numbered_training_list_has_no_names_and_takes_those_it_is_given(tmp_path):
    images = listed(tmp_path, "a.png 2\nb.png 0\n")
    assert images.names == () and match(images, ["0", "1", "2"], "w").names == ()
    assert match(images, ANIMALS, "w").names == tuple(ANIMALS)


@pytest.mark.parametrize(("here", "there", "words"), [
    ("abc", "abc", ""),
    ("abc", "bcd", "only these have a, only those have d"),
    ("ab", "abcdef", "only those have c, d, e and 1 more"),
    ("abc", "acb", "the same in another order, class 1 is b for these and c for those"),
])
def test_in_what_two_lists_differ(here, there, words):
    assert difference({"these": list(here), "those": list(there)}) == words


def test_a_list_of_names_comes_back_in_any_script_and_spelling(tmp_path):
    names = ("golden retriever", "猫", "Ñandú", b"\xb0\xa1".decode(errors="surrogateescape"))
    write_names(tmp_path / "classes.txt", names)
    assert read_names(str(tmp_path / "classes.txt")) == names
    (tmp_path / "windows.txt").write_bytes("\ufeff猫\r\nmy dog \r\n\r\n".encode())
    assert read_names(str(tmp_path / "windows.txt")) == ("猫", "my dog")


@pytest.mark.parametrize(("text", "words"), [("a\nb\na\n", "'a' stands there twice"), ("\n \n", "it is empty")])
def test_a_list_of_names_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(ValueError, match=f"c.txt: .*{words}"):
        read_names(str(tmp_path / "c.txt"))
    with pytest.raises(FileNotFoundError, match="gone.txt: no such list"):
        read_names(str(tmp_path / "gone.txt"))


@pytest.mark.smoke
def test_a_list_may_name_as_many_classes_as_imagenet_21k(tmp_path):
    names = [f"n{number:08}" for number in range(21_841)]
    (tmp_path / "c.txt").write_text("\n".join(names))
    assert read_names(str(tmp_path / "c.txt")) == tuple(names)
    (tmp_path / "c.txt").write_text("\n".join([*names, names[7]]))
    with pytest.raises(ValueError, match="'n00000007' stands there twice"):
        read_names(str(tmp_path / "c.txt"))


def test_imagenets_classes_are_in_the_order_of_published_heads():
    names = imagenet_classes()
    assert len(set(names)) == 1000 and list(names) == sorted(names) and read_names("imagenet") == names
    words = [in_words(name) for name in names]
    assert len(set(words)) == 1000
    # numbers that are quoted everywhere
    for number, word in ((0, "tench"), (207, "golden retriever"), (281, "tabby"), (388, "giant panda"),
                         (504, "coffee mug"), (751, "racer"), (999, "toilet tissue")):
        assert words[number] == word
    assert in_words("my dog") == "my dog"


def test_imagenets_words_are_those_in_the_names_of_real_files(shared_data):
    with tarfile.open(shared_data / "imagenet_samples.tar") as tar:
        files = [name.rsplit("/", 1)[1] for name in tar.getnames() if name.endswith(".JPEG")]
    said = dict(name.removesuffix(".JPEG").split("_", 1) for name in files)
    assert len(said) > 200
    ours = {name: in_words(name).replace(" ", "_") for name in said}
    assert {name: (ours[name], word) for name, word in said.items() if ours[name].lower() != word.lower()} == {}
