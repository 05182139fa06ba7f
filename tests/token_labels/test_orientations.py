"""The eight ways round of a grid, against what they do to a map whose cells are told apart by eye."""
import numpy as np
import pytest

from ppim.token_labels.orientations import ORIENTATIONS, as_seen, as_stored

SEEN = [[1, 2, 3],
        [4, 5, 6]]  # as it lies on the photo
STORED = {
    "rows-first": [[1, 2, 3], [4, 5, 6]],
    "columns-first": [[1, 4], [2, 5], [3, 6]],
    "mirrored": [[3, 2, 1], [6, 5, 4]],
    "upside-down": [[4, 5, 6], [1, 2, 3]],
    "turned-180": [[6, 5, 4], [3, 2, 1]],
    "turned-left": [[3, 6], [2, 5], [1, 4]],
    "turned-right": [[4, 1], [5, 2], [6, 3]],
    "mirrored-columns-first": [[6, 3], [5, 2], [4, 1]],
}


@pytest.mark.smoke
@pytest.mark.parametrize("name", STORED)
def test_a_grid_is_stored_as_its_orientation_says_and_seen_again_as_it_was(name):
    planes = np.stack([SEEN, np.negative(SEEN)])  # what stands before rows and columns is left alone
    stored = as_stored(planes, name)
    np.testing.assert_array_equal(stored, np.stack([STORED[name], np.negative(STORED[name])]))
    np.testing.assert_array_equal(as_seen(stored, name), planes)


def test_there_are_eight_and_no_others():
    assert set(ORIENTATIONS) == set(STORED) and ORIENTATIONS[:2] == ("rows-first", "columns-first")
    for turn in (as_stored, as_seen):
        with pytest.raises(ValueError, match=r"orientation wants one of rows-first.*got 'sideways'"):
            turn(np.zeros((2, 3)), "sideways")
