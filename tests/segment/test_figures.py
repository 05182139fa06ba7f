"""Figures of a segmentation against a count pixel by pixel, and windows against windows drawn one by one."""
import numpy as np
import paddle
import pytest

from ppim.segment.figures import IGNORED, confusion_of, figures_of
from ppim.segment.sliding import best_class, slid, windows

pytestmark = pytest.mark.smoke


def counted_one_by_one(labels, said, rows):
    """By MMSegmentation's definitions: areas of intersection, of union, of labels."""
    both, of_label, of_said = ([0] * rows for _ in range(3))
    for label, answer in zip(labels.ravel().tolist(), said.ravel().tolist()):
        if label == IGNORED:
            continue
        of_label[label] += 1
        of_said[answer] += 1
        both[label] += label == answer
    union = [a + b - c for a, b, c in zip(of_label, of_said, both)]
    iou = [100 * c / u if u else None for c, u in zip(both, union)]
    accuracy = [100 * c / n if n else None for c, n in zip(both, of_label)]
    return iou, accuracy, 100 * sum(both) / sum(of_label)


def test_figures_are_those_of_a_count_pixel_by_pixel():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 4, IGNORED], (3, 20, 15)).astype(np.uint8)
    said = np.where(rng.random(labels.shape) < 0.5, np.minimum(labels, 4), rng.integers(0, 4, labels.shape))
    said[said == 4] = 0  # 4 is shown and never said, 3 is said and never shown, 5 neither
    found = figures_of(sum(confusion_of(one, other, 6) for one, other in zip(labels, said)), list("abcdef"), 3)
    iou, accuracy, all_of_them = counted_one_by_one(labels, said, 6)
    assert list(found.iou.values()) == pytest.approx(iou, abs=1e-12) and found.iou["f"] is None
    assert found.iou["d"] == 0 and found.accuracy["d"] is None and found.iou["e"] == found.accuracy["e"] == 0
    assert list(found.accuracy.values()) == pytest.approx(accuracy, abs=1e-12)
    assert found.aacc == pytest.approx(all_of_them, abs=1e-12)
    assert found.miou == pytest.approx(np.mean([x for x in iou if x is not None]), abs=1e-12)
    assert found.macc == pytest.approx(np.mean([x for x in accuracy if x is not None]), abs=1e-12)
    assert found.is_sound and not figures_of(np.eye(2, dtype=np.int64), "ab", 1, broken=1).is_sound
    assert len(found.table()) == 6 and " mAcc " in str(found) and str(found).startswith("mIoU ")


def test_a_table_holds_more_than_a_float_can_count():
    huge = np.array([[2**60 + 1, 1], [0, 2**60]], np.int64)
    assert (huge + confusion_of(np.zeros(1, np.uint8), np.zeros(1, np.int64), 2))[0, 0] == 2**60 + 2
    assert confusion_of(np.zeros(3, np.uint8), np.zeros(3, np.int64), 2).dtype == np.int64


def test_nothing_to_count_is_said():
    with pytest.raises(ValueError, match=r"no pixel .* has a class.*SEGMENT\.GROUND"):
        figures_of(np.zeros((2, 2), np.int64), "ab", 1)


@pytest.mark.parametrize(("hw", "starts"), [
    ((512, 683), ([0], [0, 171])), ((512, 512), ([0], [0])), ((1200, 853), ([0, 341, 682, 688], [0, 341])),
    ((300, 600), ([0], [0, 88])),
])
def test_windows_cover_the_picture_and_stay_inside(hw, starts):
    found = windows(hw, 512, 341)
    assert sorted({top for top, *_ in found}) == starts[0] and sorted({left for _, left, *_ in found}) == starts[1]
    covered = np.zeros(hw, int)
    for top, left, bottom, right in found:
        assert (bottom - top, right - left) == (min(512, hw[0]), min(512, hw[1]))
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1


def test_what_slides_is_the_mean_of_windows_asked_one_by_one():
    paddle.seed(0)
    layer = paddle.nn.Conv2D(3, 4, 5, padding=2)  # sees the border of its window

    picture = paddle.randn([1, 3, 19, 26])
    found = slid(layer, picture, 8, 5, at_once=3).numpy()
    total, seen = np.zeros((4, 19, 26)), np.zeros((19, 26))
    for top in (0, 5, 10, 11):
        for left in (0, 5, 10, 15, 18):
            total[:, top:top + 8, left:left + 8] += layer(picture[:, :, top:top + 8, left:left + 8]).numpy()[0]
            seen[top:top + 8, left:left + 8] += 1
    np.testing.assert_allclose(found[0], total / seen, atol=1e-5)


def test_the_best_class_is_found_in_parts_as_at_once():
    paddle.seed(1)
    logits = paddle.randn([1, 7, 5, 6])
    logits[0, 3] = logits[0, 1]  # equals: the first counts
    whole = paddle.nn.functional.interpolate(logits, size=[11, 9], mode="bilinear", align_corners=False)
    for at_once in (1, 3, 7, 16):
        found = best_class(logits, (11, 9), at_once).numpy()
        np.testing.assert_array_equal(found, whole.numpy()[0].argmax(axis=0))


@pytest.mark.parametrize("hw", [(1, 6), (9, 1), (1, 1), (3, 1)])
def test_a_photo_of_one_row_or_column_is_read_in_its_middle(hw):
    """Centres of pixels, as everywhere: what a strip shows of a picture twenty rows high is its tenth and eleventh."""
    logits = expected = np.random.default_rng(0).normal(size=(4, 20, 30)).astype(np.float32)
    for axis, length in enumerate(hw, 1):
        old = expected.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))
        expected = np.moveaxis(np.tensordot(weights, expected, (1, axis)), 0, axis)
    found = best_class(paddle.to_tensor(logits[None]), hw, at_once=3).numpy()
    np.testing.assert_array_equal(found, expected.argmax(axis=0))
