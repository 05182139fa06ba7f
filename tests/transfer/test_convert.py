"""Label maps brought in from elsewhere and taken away again, by the command."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ppim.cli import main
from ppim.token_labels.card import CARD, Reading, read_card, save_card
from ppim.token_labels.maps import save_array, write_map
from ppim.token_labels.orientations import ORIENTATIONS, as_stored
from ppim.token_labels.store import open_maps
from ppim.transfer.torch_maps import read_torch_map, torch_bytes

STEMS = ["n01/a", "n01/b.c", "n02/d"]


def array_of(stem, planes=2, dtype="f2"):
    """[planes, 2, 3, 4], and no two cells alike."""
    rng = np.random.default_rng(STEMS.index(stem))
    ids = np.argsort(rng.random((9, 3, 4)), axis=0)[:2]
    log_z = np.broadcast_to(rng.normal(9, 1, (3, 4)), (2, 3, 4))
    return np.stack([rng.normal(5, 3, (2, 3, 4)), ids, log_z][:planes]).astype(dtype)


@pytest.fixture
def published(tmp_path):
    """Maps as the published ones lie: no card, a `.pt` file a photo."""
    for stem in STEMS:
        path = tmp_path / "published" / f"{stem}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(torch_bytes(array_of(stem), path.stem))
    return tmp_path / "published"


def convert(*words, code=0):
    assert main(["labels", "convert", *map(str, words), "--jobs", "1"]) == code


@pytest.mark.smoke
def test_published_maps_become_npy_files_or_a_pack_and_come_back_as_they_were(published, tmp_path, capsys):
    convert(published, tmp_path / "npy")
    assert "3 maps written to" in capsys.readouterr().out and read_card(tmp_path / "npy") is None
    for stem in STEMS:
        assert (array := np.load(tmp_path / "npy" / f"{stem}.npy")).dtype == np.float16
        np.testing.assert_array_equal(array, array_of(stem))
    convert(published, tmp_path / "pack", "--to", "pack")
    for source in ("npy", "pack"):
        convert(tmp_path / source, tmp_path / f"from_{source}", "--to", "pt")
        for stem in STEMS:
            assert (tmp_path / f"from_{source}" / f"{stem}.pt").read_bytes() == (
                published / f"{stem}.pt").read_bytes()
    folder, pack = open_maps(tmp_path / "npy", 9), open_maps(tmp_path / "pack", 9)
    for stem in STEMS:
        for one, other in zip(folder.read(f"{stem}.x", (4, 3))[:2], pack.read(f"{stem}.x", (4, 3))[:2]):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("to", ["npy", "pack"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_maps_stored_another_way_round_are_written_rows_first_and_their_card_says_so(tmp_path, orientation, to):
    stored = tmp_path / "stored" / "a.pt"
    stored.parent.mkdir()
    stored.write_bytes(torch_bytes(np.ascontiguousarray(as_stored(array_of("n01/a"), orientation))))
    convert(stored.parent, tmp_path / "right", "--to", to, "--orientation", orientation, "--frame", "centre-crop",
            "--frame-crop-pct", "0.9")
    assert read_card(tmp_path / "right") == Reading("centre-crop", 0.9, "rows-first", False, "ignore")
    found = open_maps(tmp_path / "right", 9).read("a.jpg", (4, 3))
    np.testing.assert_array_equal(found.scores, array_of("n01/a")[0])
    np.testing.assert_array_equal(found.ids, array_of("n01/a")[1])


@pytest.mark.parametrize("frame", [[], ["--frame", "whole"]])
def test_the_side_of_a_centre_crop_is_refused_for_maps_of_none(tmp_path, frame, capsys):
    write_map(str(tmp_path / "maps" / "a.npy"), *array_of("n01/a")[:2])
    convert(tmp_path / "maps", tmp_path / "new", "--orientation", "mirrored", *frame, "--frame-crop-pct", "0.9", code=1)
    assert f"0.9 is the side of a centre crop, and --frame is {'whole' if frame else 'not given'}; add --frame " in (
        capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


def test_a_card_goes_with_its_maps_and_the_words_typed_count_more(tmp_path, capsys):
    for stem in STEMS:
        write_map(str(tmp_path / "maps" / f"{stem}.npy"), *array_of(stem)[:2], array_of(stem, 3)[2, 0])
    origin = {"model": "m", "classes": ["é"]}
    save_card(tmp_path / "maps", Reading("whole", 1.0, "columns-first", True, "apply"), origin)
    convert(tmp_path / "maps", tmp_path / "same")
    assert (tmp_path / "same" / CARD).read_bytes() == (tmp_path / "maps" / CARD).read_bytes()
    convert(tmp_path / "maps", tmp_path / "turned", "--orientation", "mirrored", "--frame", "centre-crop", "--exif",
            "ignore", "--planes", "2")
    assert "taken as mirrored, against its card, which says columns-first" in capsys.readouterr().out
    assert read_card(tmp_path / "turned") == Reading("centre-crop", 1.0, "rows-first", False, "ignore")
    said = json.loads((tmp_path / "turned" / CARD).read_text())
    assert (said["model"], said["classes"]) == ("m", ["é"])
    np.testing.assert_array_equal(np.load(tmp_path / "turned" / "n02" / "d.npy"), array_of("n02/d")[..., ::-1])


def test_a_log_sum_exp_is_written_for_pytorch_only_when_that_is_said(tmp_path, capsys):
    save_array(str(tmp_path / "maps" / "a.npy"), array_of("n01/a", 3))
    convert(tmp_path / "maps", tmp_path / "pt", "--to", "pt", code=1)
    assert "a.npy: has a log-sum-exp" in (seen := capsys.readouterr().err) and "--planes 2 leaves it out" in seen
    for planes in (2, 3):
        convert(tmp_path / "maps", tmp_path / f"pt{planes}", "--to", "pt", "--planes", planes)
        np.testing.assert_array_equal(read_torch_map(str(tmp_path / f"pt{planes}" / "a.pt")), array_of("n01/a", planes))
    convert(tmp_path / "pt2", tmp_path / "pt4", "--planes", 3, code=1)
    assert "a.pt: has no log-sum-exp; leave --planes out" in capsys.readouterr().err
    save_array(str(tmp_path / "maps" / "b.npy"), array_of("n01/a", 2))
    convert(tmp_path / "maps", tmp_path / "both", "--orientation", "rows-first", "--frame", "whole", code=1)
    assert "as its card says, or the first map has, got" in capsys.readouterr().err


def test_an_interrupted_conversion_goes_on_and_maps_read_in_another_way_do_not_get_between(published, tmp_path, capsys):
    content = (published / "n02" / "d.pt").read_bytes()
    (published / "n02" / "d.pt").write_bytes(content[:300])
    words = (published, tmp_path / "npy", "--orientation", "rows-first", "--frame", "whole")
    convert(*words, code=1)
    assert "d.pt: not a label map of PyTorch" in capsys.readouterr().err
    first = (tmp_path / "npy" / "n01" / "a.npy").stat().st_mtime_ns
    (published / "n02" / "d.pt").write_bytes(content)
    for other in (("--orientation", "mirrored", "--frame", "centre-crop"), ()):
        convert(published, tmp_path / "npy", *other, code=1)
        assert "npy: the maps there are to be read as whole, rows-first, those to be written as" in (
            capsys.readouterr().err)
    convert(*words)
    assert "1 maps written" in (seen := capsys.readouterr().out) and "2 kept" in seen
    assert (tmp_path / "npy" / "n01" / "a.npy").stat().st_mtime_ns == first


@pytest.mark.parametrize("planes", [[], ["--planes", "2"]])
def test_maps_turned_in_another_way_do_not_pass_for_those_that_are_there(published, tmp_path, capsys, planes):
    """All that is turned is written rows first, so that the cards said the same of either."""
    words = (published, tmp_path / "npy", "--frame", "whole", *planes)
    convert(*words, "--orientation", "mirrored")
    capsys.readouterr()
    convert(*words, "--orientation", "upside-down", code=1)
    assert "upside-down to rows-first" in (seen := capsys.readouterr().err) and "mirrored to rows-first" in seen
    np.testing.assert_array_equal(np.load(tmp_path / "npy" / "n02" / "d.npy"), array_of("n02/d")[..., ::-1])
    convert(*words, "--orientation", "mirrored")
    assert "0 maps written" in (seen := capsys.readouterr().out) and "3 kept" in seen
    convert(tmp_path / "npy", tmp_path / "back", "--orientation", "mirrored")
    told = json.loads((tmp_path / "back" / CARD).read_text())["changes"]
    assert len(told) == 2 and told[0].startswith("published: mirrored") and told[1].startswith("npy: mirrored")
    convert(tmp_path / "npy", tmp_path / "back", code=1)
    np.testing.assert_array_equal(np.load(tmp_path / "back" / "n02" / "d.npy"), array_of("n02/d"))
    shutil.copytree(published, tmp_path / "others")
    convert(tmp_path / "others", *words[1:], "--orientation", "mirrored", code=1)


def test_maps_are_not_turned_where_they_lie(tmp_path, capsys):
    for stem in STEMS:
        write_map(str(tmp_path / "maps" / f"{stem}.npy"), *array_of(stem)[:2], array_of(stem, 3)[2, 0])
    save_card(tmp_path / "maps", Reading("whole", 1.0, "rows-first", True), {"model": "m"})
    (tmp_path / "same").symlink_to("maps")
    for target in ("maps", "same"):
        for change in (["--orientation", "turned-180"], ["--planes", "2"]):
            convert(tmp_path / "maps", tmp_path / target, *change, code=1)
            assert f"{target}: the maps to change lie there; give another folder" in capsys.readouterr().err
    convert(tmp_path / "maps", tmp_path / "maps", "--orientation", "rows-first")


@pytest.mark.parametrize(("words", "said"), [
    (["--frame", "whole"], "--orientation is missing"),
    (["--orientation", "mirrored"], "--frame is missing"),
    (["--exif", "apply"], "--orientation and --frame is missing"),
])
def test_a_card_is_stated_whole_or_not_at_all(published, tmp_path, capsys, words, said):
    convert(published, tmp_path / "npy", *words, code=1)
    assert said in capsys.readouterr().err and not (tmp_path / "npy").exists()


def test_maps_that_cannot_be_trusted_are_not_brought_in(published, tmp_path, capsys):
    spoilt = array_of("n01/b.c")
    spoilt[1, 0] = spoilt[1, 1]
    (published / "n01" / "b.c.pt").write_bytes(torch_bytes(spoilt))
    convert(published, tmp_path / "npy", code=1)
    assert "b.c.pt: one class stands twice in a cell" in capsys.readouterr().err
    (published / "n01" / "b.c.pt").write_bytes(torch_bytes(array_of("n01/b.c")))
    convert(published, tmp_path / "npy", "--classes", "3", code=1)
    assert "class ids must lie in 0 .. 2" in capsys.readouterr().err
    save_array(str(published / "c.npy"), array_of("n01/a"))
    convert(published, tmp_path / "npy", code=1)
    assert "wanted maps of one form, found .npy and .pt files" in capsys.readouterr().err
