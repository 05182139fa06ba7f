"""Views of a photo and of its mask: drawn by name, moved together, and within what the pipeline allows."""
import numpy as np
import pytest
from PIL import Image

from ppim.data.images import ImageList
from ppim.data.masks import seen_through
from ppim.data.transforms import CropResize, HFlip
from ppim.seeds import sample_rng
from ppim.segment.figures import IGNORED
from ppim.segment.samples import EvalPairs, TrainPairs
from ppim.segment.view import TRIES, Colours, Crops, View, coloured, draw_view, fitted, labels_seen, photo_seen
from tests.segment.painted import COLOURS, painted, some_mask

pytestmark = pytest.mark.smoke

PLAIN = Crops(16, (40, 20), distort=False)


def pairs(ade, **changes) -> TrainPairs:
    folder = ade / "images" / "training"
    names = sorted(path.name for path in folder.iterdir())
    images = ImageList(str(folder), names, np.zeros(len(names), np.int64), ["wall", "sky", "flag"])
    return TrainPairs(images, str(ade / "annotations" / "training"), False, **{"crops": PLAIN, "seed": 3, **changes})


def test_a_pixel_is_of_the_colour_that_its_label_says(ade):
    samples, seen = pairs(ade), set()
    for key in ((epoch, index, 0) for epoch in range(3) for index in range(12)):
        sample = samples[key]
        pixels, labels = sample["image"].transpose(1, 2, 0).astype(int), sample["mask"]
        assert pixels.shape == (16, 16, 3) and labels.dtype == np.uint8
        for row in range(3):
            # bilinear resizing mixes colours along edges; inside, the nearest colour is the label's own
            inside = labels == row
            for axis in (0, 1):
                inside &= (np.roll(inside, 1, axis) & np.roll(inside, -1, axis))
            inside[[0, -1]] = inside[:, [0, -1]] = False
            assert (np.abs(pixels[inside] - COLOURS[row + 1]) <= 1).all()
            seen |= {row} if inside.any() else set()
    assert seen == {0, 1, 2}


def test_a_sample_depends_on_its_name_and_the_seed_alone(ade):
    samples = pairs(ade, crops=PLAIN._replace(distort=True))
    first = samples[1, 4, 0]
    for other in ((0, 4, 0), (2, 7, 0), (1, 4, 1)):
        samples[other]
    for name, value in samples[1, 4, 0].items():
        np.testing.assert_array_equal(value, first[name])
    assert any((samples[epoch, 4, 0]["mask"] != first["mask"]).any() for epoch in range(2, 6))
    assert (pairs(ade, seed=4)[1, 4, 0]["image"] != first["image"]).any()


def test_labels_are_those_at_the_centres_of_the_pixels():
    """Against geometry, which knows nothing of resizing."""
    rng = np.random.default_rng(2)
    mask = some_mask(rng, 37, 53)
    for flip in (False, True):
        view = View((80, 60), (11, 7, 43, 39), 32, flip)
        ops = [CropResize((0, 0, 53, 37), (80, 60)), CropResize((11, 7, 32, 32), (32, 32)), *[HFlip()] * flip]
        np.testing.assert_array_equal(labels_seen(view, mask), seen_through(mask, ops, (32, 32)))


def test_beyond_a_small_photo_is_the_mean_colour_and_nothing_to_learn():
    mask = np.ones((10, 12), np.uint8)
    view = View((6, 5), (0, 0, 6, 5), 8, fill=(9, 8, 7))
    photo, labels = np.asarray(photo_seen(view, painted(mask))), labels_seen(view, mask)
    assert (labels[:5, :6] == 1).all() and (labels[5:] == IGNORED).all() and (labels[:, 6:] == IGNORED).all()
    assert (photo[:5, :6] == COLOURS[1]).all() and (photo[5:] == (9, 8, 7)).all() and (photo[:, 6:] == (9, 8, 7)).all()


@pytest.mark.parametrize(("wh", "scale", "found"), [
    ((683, 512), (2048, 512), (683, 512)), ((256, 256), (2048, 512), (512, 512)),
    ((3000, 500), (2048, 512), (2048, 341)),
    ((500, 3000), (2048, 512), (341, 2048)), ((400, 300), (1024, 256), (341, 256)),
    ((400, 300), (256, 1024), (341, 256)),
])
def test_a_photo_is_resized_until_it_just_fits(wh, scale, found):
    assert fitted(wh, scale) == found


def test_draws_keep_within_the_pipeline():
    labels, views = np.zeros((40, 60), np.uint8), []
    labels[:, 30:] = 1
    for index in range(300):
        views.append(draw_view(sample_rng(0, 0, index), labels, Crops(16, (60, 40))))
    factors = [view.wh[1] / 40 for view in views]
    assert 0.45 <= min(factors) < 0.6 and 1.9 < max(factors) <= 2.0
    assert 100 < sum(view.flip for view in views) < 200
    for view in views:
        left, top, right, bottom = view.box
        assert (right - left, bottom - top) == (16, 16) and 0 <= left and right <= view.wh[0] and bottom <= view.wh[1]
    colours = [view.colours for view in views]
    for name, neutral, least, most in (("brightness", 0, -32, 32), ("contrast", 1, 0.5, 1.5),
                                       ("saturation", 1, 0.5, 1.5), ("hue", 0, -18, 17)):
        values = [getattr(one, name) for one in colours]
        changed = [value for value in values if value != neutral]
        assert 100 < len(changed) < 200 and least <= min(changed) < least / 2 + neutral / 2 and max(changed) <= most
    assert {one.contrast_last for one in colours} == {False, True}
    assert all(draw_view(sample_rng(0, 0, index), labels, PLAIN).colours == Colours() for index in range(20))


def test_no_class_fills_more_of_a_crop_than_allowed_if_there_is_a_crop_like_that():
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 52:] = 1
    labels[:6] = IGNORED
    full = {False: 0, True: 0}
    for index in range(200):
        for is_bound in full:
            crops = Crops(16, (64, 64), (1.0, 1.0), 0.75 if is_bound else 1.0, distort=False)
            seen = labels_seen(draw_view(sample_rng(0, 0, index), labels, crops), labels)
            counts = np.bincount(seen[seen != IGNORED], minlength=2)
            full[is_bound] += counts.max() >= 0.75 * counts.sum()
    # about two in nine crops show enough of both; of ten draws hardly ever none does
    assert full[False] > 120 and full[True] < 40
    assert draw_view(sample_rng(0, 0, 1), np.zeros((64, 64), np.uint8), Crops(16)).box  # none does, and TRIES end it
    assert TRIES == 10


def test_colours_change_as_they_say_and_by_nothing_when_neutral():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)
    photo = Image.fromarray(pixels)

    def shown(**changes):
        return np.asarray(coloured(photo, Colours(**changes))).astype(int)

    np.testing.assert_array_equal(shown(), pixels)
    np.testing.assert_array_equal(shown(brightness=10.5), np.clip(pixels + 10.5, 0, 255).astype(int))
    np.testing.assert_array_equal(shown(contrast=0.5), (pixels * 0.5).astype(int))
    once = np.clip(np.clip(pixels - 20.0, 0, 255).astype(int) * 1.5, 0, 255).astype(int)
    for last in (False, True):
        np.testing.assert_array_equal(shown(brightness=-20.0, contrast=1.5, contrast_last=last), once)
    grey = np.asarray(coloured(Image.new("RGB", (2, 2), (70, 70, 70)), Colours(saturation=1.4, hue=12)))
    assert (grey == 70).all()
    red = np.asarray(coloured(Image.new("RGB", (2, 2), (200, 0, 0)), Colours(hue=-18))).astype(int)[0, 0]
    assert red[2] > 80 and red[1] == 0  # 36 degrees from red towards blue
    first = shown(contrast=1.5, saturation=0.5)
    assert (first != shown(contrast=1.5, saturation=0.5, contrast_last=True)).any()


def test_an_evaluated_photo_is_whole_and_its_labels_are_of_its_own_size(ade):
    train = pairs(ade)
    sample = EvalPairs(train.images, train.masks, False, scale=(40, 20))[0]
    assert sample["image"].shape == (3, 20, 32) and sample["mask"].shape == (20, 32)
    assert set(np.unique(sample["mask"])) <= {0, 1, 2, IGNORED}
