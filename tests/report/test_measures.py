"""What is measured of answers, against counts made by hand and one image at a time."""
from __future__ import annotations

import math

import numpy as np
import pytest

from ppim.report import measures
from ppim.report.answers import Answers, as_table, from_table

pytestmark = pytest.mark.smoke

TRUTH = np.array([0, 0, 0, 1, 1, 2])
SAID = np.array([0, 0, 1, 1, 2, 0])


def test_a_confusion_matrix_and_what_it_says_of_its_classes():
    counts = measures.confusion(TRUTH, SAID, 4)
    np.testing.assert_array_equal(counts, [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    first, second, third, never = measures.of_classes(counts)
    assert first == (3, 3, 2, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert second == (2, 2, 1, 0.5, 0.5, 0.5)
    assert third == (1, 1, 0, 0, 0, 0)
    assert never[:3] == (0, 0, 0) and all(map(math.isnan, never[3:]))
    assert measures.confused(counts, 2) == [(0, 1, 1), (1, 2, 1)]
    assert len(measures.confused(counts, 9)) == 3


def test_precision_is_of_what_was_said_and_recall_of_what_was_there():
    (one, other) = measures.of_classes(np.array([[1, 3], [0, 4]]))
    assert (one.precision, one.recall, one.f1) == (1.0, 0.25, pytest.approx(2 / (1 / 1 + 1 / 0.25)))
    assert (other.precision, other.recall) == (pytest.approx(4 / 7), 1.0)


def test_confusions_and_f1_are_those_counted_one_image_at_a_time():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    counts = measures.confusion(truth, said, 7)
    for row in range(7):
        for column in range(7):
            assert counts[row, column] == sum(t == row and s == column for t, s in zip(truth, said))
    for row, one in enumerate(measures.of_classes(counts)):
        precision = np.mean(truth[said == row] == row)
        recall = np.mean(said[truth == row] == row)
        assert one.f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_calibration_of_a_few_images_by_hand():
    sure = np.array([0.1, 0.15, 0.95, 1.0, 1.0, 0.0])
    right = np.array([False, True, True, True, False, False])
    table = measures.reliability(sure, right, bins=10)
    # 0.1 ends the first bin and 0 is in it; 0.15 is alone; three are in the last
    assert [part.count for part in table] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert table[0].confidence == pytest.approx(0.05) and table[0].accuracy == 0
    assert table[-1].confidence == pytest.approx(2.95 / 3) and table[-1].accuracy == pytest.approx(2 / 3)
    assert math.isnan(table[4].accuracy) and (table[4].low, table[4].high) == (0.4, 0.5)
    by_hand = (2 * 0.05 + 1 * 0.85 + 3 * abs(2 / 3 - 2.95 / 3)) / 6
    assert measures.calibration_error(table) == pytest.approx(by_hand)


def test_calibration_error_is_the_formula_bin_by_bin():
    rng = np.random.default_rng(1)
    sure = rng.random(1000)
    right = rng.random(1000) < sure**2
    expected = 0.0
    for number in range(15):
        inside = (sure > number / 15) & (sure <= (number + 1) / 15)
        expected += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert measures.calibration_error(measures.reliability(sure, right)) == pytest.approx(expected)
    assert measures.calibration_error(measures.reliability(np.full(8, 0.75), np.arange(8) < 6)) == pytest.approx(0)


def test_an_answer_is_right_when_it_is_among_the_accepted_ones_and_images_without_any_do_not_count():
    assert measures.among_several(np.array([3, 1, 5, 0]), [[1, 3], [2], [], [0]]) == (2, 3)


def test_mean_corruption_error_of_alexnet_is_one_and_of_a_network_with_half_its_errors_a_half():
    theirs = {(name, severity): error for name, error in measures.ALEXNET.items() for severity in range(1, 6)}
    assert len(theirs) == 75
    assert measures.mean_corruption_error(theirs) == pytest.approx(1)
    assert measures.mean_corruption_error({key: error / 2 for key, error in theirs.items()}) == pytest.approx(0.5)
    # an error that grows with severity counts by its mean; another corruption does not count at all
    uneven = {key: error * key[1] / 3 for key, error in theirs.items()}
    assert measures.mean_corruption_error({**uneven, ("spatter", 1): 0.0}) == pytest.approx(1)
    assert measures.corruption_errors(uneven)["fog"] == pytest.approx(measures.ALEXNET["fog"])
    one_is_easy = {**theirs, **{("snow", severity): 0.0 for severity in range(1, 6)}}
    assert measures.mean_corruption_error(one_is_easy) == pytest.approx(14 / 15)
    del theirs["fog", 3]
    assert measures.mean_corruption_error(theirs) is None


def test_softmax_of_large_logits():
    found = measures.softmax(np.array([[1000.0, 1000.0, -np.inf], [0.0, math.log(3), -1e9]], "float32"))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.25, 0.75, 0]], rtol=1e-6)


def test_answers_keep_their_numbers_in_a_table_and_the_worst_are_the_surest_wrong_ones():
    answers = Answers(np.array([2, 0, 1]), np.array([[2, 1], [1, 0], [0, 2]]),
                      np.array([[0.9, 0.1], [0.6, 1 / 3], [0.7, 0.1]]), np.array([0.9, 1 / 3, 0.2]))
    again = from_table(as_table(answers))
    for mine, theirs in zip(again, answers):
        np.testing.assert_array_equal(mine, theirs)
    assert again.worst(5) == [2, 1] and again.worst(1) == [2]
    assert again.rows.dtype == again.truth.dtype == np.int64
