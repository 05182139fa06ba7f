"""Maps of masks and boxes: areas as counted in fractions, pixel by pixel, without what they are computed with."""
from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.annotate.areas import Region, cells_of_mask, cells_of_regions
from ppim.annotate.coco import decoded, read_coco, renumbered
from ppim.data.shapes import BACKGROUND, FLOOR, label_map_of
from ppim.geometry import centre_window

pytestmark = pytest.mark.smoke

WHOLE = (0.0, 0.0, 1.0, 1.0)


def shares_in(cells, classes):
    """(C, rows, columns): the shares that a map was made of, from its scores."""
    scores, ids, log_z = cells
    found = np.zeros((classes, *scores.shape[1:]))
    np.put_along_axis(found, ids.astype(np.int64), np.expm1(scores.astype(np.float64)) * FLOOR, axis=0)
    np.testing.assert_allclose(np.exp(log_z), classes + found.sum(axis=0) / FLOOR, rtol=1e-5)
    return found


def counted(owner_at, wh, grid, window, classes):
    """The same exactly: a cell is cut at all of `edges`, and each piece asked at its middle whose it is."""
    owner, xs, ys = owner_at
    shares = np.zeros((classes, *grid))
    x0, x1 = (Fraction(window[i]) * wh[0] for i in (0, 2))
    y0, y1 = (Fraction(window[i]) * wh[1] for i in (1, 3))
    for row in range(grid[0]):
        for column in range(grid[1]):
            left, right = (x0 + (x1 - x0) * Fraction(column + i, grid[1]) for i in (0, 1))
            top, bottom = (y0 + (y1 - y0) * Fraction(row + i, grid[0]) for i in (0, 1))
            across = sorted({left, right, *(x for x in xs if left < x < right)})
            down = sorted({top, bottom, *(y for y in ys if top < y < bottom)})
            for a, b in zip(across, across[1:]):
                for c, d in zip(down, down[1:]):
                    label = owner((a + b) / 2, (c + d) / 2)
                    if label != BACKGROUND:
                        shares[label, row, column] += float((b - a) * (d - c) / ((right - left) * (bottom - top)))
    return shares


@st.composite
def scenes(draw):
    """A photo's size, a grid, what it covers, and some boxes, of which some reach beyond the photo."""
    wh = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    grid = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    window = draw(st.sampled_from([WHOLE, centre_window(wh, 0.75)]))
    corner = st.integers(-4, 40).map(lambda quarter: quarter / 4)
    boxes = draw(st.lists(st.tuples(st.integers(0, 3), corner, corner, corner, corner), max_size=4))
    regions = [Region(label, (min(a, b), min(c, d), max(a, b), max(c, d))) for label, a, b, c, d in boxes]
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        regions.insert(0, Region(draw(st.integers(0, 3)), (0.0, 0.0, 1.0, 1.0), rng.random(wh[::-1]) < 0.4))
    return wh, grid, window, regions


@settings(deadline=None, max_examples=60)
@given(scenes())
def test_a_point_is_the_smallest_regions_and_areas_are_exact(scene):
    wh, grid, window, regions = scene

    def owner(x, y):
        best, label = None, BACKGROUND
        for region in regions:
            x0, y0, x1, y1 = region.box
            inside = x0 <= x < x1 and y0 <= y < y1 if region.mask is None else region.mask[int(y), int(x)]
            area = (x1 - x0) * (y1 - y0) if region.mask is None else int(region.mask.sum())
            if inside and (best is None or area <= best):
                best, label = area, region.label
        return label

    xs = [*range(wh[0] + 1), *(Fraction(edge) for region in regions for edge in region.box[::2])]
    ys = [*range(wh[1] + 1), *(Fraction(edge) for region in regions for edge in region.box[1::2])]
    expected = counted((owner, xs, ys), wh, grid, window, 6)
    found = shares_in(cells_of_regions(regions, wh, grid, 6, 6, window), 6)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.tuples(st.integers(1, 6), st.integers(1, 6)), st.booleans())
def test_unknown_pixels_of_a_mask_are_left_out_of_a_cells_shares(seed, grid, is_cropped):
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 3, 4, 255], (rng.integers(1, 8), rng.integers(1, 8))).astype(np.uint8)
    height, width = mask.shape
    window = centre_window((width, height), 0.5) if is_cropped else WHOLE

    def counts(of):
        return counted((lambda x, y: of[int(y), int(x)], range(width + 1), range(height + 1)), (width, height), grid,
                       window, 5)

    covered = counts(np.where((mask == 0) | (mask == 255), BACKGROUND, mask.astype(int) - 1))
    known = counts(np.where(mask == 255, BACKGROUND, 0))[0]
    found = shares_in(cells_of_mask(mask, grid, 5, 5, window), 5)
    # of a cell whose edge is that of a pixel, rounding alone may leave a sliver
    np.testing.assert_allclose(found, np.where(known > 1e-9, covered / np.where(known > 0, known, 1), 0), atol=2e-6)


def test_a_mask_makes_the_map_that_a_drawn_picture_has():
    owner = np.random.default_rng(2).integers(-1, 7, (11, 13))
    ours = cells_of_mask((owner + 1).astype(np.uint8), (4, 5), 300, 5, WHOLE)
    for mine, theirs in zip(ours, label_map_of(owner, (4, 5), 300)):
        np.testing.assert_array_equal(mine, theirs)


# ---- COCO ----------------------------------------------------------------------------------------------------------


def written(folder, **changes):
    """A file of annotations of two photos, 8 x 6 and 6 x 6 pixels."""
    told = {
        "images": [{"id": 7, "file_name": "train/a.jpg", "width": 8, "height": 6},
                   {"id": 9, "file_name": "b.jpg", "width": 6, "height": 6}],
        "categories": [{"id": 44, "name": "cup"}, {"id": 3, "name": "table"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [0, 0, 8, 6], "segmentation": [[0, 0, 8, 0, 8, 6]]},
            {"id": 2, "image_id": 7, "category_id": 44, "bbox": [2, 1, 2, 2]},
            {"id": 3, "image_id": 9, "category_id": 44, "bbox": [0, 0, 6, 6], "iscrowd": 1,
             "segmentation": {"size": [6, 6], "counts": [6, 12, 18]}},
        ],
        **changes,
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(told))
    return path


def test_a_file_says_whose_boxes_lie_where_and_outlines_are_counted(tmp_path):
    coco = read_coco(written(tmp_path))
    assert coco.names == ("table", "cup") and coco.polygons == 1
    table, cup = coco.regions_of(coco.of("train/a.jpg"))
    assert table == Region(0, (0, 0, 8, 6)) and cup == Region(1, (2, 1, 4, 3))
    assert coco.of("elsewhere/a.jpg") is coco.of("train/a.jpg")
    (crowd,) = coco.regions_of(coco.of("b.jpg"))
    assert crowd.mask[:, 1:3].all() and crowd.mask.sum() == 12
    other = renumbered(coco, ["cup", "x", "table"])
    assert [region.label for region in other.regions_of(other.of("a.jpg"))] == [2, 0]
    with pytest.raises(ValueError, match="--classes has no 'table'"):
        renumbered(coco, ["cup"])
    with pytest.raises(ValueError, match=r"lists no photo called c\.jpg"):
        coco.of("c.jpg")


@pytest.mark.parametrize("photos", [["train/a.jpg", "val/a.jpg"], ["cat/b.jpg", "dog/b.jpg"]])
def test_one_of_two_photos_called_alike_is_not_taken_for_the_other(tmp_path, photos):
    coco = read_coco(written(tmp_path))
    coco.check_photos([photos[0], "b.jpg" if "a.jpg" in photos[0] else "a.jpg"])
    with pytest.raises(ValueError, match=f"both {photos[0]} and {photos[1]} could be meant"):
        coco.check_photos(photos)


def test_compressed_run_lengths_are_the_plain_ones():
    """Five bits a character, the lowest first; from the third on each is told by its difference to the one two before.
    """
    plain = [5, 3, 9, 40, 2, 1]

    def text(counts):
        out = ""
        for at, count in enumerate(counts):
            value = count - counts[at - 2] if at > 2 else count
            more = True
            while more:
                bits, value = value & 31, value >> 5
                more = value != (-1 if bits & 16 else 0)
                out += chr(48 + (bits | 32 if more else bits))
        return out

    one, other = (decoded({"size": [6, 10], "counts": counts}, (10, 6)) for counts in (plain, text(plain)))
    np.testing.assert_array_equal(one, other)
    assert one.T.reshape(-1)[5:8].all() and one.sum() == 44
    with pytest.raises(ValueError, match="60 pixels for 54"):
        decoded({"size": [6, 9], "counts": plain}, (9, 6))


@pytest.mark.parametrize(("change", "told"), [
    ({"annotations": [{"image_id": 8}]}, "not a COCO file.*KeyError: 8"),
    ({"categories": None}, "not a COCO file"),
    ({"images": [{"id": 9, "file_name": "b.jpg", "width": 0, "height": 6}]}, "b.jpg of 0 x 6 pixels.*width"),
    ({"images": [{"id": 9, "file_name": "b.jpg", "width": float("inf"), "height": 6}]}, "not a COCO file.*infinity"),
    ({"images": [{"id": at, "file_name": "b.jpg", "width": 6, "height": 6} for at in (7, 9)]}, "b.jpg stands .* twice"),
    ({"annotations": [{"id": 5, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1],
                       "segmentation": {"size": [6, 6], "counts": "o" * 40 + "0"}}]}, "annotation 5 is none"),
    ({"annotations": [{"id": 5, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "annotation 5 is none"),
    ({"annotations": [{"id": 5, "image_id": 9, "category_id": 3, "bbox": [0, 0, -1, 1]}]}, "a box of -1 x 1 pixels"),
    ({"annotations": [{"id": 5, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1],
                       "segmentation": {"size": [6, 5], "counts": [30]}}]}, "a mask of 5 x 6 pixels for a photo of"),
])
def test_a_file_that_is_damaged_is_named_with_what_was_wanted(tmp_path, change, told):
    with pytest.raises(ValueError, match=told):
        coco = read_coco(written(tmp_path, **change))
        coco.regions_of(coco.of("b.jpg"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_coco(tmp_path / "none.json")


def test_compressed_run_lengths_worked_out_by_hand():
    """5 2 2 2 5, of which the fourth is told as 2 - 2 and the fifth as 5 - 2."""
    centre = np.zeros((4, 4), bool)
    centre[1:3, 1:3] = True
    np.testing.assert_array_equal(decoded({"size": [4, 4], "counts": "52203"}, (4, 4)), centre)
