"""`ppim labels check --frame`: the keys to set, the line to type, or that it cannot be told, by exit code."""
import json

import numpy as np
import pytest

from ppim.cli import main
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.orientations import as_stored
from tests.helpers import draw_labelled

COUNT = 30


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_labelled(tmp_path_factory.mktemp("drawn"), COUNT, 3, (64, 48), (9, 9))


def asked(drawn, folder, *more):
    return main(["labels", "check", str(folder), "--images", str(drawn / "photos"), "--against",
                 str(drawn / "maps"), *more, "--frame"])


def turned(drawn, folder, orientation):
    for path in (drawn / "maps").glob("*/*.npy"):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        # other ids: nothing of the classes is shared
        planes = np.load(path) + np.array([0, 100])[:, None, None, None].astype("float16")
        np.save(folder / path.parent.name / path.name, as_stored(planes, orientation))
    return folder


@pytest.mark.parametrize(("orientation", "line"), [
    ("columns-first", "set: -o TOKEN_LABEL.ORIENTATION columns-first TOKEN_LABEL.FRAME whole"),
    ("turned-left", "--orientation turned-left"),
])
def test_the_way_maps_are_stored_is_named_with_what_to_do(drawn, tmp_path, capsys, orientation, line):
    code = asked(drawn, turned(drawn, tmp_path / "maps", orientation), "--json", str(tmp_path / "told.json"))
    out, told = capsys.readouterr().out, json.loads((tmp_path / "told.json").read_text())
    assert code == 0 and f"stored as: {orientation}, whole photo" in out and line in out
    assert told["decided"] and told["best"] == {"orientation": orientation, "crop_pct": None}


def test_what_cannot_be_told_is_exit_code_2_and_names_no_keys(drawn, tmp_path, capsys):
    maps = turned(drawn, tmp_path / "maps", "rows-first")
    assert asked(drawn, maps, "--photos", "10") == 2
    out = capsys.readouterr().out
    assert "undecided: 10 photos are too few" in out and "set:" not in out and "stored as" not in out


def test_a_card_that_says_otherwise_is_a_fault(drawn, tmp_path, capsys):
    maps = turned(drawn, tmp_path / "maps", "rows-first")
    save_card(maps, Reading(orientation="columns-first", log_z=False), {})
    assert asked(drawn, maps) == 1
    assert "says columns-first, whole photo, but the maps are stored rows-first" in capsys.readouterr().err


def test_without_anything_to_hold_maps_against_it_is_said_what_is_wanted(drawn, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["labels", "check", str(drawn / "maps"), "--images", str(drawn / "photos"), "--frame"])
    assert "-c FILE --load WEIGHTS" in capsys.readouterr().err
