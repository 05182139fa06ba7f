"""The card beside label maps: what is written is read back, and what is damaged is an error that names the file."""
from __future__ import annotations

import json
import os

import pytest

from ppim.token_labels.card import CARD, Reading, load_card, load_own_card, read_card, save_card

GOOD = {"frame": "centre-crop", "crop_pct": 0.875, "orientation": "rows-first", "log_z": True}


@pytest.mark.parametrize("reading", [
    Reading(log_z=True), Reading("centre-crop", 0.875, "columns-first", False, "apply"),
    Reading("centre-crop", 1.0, log_z=True),
])
def test_a_card_says_again_what_was_written(tmp_path, reading):
    save_card(tmp_path / "maps", reading, {"model": "m"})
    assert read_card(tmp_path / "maps") == reading
    assert load_card(tmp_path / "maps")["model"] == "m"


def test_a_folder_without_a_card_says_nothing(tmp_path):
    assert read_card(tmp_path) is None and load_card(tmp_path) is None


def test_maps_of_both_splits_made_at_one_go_have_the_card_above_them(tmp_path):
    save_card(tmp_path / "maps", Reading("centre-crop", 0.875, log_z=True), {})
    for split in ("train", "val"):
        (tmp_path / "maps" / split).mkdir()
        assert read_card(tmp_path / "maps" / split) == Reading("centre-crop", 0.875, log_z=True)
    save_card(tmp_path / "maps" / "val", Reading(log_z=False), {})
    assert read_card(tmp_path / "maps" / "val") == Reading(log_z=False)
    assert load_own_card(tmp_path / "maps" / "train") is None and load_own_card(tmp_path / "maps")["crop_pct"] == 0.875
    (tmp_path / "maps" / "train" / "cat").mkdir()
    assert read_card(tmp_path / "maps" / "train" / "cat") is None


def test_a_card_of_whole_photos_needs_no_crop_and_may_say_more_than_is_asked(tmp_path):
    text = {"form": 1, "weights": "w.pdparams", "log_z": True, "frame": "whole", "orientation": "rows-first"}
    (tmp_path / CARD).write_text(json.dumps(text))
    assert read_card(tmp_path) == Reading("whole", 1.0, "rows-first", True)


def test_a_card_may_say_of_how_many_classes_its_maps_are_and_of_which(tmp_path):
    said = {**GOOD, "num_classes": 2, "classes": ["cat", "dog"]}
    for card in (said, {**GOOD, "num_classes": None, "classes": None}):
        (tmp_path / CARD).write_text(json.dumps(card))
        assert load_card(tmp_path) == {**card, "exif": "ignore"}


def test_a_pipe_under_the_cards_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / CARD)
    with pytest.raises(ValueError, match="is a pipe"):
        read_card(tmp_path)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "JSONDecodeError"),
    (b'{"frame": "wh', "JSONDecodeError"),
    (b"\xff\xfe\x00", "UnicodeDecodeError"),
    (b"[1, 2]", "wanted an object, got list"),
    (b"{}", "frame wants one of whole, centre-crop, got None"),
    ({**GOOD, "frame": ["whole"]}, r"got \['whole'\]"),
    ({**GOOD, "orientation": "up"}, "orientation wants one of rows-first, columns-first, got 'up'"),
    ({**GOOD, "log_z": "yes"}, "log_z wants one of True, False, got 'yes'"),
    ({**GOOD, "exif": "upright"}, "exif wants one of ignore, apply, got 'upright'"),
    (b"[" * 100_000, "RecursionError"),
    ({**GOOD, "crop_pct": None}, "crop_pct wants a number above 0, at most 1, got None"),
    ({**GOOD, "crop_pct": 0}, "got 0"),
    ({**GOOD, "crop_pct": 1.5}, "got 1.5"),
    ({**GOOD, "crop_pct": float("nan")}, "got nan"),
    ({**GOOD, "num_classes": "10"}, "num_classes wants a whole number above 0, got '10'"),
    ({**GOOD, "num_classes": 3.0}, "num_classes wants a whole number above 0, got 3.0"),
    ({**GOOD, "num_classes": 0}, "num_classes wants a whole number above 0, got 0"),
    ({**GOOD, "num_classes": True}, "num_classes wants a whole number above 0, got True"),
    ({**GOOD, "classes": [1, 2]}, r"classes wants a list of names, got \[1, 2\]"),
    ({**GOOD, "classes": "cat"}, "classes wants a list of names, got 'cat'"),
])
def test_a_damaged_card_is_named(tmp_path, content, words):
    (tmp_path / CARD).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=words) as caught:
        read_card(tmp_path)
    assert str(tmp_path / CARD) in str(caught.value) and "\n" not in str(caught.value)


def test_a_bit_that_flips_in_a_card_is_noticed_and_a_card_by_hand_has_no_seal(tmp_path):
    save_card(tmp_path, Reading("centre-crop", 0.875, log_z=True), {"model": "m", "mean": [0.485, 0.456, 0.406]})
    content, good = (tmp_path / CARD).read_bytes(), load_card(tmp_path)
    assert "seal" not in good
    for at in range(len(content)):
        (tmp_path / CARD).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
        try:
            assert load_card(tmp_path).items() >= good.items()  # the word `seal` itself, or space
        except ValueError as error:
            assert str(tmp_path / CARD) in str(error)
    card = json.loads(content)
    card["crop_pct"] = 0.9
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(ValueError, match="changed since it was written; whoever changed it on purpose leaves seal out"):
        read_card(tmp_path)
    del card["seal"]
    (tmp_path / CARD).write_text(json.dumps(card))
    assert read_card(tmp_path).crop_pct == 0.9
