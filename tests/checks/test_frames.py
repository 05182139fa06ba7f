"""How are maps stored? Sixteen ways, found against an annotator of other classes; silence where nothing tells."""
import numpy as np
import pytest

from ppim.checks.choice import FEWEST
from ppim.checks.frames import Way, find, judge, ways
from ppim.checks.patterns import laid
from ppim.geometry import centre_window
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.orientations import ORIENTATIONS, as_stored

WH, COUNT, CLASSES = (128, 96), 24, 6
TRIED = ways()


def ground(rng):
    """(96, 128): which of CLASSES each pixel of a photo shows, a few blots over a background."""
    owner = np.full((96, 128), rng.integers(CLASSES))
    y, x = np.mgrid[:96, :128]
    for _ in range(9):
        cx, cy, r = rng.uniform(0, 128), rng.uniform(0, 96), rng.uniform(10, 28)
        owner[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.integers(CLASSES)
    return owner


def map_of(owner, window, grid, names, rng, noise=0.6):
    """The share of each class in each cell, as scores under the ids `names`, counted pixel by pixel."""
    x0, y0, x1, y1 = window
    rows, columns = grid
    at_y = y0 * 96 + (y1 - y0) * 96 * (np.arange(rows * 6) + 0.5) / (rows * 6)
    at_x = x0 * 128 + (x1 - x0) * 128 * (np.arange(columns * 6) + 0.5) / (columns * 6)
    read = owner[at_y.astype(int)[:, None], at_x.astype(int)].reshape(rows, 6, columns, 6)
    share = np.stack([(read == number).mean(axis=(1, 3)) for number in range(CLASSES)])
    ids = np.broadcast_to(np.asarray(names)[:, None, None], share.shape)
    return LabelMap((4 * share + rng.normal(0, noise, share.shape)).astype(np.float32), ids.astype(np.int32))


@pytest.fixture(scope="module")
def photos():
    """What COUNT photos show, and what an annotator with classes and cells of its own says of them."""
    rng = np.random.default_rng(1)
    owners = [ground(rng) for _ in range(COUNT)]
    # to it, two of the classes are one, and none is called as in the maps
    said = [map_of(np.where(owner == 5, 4, owner), (0, 0, 1, 1), (9, 12), [11, 7, 30, 2, 19, 8], rng)
            for owner in owners]
    return owners, said


def stored(owners, way, grid=(8, 8), noise=0.6):
    rng = np.random.default_rng(2)
    seen = [map_of(owner, (0, 0, 1, 1) if way.crop_pct is None else centre_window(WH, way.crop_pct), grid,
                   range(CLASSES), rng, noise) for owner in owners]
    return [LabelMap(as_stored(m.scores, way.orientation), as_stored(m.ids, way.orientation)) for m in seen]


def test_what_is_laid_on_the_cells_of_a_window_is_what_stands_there():
    at = np.stack(np.meshgrid((np.arange(12) + 0.5) / 12, (np.arange(9) + 0.5) / 9), axis=-1)  # a table of its places
    found = laid(at, (0.25, 0.1, 0.75, 0.9), (2, 5))
    np.testing.assert_allclose(found[0, :, 0], 0.25 + 0.5 * (np.arange(5) + 0.5) / 5)
    np.testing.assert_allclose(found[:, 0, 1], 0.1 + 0.8 * (np.arange(2) + 0.5) / 2)


@pytest.mark.parametrize("pct", [None, 1.0], ids=["whole", "centre"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_each_way_of_storing_maps_is_found_with_a_margin_and_its_interval(photos, orientation, pct):
    owners, said = photos
    way = Way(orientation, pct)
    found = find(stored(owners, way), said, [WH] * COUNT, TRIED)
    assert found.is_decided and found.best == way and found.orientation and found.frame
    assert 0 < found.low < found.margin < found.high and found.p < 1e-3 and found.photos == COUNT
    assert [fit for _, fit in found.fits] == sorted((fit for _, fit in found.fits), reverse=True)


def test_another_crop_that_is_stated_is_found_and_grids_need_not_be_square(photos):
    owners, said = photos
    tried = ways([0.7, 1.0])
    assert find(stored(owners, Way("upside-down", 0.7)), said, [WH] * COUNT, tried).best == Way("upside-down", 0.7)
    found = find(stored(owners, Way("columns-first"), (9, 12)), said, [WH] * COUNT, tried)
    assert found.is_decided and found.best == Way("columns-first")


def test_nothing_is_named_where_maps_are_noise_symmetric_of_other_photos_or_few(photos):
    owners, said = photos
    sizes, right = [WH] * COUNT, stored(owners, Way("rows-first"))
    rng = np.random.default_rng(3)
    noise = [m._replace(scores=rng.normal(size=m.scores.shape).astype(np.float32)) for m in right]
    level = [m._replace(scores=np.ones_like(m.scores)) for m in right]
    for maps in (noise, level, right[1:] + right[:1]):
        found = find(maps, said, sizes, TRIED)
        assert not found.is_decided and "hardly better" in found.why and not found.orientation and not found.frame
    few = FEWEST - 1
    assert "too few" in find(right[:few], said[:few], sizes[:few], TRIED).why


def test_of_maps_that_look_alike_mirrored_the_frame_alone_is_named(photos):
    owners, said = photos
    even = [np.where(np.arange(128) < 64, owner, owner[:, ::-1]) for owner in owners]  # mirror images of themselves
    rng = np.random.default_rng(4)
    told = [map_of(owner, (0, 0, 1, 1), (9, 12), range(CLASSES), rng, 0.2) for owner in even]
    maps = stored(even, Way("rows-first"), noise=0.0)
    found = find(maps, told, [WH] * COUNT, TRIED)
    assert not found.is_decided and not found.orientation and found.frame and "mirrored" in found.why


def test_of_square_photos_the_frame_stays_open_and_the_orientation_does_not(photos):
    owners, said = photos
    found = find(stored(owners, Way("turned-left")), said, [(100, 100)] * COUNT, TRIED)
    assert not found.is_decided and found.orientation and not found.frame and "turned-left" in found.why


def test_a_lead_that_only_some_photos_have_is_none():
    rng = np.random.default_rng(5)
    tried = ways([])
    fits = np.tile(np.full(len(tried), 0.2), (40, 1)) + rng.normal(0, 0.01, (40, len(tried)))
    fits[:6, 2] += 3.0  # by far the best in the mean
    assert not judge(fits, tried).is_decided
    fits[:, 2] += 0.3
    assert judge(fits, tried).is_decided


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="above 0, at most 1, got 1.5"):
        ways([1.5])
