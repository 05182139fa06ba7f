"""Targets misplaced on purpose: the same rows elsewhere, nothing lost and nothing gained."""
import numpy as np
import pytest

from ppim import geometry
from ppim.token_labels.controls import PLACES, misplaced, offset
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.targets import dense, token_targets

CLASSES = 7


def some_tokens(blank_share=0.3):
    """Targets of a 4x5 grid from a random map of which some cells are blank."""
    rng = np.random.default_rng(3)
    ids = np.argsort(rng.random((CLASSES, 8, 10)), axis=0)[:3].astype(np.int32)
    scores = rng.normal(3, 2, (3, 8, 10)).astype(np.float32)
    scores[:, :4, :4] = 0
    return token_targets(LabelMap(scores, ids), [], (4, 5), CLASSES, smoothing=0.0, blank="ignore")[1]


def test_blank_cells_leave_their_tokens_untaught_and_no_others():
    weight = some_tokens().const[:, 2].reshape(4, 5)
    expected = np.ones((4, 5))
    expected[:2, :2] = 0
    np.testing.assert_array_equal(weight, expected)


def test_shuffled_targets_are_the_same_rows_elsewhere():
    tokens, rng = some_tokens(), np.random.default_rng(0)
    moved = misplaced(tokens, "shuffled", rng)
    before, after = dense(tokens, CLASSES), dense(moved, CLASSES)
    np.testing.assert_array_equal(tokens.const[:, 2], moved.const[:, 2])
    taught = tokens.const[:, 2] > 0
    assert sorted(map(tuple, before[taught].tolist())) == sorted(map(tuple, after[taught].tolist()))
    assert (before[taught] != after[taught]).any(axis=1).sum() > 10
    assert (np.diff(moved.row) >= 0).all()
    # every place is drawn alike: over many draws a row is everywhere
    places = {int(np.flatnonzero((dense(misplaced(tokens, "shuffled", np.random.default_rng(seed)), CLASSES)
                                  == before[-1]).all(axis=1))[0]) for seed in range(200)}
    assert places == set(np.flatnonzero(taught).tolist())


def test_pooled_targets_are_the_mean_in_every_place():
    tokens = some_tokens()
    pooled = misplaced(tokens, "pooled", np.random.default_rng(0))
    taught = tokens.const[:, 2] > 0
    mean = dense(tokens, CLASSES)[taught].mean(axis=0)
    np.testing.assert_allclose(dense(pooled, CLASSES)[taught], np.tile(mean, (taught.sum(), 1)), atol=1e-6)
    np.testing.assert_array_equal(tokens.const[:, 2], pooled.const[:, 2])
    np.testing.assert_allclose(pooled.const[taught, 1], tokens.const[taught, 1].mean(), atol=1e-6)


def test_the_right_place_is_left_alone_and_others_are_refused():
    tokens = some_tokens()
    assert misplaced(tokens, "right", None) is tokens and PLACES[0] == "right"
    with pytest.raises(ValueError, match="right, shuffled, pooled"):
        misplaced(tokens, "left", None)


def test_an_offset_has_its_length_in_tokens_and_any_direction():
    drawn = np.array([offset(2.0, (4, 8), np.random.default_rng(seed)) for seed in range(64)]) * (8, 4)
    np.testing.assert_allclose(np.hypot(*drawn.T), 2.0)
    assert (drawn.min(axis=0) < -1.5).all() and (drawn.max(axis=0) > 1.5).all()
    assert offset(0.0, (4, 8), None) == (0.0, 0.0)


def test_tokens_are_told_what_lies_an_offset_away():
    # a map whose cell (r, c) holds class c alone; the view is the middle half of the photo
    ids = np.tile(np.arange(8, dtype=np.int32), (1, 8, 1))
    hot = LabelMap(np.full((1, 8, 8), 30, np.float32), ids)
    view = [geometry.crop(2, 0, 4, 8, (8, 8))]
    said = [dense(token_targets(hot, view, (2, 4), 8, smoothing=0.0, offset=(by, 0))[1], 8).argmax(axis=1).tolist()
            for by in (0, 0.25, -0.5)]
    # a quarter of the view is a token, and what lies beside the view is read as well
    assert said == [[2, 3, 4, 5] * 2, [3, 4, 5, 6] * 2, [0, 1, 2, 3] * 2]
    # beyond the photo there is nothing to be told
    away = token_targets(hot, view, (2, 4), 8, fill="ignore", offset=(1.0, 0))[1]
    assert away.const[:, 2].tolist() == [1, 1, 0, 0] * 2
    # the class token sees its own view, whatever the tokens are told
    classes = [token_targets(hot, view, (2, 4), 8, offset=(by, 0))[0] for by in (0, 0.5)]
    np.testing.assert_array_equal(dense(classes[0], 8), dense(classes[1], 8))
