"""`ppim labels show`: the photos meant, with maps, training samples and a model's words, on one page and one sheet."""
import shutil

import pytest
from PIL import Image

from ppim.commands.labels_show import show_labels
from ppim.data import shapes
from ppim.token_labels.card import read_card, save_card


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    shapes.write_dataset(root, train=20, val=10)
    return root


def shown(drawn, output, *more):
    show_labels([str(drawn / "labels" / "train"), "--images", str(drawn / "data"), "--output", str(output), *more])
    return (output / "index.html").read_text(encoding="utf-8")


def test_photos_are_shown_with_what_training_makes_of_them(drawn, tmp_path):
    page = shown(drawn, tmp_path, "-c", "lvvit_demo", "--photos", "12")
    assert page.count("<section class=photo>") == 12 and page.count("<figure>") == 12 * 5
    assert page.count("what its tokens are taught") == 12
    assert len(page.encode()) < 1_000_000
    assert Image.open(tmp_path / "sheet.png").width == 5 * (220 + 16) + 16


def test_photos_are_named_and_classes_called_as_a_file_says(drawn, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"第{i}类" for i in range(10)), encoding="utf-8")
    path = sorted((drawn / "data" / "train").rglob("*.*"))[3]
    page = shown(drawn, tmp_path, "--pick", f"{path.parent.name}/{path.name}", "--names", str(names))
    assert page.count("<section class=photo>") == 1 and path.name in page and "第" in page


def test_mistakes_say_what_to_do(drawn, tmp_path):
    with pytest.raises(ValueError, match="--pick nowhere.jpg: no photo of .* give its path there, e.g. "):
        shown(drawn, tmp_path, "--pick", "nowhere.jpg")
    with pytest.raises(ValueError, match="leave --split out, or -c"):
        shown(drawn, tmp_path, "-c", "lvvit_demo", "--split", "val")


def test_photos_of_some_classes_of_the_maps_are_shown_as_the_refusal_says(drawn, tmp_path):
    """Of the commands on label maps `--classes` is a number, so that the key had to be guessed."""
    some, maps, names = tmp_path / "data", tmp_path / "maps", tmp_path / "names.txt"
    (some / "train").mkdir(parents=True)
    for name in shapes.CLASSES[:2]:
        (some / "train" / name).symlink_to(drawn / "data" / "train" / name)
    names.write_text("\n".join(sorted(shapes.CLASSES)), encoding="utf-8")
    shutil.copytree(drawn / "labels" / "train", maps)
    save_card(maps, read_card(maps), {"num_classes": len(shapes.CLASSES), "classes": sorted(shapes.CLASSES)})
    words = [str(maps), "--images", str(some), "-c", "lvvit_demo", "--output", str(tmp_path)]
    with pytest.raises(ValueError, match=r"name all of them with --classes FILE \(-o MODEL.CLASSES FILE\)$"):
        show_labels(words)
    show_labels([*words, "-o", "MODEL.CLASSES", str(names)])
    assert "what its tokens are taught" in (tmp_path / "index.html").read_text(encoding="utf-8")
