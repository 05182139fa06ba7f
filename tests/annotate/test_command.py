"""`ppim labels make` with every kind of annotator but ours: what is typed, what lies there then, what the card says."""
from __future__ import annotations

import json
import os

import numpy as np
import paddle
import pytest
from paddle.static import InputSpec
from PIL import Image

from ppim.annotate.areas import cells_of_mask
from ppim.commands import guarded
from ppim.commands.labels import ending_with, make
from ppim.commands.labels_pack import pack_labels
from ppim.data.photos import photo_size
from ppim.token_labels.card import CARD, read_card
from ppim.token_labels.maps import read_map
from ppim.token_labels.store import open_maps

NAMES = ["red", "green", "blue"]


@pytest.fixture
def folder(tmp_path):
    """Photos of 12 x 8 pixels in three class folders, a mask of each, the names of the classes."""
    rng = np.random.default_rng(0)
    for number in range(21):
        name = f"{NAMES[number % 3]}/{number}"
        pixels = np.full((8, 12, 3), 40, np.uint8)
        pixels[..., number % 3] = rng.integers(120, 255, (8, 12))
        for kind in ("photos", "masks"):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
        mask = Image.fromarray(rng.choice([0, 1, 2, 3, 255], (8, 12)).astype(np.uint8), mode="L")
        mask.save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    return tmp_path


def run(folder, *words):
    return guarded(make, [*map(str, words), "--images", str(folder / "photos"), "--output", str(folder / "maps")])


def card(folder):
    return json.loads((folder / "maps" / CARD).read_text())


def test_masks_make_maps_of_areas(folder, capsys):
    words = "--masks", folder / "masks", "--classes", folder / "names.txt", "--grid", "3", "5"
    assert run(folder, *words) == 0
    assert "21 maps of 3 x 5 cells written" in capsys.readouterr().out
    mask = np.array(Image.open(folder / "masks" / "blue" / "5.png"))
    stored = read_map(str(folder / "maps" / "blue" / "5.npy"), 3)
    for mine, theirs in zip(stored, cells_of_mask(mask, (3, 5), 3, 3, (0.0, 0.0, 1.0, 1.0))):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3)
    told = card(folder)
    assert (told["model"], told["masks"], told["grid"], told["classes"]) == ("masks", "masks", [3, 5], NAMES)
    assert read_card(folder / "maps").log_z and read_card(folder / "maps").exif == "apply"
    assert run(folder, *words) == 0 and "0 maps of 3 x 5 cells written" in capsys.readouterr().out
    assert run(folder, *words, "--centre-crop", "1.0") == 1 and "another annotator" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "words"), [(NAMES, ["--top-k", "1"]), (NAMES[:1], [])])
def test_a_photo_that_shows_nothing_has_a_map_though_one_class_is_kept(folder, capsys, names, words):
    (folder / "names.txt").write_text("\n".join(names))
    for path in (folder / "masks").rglob("*.png"):
        Image.fromarray(np.full((8, 12), path.stem != "5", np.uint8)).save(path)
    words = "--masks", folder / "masks", "--classes", folder / "names.txt", "--grid", "2", *words
    assert run(folder, *words) == 0
    empty = read_map(str(folder / "maps" / "blue" / "5.npy"), len(names))
    assert not empty.scores.any() and not empty.ids.any()
    np.testing.assert_allclose(empty.log_z, np.log(len(names)), rtol=1e-3)
    assert guarded(pack_labels, [str(folder / "maps"), str(folder / "pack")]) == 0
    assert open_maps(folder / "pack", len(names)).read("blue/5.png", (12, 8)).scores.tolist() == empty.scores.tolist()
    assert run(folder, *words) == 0 and "21 kept" in capsys.readouterr().out


def test_maps_of_another_annotator_go_before_the_first_new_one_comes(folder, capsys):
    """So that a run which is broken off right then and started again without --overwrite keeps none of them."""
    words = "--masks", folder / "masks", "--classes", folder / "names.txt"
    assert run(folder, *words) == 0
    left = folder / "maps" / "red" / ".0.npy.123"
    left.write_bytes(b"unfinished")
    (folder / "masks" / "blue" / "2.png").unlink()
    assert run(folder, *words, "--centre-crop", "0.5", "--overwrite") == 1
    assert "2.png: no such mask" in capsys.readouterr().err
    assert not list((folder / "maps").rglob("*.npy")) and not left.exists()
    assert read_card(folder / "maps").crop_pct == 0.5


def test_maps_of_another_annotator_go_beyond_the_limit_too(folder, capsys):
    """They stayed, and the next start without a limit took them for those of the annotator that the card names."""
    words = "--masks", folder / "masks", "--classes", folder / "names.txt"
    assert run(folder, *words) == 0 and len(list((folder / "maps").rglob("*.npy"))) == 21
    assert run(folder, *words, "--centre-crop", "0.5", "--overwrite", "--limit", "3") == 0
    assert len(list((folder / "maps").rglob("*.npy"))) == 3
    capsys.readouterr()
    assert run(folder, *words, "--centre-crop", "0.5") == 0
    assert "18 maps of 18 x 18 cells written" in (seen := capsys.readouterr().out) and "3 kept" in seen


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_below_one_photo_is_refused(folder, capsys, limit):
    with pytest.raises(SystemExit):
        run(folder, "--masks", folder / "masks", "--classes", folder / "names.txt", "--limit", limit)
    assert f"argument --limit: wants at least 1; got {limit}" in capsys.readouterr().err
    assert not (folder / "maps").exists()


def test_boxes_make_maps_of_areas_and_photos_may_have_been_scaled_since(folder, capsys):
    told = {"images": [{"id": number, "file_name": f"{NAMES[number % 3]}/{number}.png", "width": 120, "height": 80}
                       for number in range(21)],
            "categories": [{"id": 9, "name": "green"}, {"id": 5, "name": "red"}],
            "annotations": [{"id": 1, "image_id": 4, "category_id": 9, "bbox": [30, 0, 45, 80],
                             "segmentation": [[30, 0, 75, 0, 75, 80]]}]}
    (folder / "boxes.json").write_text(json.dumps(told))
    words = "--boxes", folder / "boxes.json", "--classes", folder / "names.txt", "--grid", "1", "4"
    assert run(folder, *words) == 0
    assert "of 1 outlines" in capsys.readouterr().out
    stored = read_map(str(folder / "maps" / "green" / "4.npy"), 3)
    np.testing.assert_allclose(stored.scores[0, 0], np.log1p(np.array([0, 100, 50, 0])), rtol=1e-3)
    assert stored.ids[0, 0].tolist() == [0, 1, 1, 0]
    assert card(folder)["boxes"] == "boxes.json" and len(card(folder)["boxes_sha256"]) == 64
    told["images"][4]["width"] = 40
    (folder / "boxes.json").write_text(json.dumps(told))
    assert run(folder, *words, "--overwrite") == 1
    assert "drawn on 40 x 80 pixels, green/4.png has 12 x 8, which is another shape" in capsys.readouterr().err
    (folder / "photos" / "blue" / "4.png").write_bytes((folder / "photos" / "green" / "4.png").read_bytes())
    assert run(folder, *words, "--overwrite") == 1
    assert "lists green/4.png, and both blue/4.png and green/4.png could be meant" in capsys.readouterr().err


class Pooled(paddle.nn.Layer):
    """Logits are colours, (B, h, w, C) of a 2 x 2 grid."""

    def __init__(self):
        super().__init__()
        self.loudness = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(2.0))

    def forward(self, x):
        return self.loudness * paddle.nn.functional.adaptive_avg_pool2d(x, (2, 2)).transpose([0, 2, 3, 1])


def test_a_saved_network_names_cells_and_is_told_how_often_it_is_right_and_teaches_features(folder, capsys):
    paddle.jit.save(Pooled(), str(folder / "net"), input_spec=[InputSpec([None, 3, 8, 8])])
    file = folder / ("net.pdmodel" if paddle.__version__.startswith("2.") else "net.json")
    words = "--annotator", file, "--input-size", "8", "--mean", *"000", "--std", *"111"
    assert run(folder, *words) == 1 and "--cells" in capsys.readouterr().err
    assert run(folder, *words, "--classes", folder / "names.txt") == 0
    assert "this annotator is right on 100.0 % of 21 of these photos" in capsys.readouterr().out
    told = card(folder)
    assert (told["model"], told["weights"], told["classes"], told["grid"]) == ("net", "net.pdiparams", NAMES, [2, 2])
    stored = read_map(str(folder / "maps" / "blue" / "5.npy"), 3)
    assert (stored.ids[0] == 2).all()
    # the same network, as if it knew no classes: pictures teach it that the second is called blue now
    (folder / "photos" / "green").rename(folder / "aside")
    for kind in ("photos", "masks"):  # a name may be no text
        (folder / kind / "blue" / "2.png").rename(folder / kind / "blue" / os.fsdecode(b"2\xe9.png"))
    assert run(folder, *words, "--cells", "BHWC", "--labelled", folder / "photos", "--head", "knn", "--overwrite") == 0
    assert "the head is right on 100.0 % of 2 labelled pictures" in capsys.readouterr().out
    told = card(folder)
    assert (told["classes"], told["head"], told["labelled_photos"]) == (["blue", "red"], "knn", 14)
    assert told["scores"] == "log(1 + 100 x share)"
    assert (read_map(str(folder / "maps" / "blue" / "5.npy"), 2).ids[0] == 0).all()
    masks = "--labelled-masks", folder / "masks", "--classes", folder / "names.txt"
    assert run(folder, *words, "--cells", "BHWC", "--labelled", folder / "photos", *masks, "--overwrite") == 0
    assert "labelled cells of 2 pictures" in capsys.readouterr().out and card(folder)["classes"] == NAMES
    # one was drawn on its photo as it is stored, which is turned upright before the network sees it
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = folder / "photos" / "red" / "0.png"
    Image.open(photo).save(photo, exif=turned)
    assert run(folder, *words, "--cells", "BHWC", "--labelled", folder / "photos", *masks, "--overwrite") == 1
    assert "drawn on the photo turned; take -o DATA.EXIF ignore" in capsys.readouterr().err
    assert run(folder, *words, "--cells", "BHWC", "--labelled", folder / "photos", *masks, "--overwrite", "-o",
               "DATA.EXIF", "ignore") == 0


def test_a_network_of_others_may_be_shown_photos_of_two_sides(folder):
    paddle.jit.save(paddle.nn.Conv2D(3, 3, 4, stride=4), str(folder / "wide"),
                    input_spec=[InputSpec([None, 3, None, None])])
    file = folder / ("wide.pdmodel" if paddle.__version__.startswith("2.") else "wide.json")
    assert run(folder, "--annotator", file, "--input-size", "8", "16", "--classes", folder / "names.txt", "--overwrite",
               ) == 0
    told = card(folder)
    assert (told["input_size"], told["grid"]) == ([8, 16], [2, 4])
    assert read_map(str(folder / "maps" / "blue" / "5.npy"), 3).scores.shape == (3, 2, 4)


@pytest.mark.parametrize(("words", "told"), [
    ([], "wanted one annotator"), (["--load", "a", "--masks", "b"], "got --load and --masks"),
    (["--masks", "b", "--labelled", "c"], "--masks needs none"), (["--load", "a", "--cells", "BCHW"], "--annotator"),
    (["--load", "a", "--input-size", "8", "16", "4"], "--input-size wants HEIGHT WIDTH, or one side"),
    (["--annotator", "a", "--input-size", "8", "16", "4"], "--input-size wants HEIGHT WIDTH, or one side"),
    (["--load", "a", "--labelled-masks", "c"], "--labelled DIR"), (["--masks", "b", "--grid", "1", "2", "3"], "ROWS"),
])
def test_options_that_do_not_go_together_are_told_at_once(folder, capsys, words, told):
    with pytest.raises(SystemExit):
        run(folder, *words)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("words", "told"), [
    (["--masks", "masks"], "--masks needs --classes FILE"), (["--annotator", "net.pt"], "weights of models of ours go"),
    (["--annotator", "net.onnx"], "net.onnx: no such file"), (["--boxes", "none.json"], "none.json: no such file"),
])
def test_mistakes_are_told_in_a_line(folder, capsys, monkeypatch, words, told):
    monkeypatch.chdir(folder)
    assert run(folder, *words) == 1
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_a_process_whose_launcher_is_gone_ends_after_its_batch():
    told = []
    ending_with(os.getppid(), told.append)(3)
    ending_with(None, told.append)(4)
    with pytest.raises(ValueError, match="launcher of this process is gone"):
        ending_with(os.getpid(), told.append)(5)
    assert told == [3, 4, 5]


@pytest.mark.smoke
def test_a_photos_size_is_known_without_decoding_it_and_upright_where_asked(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (7, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert photo_size(tmp_path / "a.jpg") == (7, 4) and photo_size(tmp_path / "a.jpg", "apply") == (4, 7)
    (tmp_path / "b.jpg").write_text("<html>")
    with pytest.raises(ValueError, match=r"b\.jpg: cannot be read as an image"):
        photo_size(tmp_path / "b.jpg")
