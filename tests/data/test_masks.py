"""Masks seen through a view: against Pillow's own crops and flips, and shares counted by hand."""
import numpy as np
import pytest
from PIL import Image

from ppim.data.masks import UNKNOWN, read_mask, seen_through, shares
from ppim.data.transforms import HFlip, Operation, eval_view


def drawn(height=48, width=64):
    return np.random.default_rng(1).integers(0, 5, (height // 8, width // 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.mark.smoke
def test_an_evaluation_view_shows_the_centre_of_the_mask():
    mask = drawn()
    ops = eval_view((24, 24), 1.0)
    by_hand = mask[:, 8:56][::2, ::2]
    np.testing.assert_array_equal(seen_through(mask, ops, (24, 24)), by_hand)
    np.testing.assert_array_equal(seen_through(mask, [*ops, HFlip()], (24, 24)), by_hand[:, ::-1])


def test_what_is_no_photo_is_unknown():
    class Away(Operation):
        def steps(self, wh):
            from ppim.geometry import translate

            return [translate(0.5, 0)]

        def out_wh(self, wh):
            return wh

    seen = seen_through(drawn(), [Away()], (48, 64))
    assert (seen[:, 32:] == UNKNOWN).all()
    np.testing.assert_array_equal(seen[:, :32], drawn()[:, 32:])


def test_shares_are_counted_per_token_without_the_unknown():
    seen = np.array([[0, 0, 1, 1], [0, 2, 1, UNKNOWN], [UNKNOWN] * 4, [UNKNOWN] * 4], np.uint8)
    found = shares(seen, (2, 2), 2)
    np.testing.assert_allclose(found[0], [[0.75, 0, 0.25], [0, 1, 0]])
    np.testing.assert_array_equal(found[1], np.zeros((2, 3)))


def test_a_mask_that_is_none_is_refused_by_name(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.full((4, 4), 7, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"mask.png: wanted 0 \(nothing\), 1 .. 6 .*got 7"):
        read_mask(str(path), 6)
    assert (read_mask(str(path), 7) == 7).all()
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ValueError, match="palette indices or of grey levels, got mode RGB"):
        read_mask(str(path), 6)
    with pytest.raises(FileNotFoundError, match="none.png: no such mask; every photo needs one, of the same path and"):
        read_mask(str(tmp_path / "none.png"), 6)


def bad_stream(data):
    at = data.index(b"IDAT") + 4
    return data[:at] + b"\xff" * 4 + data[at + 4:]


def bad_chunk(data):
    at = data.index(b"IDAT", data.index(b"IDAT") + 4)
    return data[:at - 4] + b"\xff" * 8 + data[at + 4:]


@pytest.mark.parametrize("spoil", [bad_stream, bad_chunk, lambda data: data[:len(data) // 2], lambda data: b"<html>"])
def test_a_damaged_mask_is_one_line_with_its_name(tmp_path, spoil):
    path = tmp_path / "mask.png"
    noise = np.random.default_rng(0).integers(0, 5, (900, 900)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=r"mask.png: cannot be read as a PNG \(.*save it anew") as caught:
        read_mask(str(path), 6)
    assert "\n" not in str(caught.value)
