"""Do maps lie on their photos? Turned eight ways, in three frames, on photos of any shape; silence where none fits."""
import numpy as np
import pytest

from ppim.checks import places
from ppim.checks.places import maps_lie_on_photos
from ppim.data import shapes
from ppim.geometry import centre_window
from ppim.seeds import picture_rng
from ppim.token_labels.card import Reading
from ppim.token_labels.maps import LabelMap

COUNT = 48


def drawn(wh, grid, crop=None, noise=0.0):
    """Pictures, and their maps of the whole or of the centre square of `crop`, scores blurred by `noise`."""
    photos, maps = [], []
    for index in range(COUNT):
        photo, _, owner = shapes.draw_picture(picture_rng(3, "train", index), wh, class_id=index % 10)
        if crop:
            x0, y0, x1, y1 = centre_window(wh, crop)
            owner = owner[round(y0 * wh[1]):round(y1 * wh[1]), round(x0 * wh[0]):round(x1 * wh[0])]
        scores, ids, _ = shapes.label_map_of(owner, grid)
        photos.append(photo)
        maps.append(LabelMap(scores + np.random.default_rng(index).normal(0, noise, scores.shape), ids))
    return photos, maps


@pytest.fixture(scope="module")
def landscape():
    return drawn((64, 48), (9, 9), noise=1.0)


def turned(maps, turn):
    return [LabelMap(turn(m.scores), turn(m.ids)) for m in maps]


@pytest.mark.parametrize("name", list(places._TURNS))
def test_maps_turned_by_someone_are_named_with_the_turn_that_puts_them_right(landscape, name):
    photos, maps = landscape
    # undone by reading them with the turn named; turns to the left and right undo each other
    back = {"turned by 90 degrees to the left": "turned by 90 degrees to the right",
            "turned by 90 degrees to the right": "turned by 90 degrees to the left"}.get(name, name)
    finding = maps_lie_on_photos(photos, turned(maps, places._TURNS[back]), Reading(), "maps")
    if name == "as they are read":
        assert finding.level == "fine"
    else:
        assert finding.level in ("warning", "error") and name in finding.text


@pytest.mark.parametrize(("wh", "truth"), [((64, 48), 1.0), ((48, 64), 0.875), ((48, 48), 0.875), ((96, 64), 1.0)])
def test_maps_of_the_centre_read_as_of_the_whole_photo_are_named(wh, truth):
    photos, maps = drawn(wh, (9, 9), truth)
    finding = maps_lie_on_photos(photos, maps, Reading(), "maps")
    assert finding.level in ("warning", "error") and "centre crop" in finding.text and "FRAME" in finding.text
    assert maps_lie_on_photos(photos, maps, Reading("centre-crop", truth), "maps").level == "fine"


def test_maps_of_the_whole_photo_read_as_of_its_centre_are_named():
    photos, maps = drawn((96, 64), (9, 9))
    finding = maps_lie_on_photos(photos, maps, Reading("centre-crop", 1.0), "maps")
    assert finding.level in ("warning", "error") and "the whole photo" in finding.text


@pytest.mark.parametrize(("wh", "grid"), [
    ((48, 48), (9, 9)), ((64, 64), (6, 6)), ((64, 48), (9, 12)), ((48, 64), (4, 4))])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_maps_read_as_they_are_raise_no_alarm(wh, grid, noise):
    assert maps_lie_on_photos(*drawn(wh, grid, noise=noise), Reading(), "maps").level == "fine"


def test_where_maps_say_nothing_of_places_nothing_is_said_of_them(landscape):
    photos, maps = landscape
    rng = np.random.default_rng(0)
    blurred = [LabelMap(rng.normal(size=m.scores.shape), m.ids) for m in maps]
    flat = [LabelMap(np.ones_like(m.scores), np.tile(m.ids[:, :1, :1], (1, 9, 9))) for m in maps]
    for nothing in (blurred, flat, maps[1:] + maps[:1]):
        assert maps_lie_on_photos(photos, nothing, Reading(), "maps").level == "unknown"
    assert maps_lie_on_photos(photos[:8], maps[:8], Reading(), "maps").level == "unknown"
