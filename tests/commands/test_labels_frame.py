"""`ppim labels check --frame`: the keys to set, the line to type, or that it cannot be told, by exit code."""
import json

import numpy as np
import pytest

from ppim.cli import main
from ppim.data import shapes
from ppim.seeds import picture_rng
from ppim.token_labels.card import WHOLE, Reading, save_card
from ppim.token_labels.orientations import as_stored

COUNT = 30


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Pictures with exact maps, in folders photos/ and trusted/."""
    root = tmp_path_factory.mktemp("drawn")
    for index in range(COUNT):
        photo, _, owner = shapes.draw_picture(picture_rng(3, "train", index), (64, 48), class_id=index % 10)
        name = f"class{index % 10}/{index:02d}"
        for kind in ("photos", "trusted"):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(root / "photos" / f"{name}.png")
        scores, ids, _ = shapes.label_map_of(owner, (9, 9))
        np.save(root / "trusted" / f"{name}.npy", np.stack([scores, ids]).astype("float16"))
    save_card(root / "trusted", WHOLE._replace(log_z=False), {})
    return root


def asked(drawn, folder, *more):
    return main(["labels", "check", str(folder), "--images", str(drawn / "photos"), "--against",
                 str(drawn / "trusted"), *more, "--frame"])


def turned(drawn, folder, orientation):
    for path in (drawn / "trusted").glob("*/*.npy"):
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
        main(["labels", "check", str(drawn / "trusted"), "--images", str(drawn / "photos"), "--frame"])
    assert "-c FILE --load WEIGHTS" in capsys.readouterr().err
