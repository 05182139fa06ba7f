"""Where do tokens have their labels from? Mistakes planted in targets are named; a right loader passes; noise is noise.

Pictures are blots of classes whose places are known to the pixel, and targets are counted pixel by pixel.
"""
import numpy as np
import pytest

from ppim.checks.choice import FEWEST
from ppim.checks.origins import Sample, audit, explanations
from ppim.geometry import centre_window
from ppim.token_labels.maps import LabelMap

WH, COUNT, CLASSES, GRID = (160, 120), 30, 5, (8, 8)


@pytest.fixture(scope="module")
def owners():
    """(120, 160) each: the class of every pixel of a photo."""
    rng, found = np.random.default_rng(0), []
    y, x = np.mgrid[:120, :160]
    for _ in range(COUNT):
        owner = np.full((120, 160), rng.integers(CLASSES))
        for _ in range(14):
            cx, cy, r = rng.uniform(0, 160), rng.uniform(0, 120), rng.uniform(9, 26)
            owner[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.integers(CLASSES)
        found.append(owner)
    return found


def boxes():
    rng = np.random.default_rng(1)
    for number in range(COUNT):
        width, height = rng.uniform(0.5, 0.8, 2)
        yield (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height), number % 2 == 0


def counted(owner, places, grid, names=range(CLASSES)):
    """(rows, columns, classes): shares of 6 x 6 points of each cell; `places`: points of the grid -> of the photo."""
    rows, columns = grid
    y, x = ((np.arange(n * 6) + 0.5) / (n * 6) for n in grid)
    x, y = places(*np.meshgrid(x, y))
    read = owner[np.clip(y * 120, 0, 119).astype(int), np.clip(x * 160, 0, 159).astype(int)]
    read = read.reshape(rows, 6, columns, 6)
    return np.stack([(read == number).mean(axis=(1, 3)) for number in names], axis=-1)


def known_of(owner):
    """The photo's map in 15 x 20 cells, of the whole photo, ids of its own."""
    share = counted(owner, lambda x, y: (x, y), (15, 20)).transpose(2, 0, 1)
    ids = np.broadcast_to(np.array([7, 3, 90, 11, 40])[:, None, None], share.shape)
    return LabelMap((6 * share).astype(np.float32), ids.astype(np.int32))


def view(box, flip):
    """Points of a view -> of the photo."""
    left, top, width, height = box
    return lambda x, y: (left + width * (1 - x if flip else x), top + height * y)


def of_centre(x, y):
    x0, y0, x1, y1 = centre_window(WH, 1.0)
    return (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)


PLANTED = {
    "right": lambda places, box, flip: places,
    "x and y of the box exchanged": lambda places, box, flip: view((box[1], box[0], box[3], box[2]), flip),
    "the box being one of the mirrored photo": lambda places, box, flip: lambda x, y: (
        lambda u, v: (1 - u if flip else u, v))(box[1] + box[3] * x, (1 - box[0] - box[2] if flip else box[0])
                                                + box[2] * y),
    "rows and columns of the tokens exchanged": lambda places, box, flip: lambda x, y: places(y, x),
    "rows and columns of the map exchanged": lambda places, box, flip: lambda x, y: places(x, y)[::-1],
    "mirroring not followed": lambda places, box, flip: view(box, False),
    "mirrored where the view is not": lambda places, box, flip: view(box, not flip),
    "upside down": lambda places, box, flip: lambda x, y: places(x, 1 - y),
    "the crop not followed": lambda places, box, flip: view((0, 0, 1, 1), flip),
    "whole photo read as of the centre crop at 1": lambda places, box, flip: lambda x, y: of_centre(*places(x, y)),
}


def samples_of(owners, plant):
    return [Sample(counted(owner, plant(view(box, flip), box, flip), GRID), known_of(owner), box, flip, WH)
            for owner, (box, flip) in zip(owners, boxes())]


@pytest.mark.parametrize("name", PLANTED)
def test_each_mistake_is_named_and_a_right_loader_passes(owners, name):
    found = audit(samples_of(owners, PLANTED[name]))
    assert found.verdict == ("right" if name == "right" else "wrong"), found.text
    assert name == "right" or name in found.text
    assert found.samples == COUNT and found.fits[0][1] > 0.5
    for displaced in found.displaced:  # of the right one alone
        assert name == "right" and max(abs(displaced.x), abs(displaced.y)) < 0.05
        assert displaced.x_interval[0] < displaced.x < displaced.x_interval[1]


def test_a_displacement_in_tokens_is_measured_with_its_sign_and_in_cells_where_it_goes_with_the_photo(owners):
    right, down = 0.6 / 8, -0.35 / 8
    found = audit(samples_of(owners, lambda places, box, flip: lambda x, y: places(x + right, y + down)))
    assert found.verdict == "wrong" and "displaced" in found.text
    tokens, _ = found.displaced
    assert tokens.x == pytest.approx(0.6, abs=0.1) and tokens.y == pytest.approx(-0.35, abs=0.1)
    assert tokens.x_interval[0] < 0.6 < tokens.x_interval[1] + 0.1

    def half_a_cell(places, box, flip):
        return lambda x, y: (places(x, y)[0] + 0.5 / 20, places(x, y)[1] + 0.5 / 15)

    found = audit(samples_of(owners, half_a_cell))
    tokens, cells = found.displaced
    assert found.verdict == "wrong" and "cells" in found.text and cells.fit > tokens.fit
    assert (cells.x, cells.y) == pytest.approx((0.5, 0.5), abs=0.1)


def test_nothing_is_named_of_noise_of_other_photos_and_of_few_samples(owners):
    right = samples_of(owners, PLANTED["right"])
    rng = np.random.default_rng(2)
    noise = [sample._replace(table=rng.random(sample.table.shape)) for sample in right]
    others = [sample._replace(table=other.table) for sample, other in zip(right, right[5:] + right[:5])]
    for samples in (noise, others):
        found = audit(samples)
        assert found.verdict == "undecided" and "hardly better" in found.text and found.displaced == ()
    assert "too few" in audit(right[:FEWEST - 1]).text


def test_what_is_the_same_for_these_samples_is_said_to_be_so(owners):
    straight = [sample for sample in samples_of(owners, PLANTED["right"]) if not sample.flip]
    found = audit(straight * 2)
    assert any("mirroring not followed (here the same as: where the view shows them)" in text for text in found.like)
    assert list(explanations())[0] == "where the view shows them"
