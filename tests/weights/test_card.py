"""The card of weights: inside or beside the file, read back whole, never left beside the weights of another."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from ppim.weights import read_state, save_state
from ppim.weights.card import card_path, names_in, read_card

STATE = {"head.weight": np.ones((2, 3), "float32"), "head.bias": np.zeros(3, "float32")}
CARD = {"form": 1, "num_classes": 3, "classes": ["cat", "黑狗", b"\xb0\xa1".decode(errors="surrogateescape")],
        "mean": [0.5, 0.5, 0.5], "what a later version adds": {"a": 1}}


@pytest.mark.smoke
@pytest.mark.parametrize(("name", "layout"), [
    ("w.pdparams", "paddle"), ("w.v2.pdparams", "paddle"), ("w.safetensors", "paddle"), ("w.safetensors", "torch"),
])
def test_a_card_comes_back_and_the_weights_are_as_without_it(tmp_path, name, layout):
    path = tmp_path / name
    save_state(STATE, path, layout, CARD)
    assert read_card(path) == read_card(path.with_suffix("")) == CARD and names_in(CARD)[1] == "黑狗"
    assert read_state(path).layout == layout and read_state(path).state.keys() == STATE.keys()
    plain = paddle.load(str(path)) if name.endswith("pdparams") else load_file(path)
    assert set(plain) == set(STATE)
    assert {file.name for file in tmp_path.iterdir()} == {name, *([card_path(path).name] * name.endswith("pdparams"))}


def test_weights_without_a_card_have_none(tmp_path):
    for name in ("w.pdparams", "v.safetensors"):
        save_state(STATE, tmp_path / name)
        assert read_card(tmp_path / name) is None and names_in(None) == ()
    with pytest.raises(FileNotFoundError, match="gone"):
        read_card(tmp_path / "gone")


def test_a_card_does_not_outlive_its_weights(tmp_path):
    path = tmp_path / "w.pdparams"
    save_state(STATE, path, card=CARD)
    there = card_path(path).stat().st_mtime_ns
    save_state(STATE, path, card=CARD)
    assert card_path(path).stat().st_mtime_ns == there
    other = {**CARD, "classes": ["x"]}
    save_state(STATE, path, card=other)
    assert read_card(path) == other
    save_state(STATE, path)
    assert read_card(path) is None and not card_path(path).exists()


def test_weights_that_could_not_be_written_leave_no_card_that_is_not_theirs(tmp_path):
    path = tmp_path / "w.pdparams"
    save_state(STATE, path, card=CARD)
    path.unlink()
    path.mkdir()  # nothing can be put in its place
    with pytest.raises(OSError):
        save_state(STATE, path, card={**CARD, "classes": ["x"]})
    assert not card_path(path).exists()


@pytest.mark.parametrize(("content", "words"), [
    (b'{"num_classes": 3, "cla', "Expecting|Unterminated"),
    (b"[]", "wanted an object, got list"),
    (b"\xff\xfe{", "codec"),
    ({"classes": ["a"]}, "num_classes wants a whole number above 0, got None"),
    ({"num_classes": 2, "classes": "ab"}, "classes wants a list of names, got str"),
    ({"num_classes": 2, "classes": [1, 2]}, "classes wants a list of names"),
    ({"num_classes": 1, "classes": ["a", "b"]}, "at most 1 names, each once, got 2"),
    ({"num_classes": 3, "classes": ["a", "a"]}, "each once, got 2"),
])
def test_a_damaged_card_is_named(tmp_path, content, words):
    path = tmp_path / "w.pdparams"
    save_state(STATE, path)
    card_path(path).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=words) as caught:
        read_card(path)
    assert str(card_path(path)) in str(caught.value) and "--classes" in str(caught.value)


def test_a_damaged_header_is_named_and_a_claimed_length_costs_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little")[:4] + b"\0\0\0\0{" + b"x" * 20)
    with pytest.raises(ValueError, match="w.safetensors"):
        read_card(path)
