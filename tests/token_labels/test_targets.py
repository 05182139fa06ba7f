"""Sparse targets against their slow dense twin and against numbers of the original code."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim import geometry
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.targets import (
    SparseTargets,
    best_class,
    concat,
    dense,
    label_targets,
    token_targets,
    with_ground_truth,
)
from tests.token_labels.dense_twin import dense_targets

pytestmark = pytest.mark.smoke

PHOTO = (64, 48)
WHOLE = (0.0, 0.0, 1.0, 1.0)


def random_map(rng, kept, classes, shape, window=WHOLE, scale=3.0):
    """Distinct random ids per cell; log_z between 'the kept classes are all' and 'the others hold half'."""
    scores = rng.normal(2, scale, (kept, *shape)).astype(np.float32)
    ids = np.stack([rng.permutation(classes)[:kept] for _ in range(shape[0] * shape[1])], axis=1)
    top = np.log(np.exp(scores.astype(np.float64)).sum(axis=0))
    return LabelMap(scores, ids.reshape(kept, *shape).astype(np.int32),
                    (top + rng.uniform(0, 0.7, shape)).astype(np.float32), window)


def random_step(rng, name):
    value = rng.uniform(-1, 1)
    if name == "crop":
        width, height = rng.uniform(10, 64), rng.uniform(10, 48)
        return geometry.crop(rng.uniform(0, 64 - width), rng.uniform(0, 48 - height), width, height, PHOTO)
    return {"hflip": geometry.hflip, "rotate": lambda: geometry.rotate(60 * value, PHOTO),
            "shear_x": lambda: geometry.shear_x(0.5 * value, PHOTO),
            "shear_y": lambda: geometry.shear_y(0.5 * value, PHOTO),
            "translate": lambda: geometry.translate(0.6 * value, 0.4 * rng.uniform(-1, 1))}[name]()


@dataclasses.dataclass
class Case:
    label_map: LabelMap
    steps: list
    grid: tuple
    classes: int


@st.composite
def cases(draw):
    """Sizes and kinds are hypothesis's choice, real numbers a seeded generator's: no point lies on an edge."""
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 32 - 1)))
    kept = draw(st.integers(1, 4))
    classes = kept + draw(st.integers(0, 7))
    shape, grid = (draw(st.tuples(st.integers(1, 5), st.integers(1, 5))) for _ in range(2))
    window = geometry.centre_window(PHOTO, 0.83) if draw(st.booleans()) else WHOLE
    names = draw(st.lists(st.sampled_from(["crop", "hflip", "rotate", "shear_x", "shear_y", "translate"]), max_size=4))
    return Case(random_map(rng, kept, classes, shape, window), [random_step(rng, n) for n in names], grid, classes)


@settings(deadline=None, max_examples=150)
@given(cases(), st.sampled_from([0.0, 0.1]), st.sampled_from(["uniform", "ignore"]),
       st.sampled_from(["released", "probs"]))
def test_sparse_targets_are_the_dense_ones(case, smoothing, fill, target):
    ours = token_targets(case.label_map, case.steps, case.grid, case.classes, smoothing=smoothing, fill=fill,
                         target=target)
    twin = dense_targets(case.label_map, case.steps, case.grid, case.classes, smoothing, fill, target)
    for sparse, (expected, weight) in zip(ours, twin):
        np.testing.assert_allclose(dense(sparse, case.classes), expected, atol=2e-6)
        np.testing.assert_array_equal(sparse.const[:, 2], weight)


@settings(deadline=None, max_examples=60)
@given(cases(), st.sampled_from(["uniform", "ignore"]), st.sampled_from(["released", "probs"]))
def test_by_confidence_a_token_counts_as_much_as_the_annotator_is_sure_and_its_target_stays(case, fill, target):
    how = {"smoothing": 0.1, "fill": fill, "target": target}
    plain = token_targets(case.label_map, case.steps, case.grid, case.classes, **how)
    ours = token_targets(case.label_map, case.steps, case.grid, case.classes, weight="confidence", **how)
    twin = dense_targets(case.label_map, case.steps, case.grid, case.classes, *how.values(), weight="confidence")
    np.testing.assert_array_equal(ours[0].const, plain[0].const)
    for sparse, same, (_, weight) in zip(ours, plain, twin):
        for field in ("row", "id", "weight"):
            np.testing.assert_array_equal(getattr(sparse, field), getattr(same, field))
        np.testing.assert_array_equal(sparse.const[:, :2], same.const[:, :2])
        np.testing.assert_allclose(sparse.const[:, 2], weight, atol=1e-6)
        assert sparse.const[:, 2].max() <= 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([9, 400]), st.sampled_from(["released", "probs"]), st.booleans())
def test_along_the_axes_a_map_is_read_as_at_points(seed, classes, target, is_beside):
    """A shear by next to nothing moves no point, but asks for every point by itself; 400 classes are too many for
    products."""
    rng = np.random.default_rng(seed)
    window = geometry.centre_window(PHOTO, 0.83) if rng.random() < 0.5 else WHOLE
    label_map = random_map(rng, 4, classes, (11, 12), window)
    steps = [random_step(rng, name) for name in rng.choice(["crop", "hflip", "translate"], rng.integers(1, 4))]
    how = {"target": target, "weight": "confidence", "fill": "ignore", "blank": "ignore",
           "offset": (0.1, -0.2) if is_beside else (0.0, 0.0)}
    along = token_targets(label_map, steps, (5, 4), classes, **how)
    apart = token_targets(label_map, [geometry.shear_x(1e-300, PHOTO), *steps], (5, 4), classes, **how)
    for one, other in zip(along, apart):
        np.testing.assert_allclose(dense(one, classes), dense(other, classes), rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(one.const, other.const, rtol=1e-6)


def test_confidence_is_the_best_classes_probability_and_a_blank_cell_has_none():
    """Two cells side by side: one certain of class 2, one that says nothing of four classes."""
    label_map = LabelMap(np.array([[[9.0, 0.0]], [[1.0, 0.0]]], np.float32), np.array([[[2, 0]], [[0, 1]]], np.int32),
                         np.log(np.array([[np.e**9 + np.e + 2, 4.0]])).astype(np.float32))
    _, tokens = token_targets(label_map, [], (1, 2), 4, weight="confidence")
    np.testing.assert_allclose(tokens.const[:, 2], [np.e**9 / (np.e**9 + np.e + 2), 0.25], rtol=1e-6)
    _, tokens = token_targets(label_map, [], (1, 2), 4, weight="confidence", blank="ignore")
    assert tokens.const[1, 2] == 0
    with pytest.raises(ValueError, match="confidence.*log-sum-exp.*none"):
        token_targets(label_map._replace(log_z=None), [], (1, 2), 4, weight="confidence")
    with pytest.raises(ValueError, match="weight wants one of none, confidence"):
        token_targets(label_map, [], (1, 2), 4, weight="sure")


@settings(deadline=None, max_examples=50)
@given(cases(), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from(["released", "probs"]))
def test_a_target_sums_to_one_and_the_released_surplus(case, smoothing, target):
    for sparse in token_targets(case.label_map, case.steps, case.grid, case.classes, smoothing=smoothing,
                                target=target):
        np.testing.assert_allclose(sparse.const[:, 1], 1 + smoothing / case.classes, rtol=1e-6)
        np.testing.assert_allclose(dense(sparse, case.classes).sum(axis=1), sparse.const[:, 1], rtol=1e-5)
        assert (np.diff(sparse.row) >= 0).all()
        assert [a.dtype for a in sparse] == [np.int32, np.int32, np.float32, np.float32]


@pytest.mark.parametrize("shear", [0.0, 1e-300])  # along the axes, and point by point
def test_a_token_of_which_half_is_blank_is_told_whatever_rounding_says(shear):
    """The left cell is blank, the right one is not; every crop is about the middle."""
    half = LabelMap(np.array([[[0, 9]], [[0, 1]]], np.float32), np.array([[[0, 0]], [[1, 1]]], np.int32))
    for width in range(1, 64):
        crop = geometry.crop(32 - width / 2.1, 0, width / 1.05, 48, PHOTO)
        _, tokens = token_targets(half, [geometry.shear_x(shear, PHOTO), crop], (1, 1), 4, blank="ignore")
        assert tokens.const[0, 2] == 1


def test_every_view_of_one_colour_gets_that_colour_and_fill_gets_the_uniform_target():
    one = LabelMap(np.full((1, 4, 4), 9, np.float32), np.full((1, 4, 4), 3, np.int32))
    _, tokens = token_targets(one, [geometry.translate(0.5, 0)], (2, 4), 10, smoothing=0.0)
    top = np.exp(9) / (9 + np.exp(9))
    np.testing.assert_allclose(dense(tokens, 10)[:, 3].reshape(2, 4), [[top, top, 0.1, 0.1]] * 2, rtol=1e-5)
    assert best_class(tokens).reshape(2, 4).tolist() == [[3, 3, -1, -1]] * 2
    _, tokens = token_targets(one, [geometry.translate(0.5, 0)], (2, 4), 10, fill="ignore")
    assert tokens.const[:, 2].reshape(2, 4).tolist() == [[1, 1, 0, 0]] * 2


@pytest.mark.parametrize(("steps", "best", "weights"), [
    # columns of points at (i + 1/2) / 8 of the photo; the map covers 0.25 .. 0.75 of its width
    ([geometry.crop(0, 0, 32, 48, PHOTO)], 3, (1, 1)),  # 2 of 4 columns have labels
    ([geometry.crop(0, 0, 24, 48, PHOTO)], -1, (0, 0)),  # 1 of 3, the others are photo without a label
    ([geometry.crop(16, 0, 32, 48, PHOTO), geometry.translate(0.5, 0)], 3, (1, 1)),  # 2 of 4, the others are fill
    ([geometry.crop(16, 0, 32, 48, PHOTO), geometry.translate(0.75, 0)], -1, (1, 0)),  # 1 of 4, the others are fill
    ([geometry.crop(0, 0, 32, 48, PHOTO), geometry.translate(0.25, 0)], 3, (1, 1)),  # 2 of 4, one without, one fill
    ([geometry.crop(8, 0, 32, 48, PHOTO), geometry.translate(-0.5, 0)], -1, (0, 0)),  # 1 of 4, one without, two fill
])
def test_the_class_row_is_the_maps_where_half_of_its_points_are_labelled_fill_where_most_are_and_ignored_else(
        steps, best, weights):
    ids = np.full((1, 4, 4), 3, np.int32)
    half = LabelMap(np.full((1, 4, 4), 9, np.float32), ids, window=(0.25, 0, 0.75, 1))
    for fill, weight in zip(("uniform", "ignore"), weights):
        whole, _ = token_targets(half, steps, (2, 2), 10, fill=fill)
        assert whole.const[0, 2] == weight and best_class(whole).tolist() == [best]


def test_a_corner_of_the_photo_gets_the_label_of_that_corner():
    hot = LabelMap(np.zeros((1, 6, 8), np.float32), np.zeros((1, 6, 8), np.int32))
    hot.scores[0, 0, 7], hot.ids[0, 0, 7] = 9, 5
    right_top, left_bottom = geometry.crop(56, 0, 8, 8, PHOTO), geometry.crop(0, 40, 8, 8, PHOTO)
    assert best_class(token_targets(hot, [right_top], (1, 1), 10)[1]).tolist() == [5]
    assert best_class(token_targets(hot, [left_bottom], (1, 1), 10)[1]).tolist() == [-1]


def test_huge_scores_stay_finite_and_certain():
    loud = LabelMap(np.array([60000, -60000], np.float32).reshape(2, 1, 1), np.array([2, 4], np.int32).reshape(2, 1, 1))
    for sparse in token_targets(loud, [], (1, 1), 6, smoothing=0.0):
        np.testing.assert_allclose(dense(sparse, 6), [[0, 0, 1, 0, 0, 0]], atol=1e-7)
    for scores, expected in (([-60000, -60001], [1 / (1 + np.exp(-1)), 1 / (1 + np.e)]), ([60000, -60000], [1, 0])):
        every = LabelMap(np.array(scores, np.float32).reshape(2, 1, 1), np.array([0, 1], np.int32).reshape(2, 1, 1))
        for sparse in token_targets(every, [], (1, 1), 2, smoothing=0.0):
            np.testing.assert_allclose(dense(sparse, 2), [expected], rtol=1e-6, atol=1e-7)
    quiet = loud._replace(scores=np.array([-60000, -60000], np.float32).reshape(2, 1, 1))
    for sparse in token_targets(quiet, [], (1, 1), 6, smoothing=0.0):
        np.testing.assert_allclose(dense(sparse, 6), [[0.25, 0.25, 0, 0.25, 0, 0.25]], atol=1e-7)


def test_probabilities_keep_their_size_however_many_classes_there_are():
    sure = LabelMap(np.full((1, 2, 2), 9, np.float32), np.full((1, 2, 2), 7, np.int32),
                    np.full((2, 2), 9 - np.log(0.9), np.float32))
    for classes in (10, 1000, 21841):
        probs = dense(token_targets(sure, [], (2, 2), classes, smoothing=0.0, target="probs")[1], classes)
        np.testing.assert_allclose(probs[:, 7], 0.9, rtol=1e-5)
        np.testing.assert_allclose(probs[:, 0], 0.1 / (classes - 1), rtol=1e-3)


@pytest.mark.parametrize("score", [0.0, 3.14])
@pytest.mark.parametrize("classes", [2, 3, 10, 37, 1000])
def test_cells_without_anything_favour_no_class_whatever_half_precision_makes_of_their_log_sum_exp(classes, score):
    """ln 1000 is rounded down, ln 10 up. The right column shows class 1, two thirds of it."""
    for kept in range(1, min(classes, 3) + 1):
        ids = np.tile(np.arange(kept, dtype=np.int32)[:, None, None], (1, 2, 2))
        log_z = np.full((2, 2), np.float16(score + np.log(classes)), np.float32)
        nothing = LabelMap(np.full((kept, 2, 2), np.float16(score), np.float32), ids, log_z)
        for sparse in token_targets(nothing, [], (2, 2), classes, smoothing=0.0, target="probs"):
            np.testing.assert_allclose(dense(sparse, classes), 1 / classes, rtol=1e-6)
            assert set(best_class(sparse).tolist()) == {-1}
        if kept > 1:
            nothing.scores[1, :, 1] = score + np.log(2 * classes)
            log_z[:, 1] = score + np.log(3 * classes - 1)
            whole, tokens = token_targets(nothing, [], (2, 2), classes, smoothing=0.0, target="probs")
            found = best_class(tokens).reshape(2, 2).tolist()
            assert best_class(whole).tolist() == [1] and found == [[-1, 1]] * 2


@pytest.mark.parametrize("size", ["14", "7", "1", "14_smooth0"])
def test_pure_crops_get_the_original_codes_targets(reference, size):
    vectors = np.load(reference / "vectors" / "token_label_target.npz")
    expected, side = vectors[f"target_aligned_{size}"], int(size.split("_")[0])
    smoothing, classes = 0.0 if "smooth0" in size else 0.1, int(vectors["num_classes"])
    for image, (top, left, height, width) in enumerate(vectors["crop_box_top_left_height_width"].astype(float)):
        label_map = LabelMap(vectors["scores"][image].astype(np.float32), vectors["classes"][image].astype(np.int32))
        crop = geometry.crop(left, top, width, height, (1, 1))
        whole, tokens = token_targets(label_map, [crop], (side, side), classes, smoothing=smoothing)
        np.testing.assert_allclose(dense(whole, classes)[0], expected[image, :, 1], atol=1e-5)
        if side > 1:
            np.testing.assert_allclose(dense(tokens, classes).T, expected[image, :, 2:], atol=1e-5)


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.sampled_from([0.0, 0.1]))
def test_plain_labels_are_smoothed_one_hots(labels, smoothing):
    sparse = label_targets(np.array(labels), 7, smoothing)
    np.testing.assert_allclose(dense(sparse, 7), np.eye(7)[labels] * (1 - smoothing) + smoothing / 7, atol=1e-7)
    np.testing.assert_allclose(sparse.const[:, 1:], 1)
    assert best_class(sparse).tolist() == labels


@pytest.mark.parametrize("labels", [[7], [-1]])
def test_a_label_out_of_range_is_refused(labels):
    with pytest.raises(ValueError, match=r"0 \.\. 6"):
        label_targets(np.array(labels), 7, 0.1)


@settings(deadline=None, max_examples=50)
@given(cases(), st.integers(0, 3))
def test_ground_truth_is_trusted_half_where_the_map_agrees_and_a_tenth_where_not(case, label):
    label = min(label, case.classes - 1)
    whole, _ = token_targets(case.label_map, case.steps, case.grid, case.classes)
    before, best = dense(whole, case.classes)[0], best_class(whole)[0]
    mixed = with_ground_truth(whole, np.array([label]), case.classes, 0.1)
    share = 0.5 if best == label else 0.9
    one_hot = np.eye(case.classes)[label] * 0.9 + 0.1 / case.classes
    np.testing.assert_allclose(dense(mixed, case.classes)[0], before * share + one_hot * (1 - share), atol=1e-6)
    np.testing.assert_allclose(mixed.const[0, 1], dense(mixed, case.classes).sum(), rtol=1e-5)


def test_the_best_class_counts_triplets_of_one_class_together_and_skips_ignored_rows():
    sparse = SparseTargets(np.array([1, 1, 1, 2, 0], np.int32), np.array([4, 2, 4, 3, 1], np.int32),
                           np.array([0.3, 0.5, 0.3, 0.9, -0.1], np.float32),
                           np.array([[0, 1, 1], [0, 1, 1], [0, 1, 0]], np.float32))
    assert best_class(sparse).tolist() == [-1, 4, -1]


@settings(deadline=None, max_examples=30)
@given(st.lists(cases(), min_size=1, max_size=3))
def test_a_batch_holds_the_rows_of_its_samples_one_below_the_other(batch):
    samples = [token_targets(case.label_map, case.steps, case.grid, 11)[1] for case in batch]
    np.testing.assert_array_equal(dense(concat(samples), 11), np.concatenate([dense(s, 11) for s in samples]))
    assert [a.dtype for a in concat(samples)] == [np.int32, np.int32, np.float32, np.float32]


def test_a_batch_of_nothing_but_fill_still_ships_a_triplet():
    one = LabelMap(np.ones((1, 1, 1), np.float32), np.ones((1, 1, 1), np.int32))
    gone = token_targets(one, [geometry.translate(2, 0)], (1, 2), 5)[1]
    batch = concat([gone, gone])
    assert len(batch.row) == len(batch.id) == len(batch.weight) == 1
    np.testing.assert_allclose(dense(batch, 5), dense(concat([gone, gone]), 5))
    np.testing.assert_allclose(dense(batch, 5).sum(axis=1), 1.02, rtol=1e-6)


def test_choices_that_do_not_exist_and_probabilities_without_a_log_sum_exp_are_refused():
    one = LabelMap(np.ones((1, 1, 1), np.float32), np.ones((1, 1, 1), np.int32))
    with pytest.raises(ValueError, match="target wants .*probs; got 'soft'"):
        token_targets(one, [], (1, 1), 5, target="soft")
    with pytest.raises(ValueError, match="fill wants .*got 'grey'"):
        token_targets(one, [], (1, 1), 5, fill="grey")
    with pytest.raises(ValueError, match="log-sum-exp"):
        token_targets(one, [], (1, 1), 5, target="probs")
