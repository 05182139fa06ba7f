"""Collages: what is written about a picture is what the picture shows, and a picture depends on its key alone."""
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ppim.data.collage import CANVAS, GRID, LEAST_SEEN, class_is_lost, draw_collage, scrambled, write_collages
from ppim.data.datasets import find_images
from ppim.data.shapes import BACKGROUND
from ppim.seeds import picture_rng
from ppim.token_labels.card import read_card
from ppim.token_labels.maps import read_map

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250)]  # of the photos of each class, which so are told apart


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """(training, test) photos of three classes, each of its class's colour with a little noise."""
    root, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    for split in ("train", "test"):
        for label, colour in enumerate(COLOURS):
            (root / split / f"class{label}").mkdir(parents=True)
            for number in range(4):
                pixels = np.clip(np.array(colour) + rng.integers(-5, 6, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / f"class{label}" / f"{number}.png")
    return find_images(str(root), "train"), find_images(str(root), "val")


@pytest.mark.smoke
def test_the_owner_of_a_pixel_is_the_class_its_colour_tells(photos):
    for index in range(10):
        collage = draw_collage(picture_rng(3, "train", index), photos[0])
        pixels = np.asarray(collage.image).astype(int)
        for label, colour in enumerate(COLOURS):
            distance = np.abs(pixels - colour).max(axis=2)
            assert (distance[collage.owner == label] < 25).all()
        assert collage.image.size == CANVAS and (collage.owner == BACKGROUND).any()


@pytest.mark.smoke
def test_the_class_is_seen_most_in_the_centred_square(photos):
    # each photo a class of its own, so often that no two patches are alike
    many = replace(photos[0], paths=photos[0].paths * 50, labels=np.arange(600))
    for index in range(40):
        collage = draw_collage(picture_rng(4, "train", index), many)
        seen = collage.owner[:, 16:112]
        areas = np.bincount(seen[seen >= 0], minlength=600)
        assert areas.argmax() == collage.label and areas.max() >= LEAST_SEEN
    again = draw_collage(picture_rng(4, "train", 39), many)
    assert again.image.tobytes() == collage.image.tobytes() and again.label == collage.label


@pytest.mark.smoke
def test_scrambling_keeps_the_spectrum_and_loses_the_shape():
    photo = np.full((32, 32, 3), 100, np.uint8)
    photo[8:24, 8:24] = 140
    mixed = scrambled(np.random.default_rng(0), photo)
    spectra = [np.abs(np.fft.fft2(one[..., 0].astype(float))) for one in (photo, mixed)]
    assert abs(spectra[0][0, 0] - spectra[1][0, 0]) < 1024  # the mean, within half a level
    assert np.corrcoef(spectra[0].ravel()[1:], spectra[1].ravel()[1:])[0, 1] > 0.98
    assert abs(np.corrcoef(photo[..., 0].ravel(), mixed[..., 0].ravel())[0, 1]) < 0.5


def half_of(photos, first):
    chosen = [i for i in range(len(photos)) if i % 2 == first]
    return replace(photos, paths=[photos.paths[i] for i in chosen], labels=photos.labels[chosen])


def test_even_and_odd_training_pictures_share_no_photo(photos, tmp_path):
    numbered = [np.full((32, 32, 3), 20 * i, np.uint8) for i in range(12)]  # flat, so that a patch tells which it is of
    paths = []
    for i, pixels in enumerate(numbered):
        paths.append(f"{i}.png")
        Image.fromarray(pixels).save(tmp_path / paths[-1])
    flat = replace(photos[0], root=str(tmp_path), paths=paths, labels=np.zeros(12, np.int64), classes=["all"])
    write_collages(tmp_path / "out", flat, flat, seed=1, counts=(20, 1))
    pictures = find_images(str(tmp_path / "out" / "data"), "train")
    for path in pictures.paths:
        grey = np.asarray(Image.open(tmp_path / "out" / "data" / "train" / path))[..., 0].astype(int)
        values, counts = np.unique(grey, return_counts=True)
        broad = values[counts > 500]  # JPEG's ripples at borders are few
        assert {int(value + 1) // 20 % 2 for value in broad} == {int(path[-9:-4]) % 2}


def test_maps_masks_and_card_say_what_was_drawn(photos, tmp_path):
    write_collages(tmp_path, *photos, seed=5, counts=(16, 12))
    pictures = find_images(str(tmp_path / "data"), "train")
    assert len(pictures) == 16 and len(find_images(str(tmp_path / "data"), "val")) == 12
    for path in pictures.paths:
        index = int(path[-9:-4])
        collage = draw_collage(picture_rng(5, "train", index), half_of(photos[0], index % 2))
        assert path.startswith(f"class{collage.label}/")
        mask = np.asarray(Image.open(tmp_path / "masks" / "train" / f"{path[:-4]}.png"))
        np.testing.assert_array_equal(mask, collage.owner + 1)
        label_map = read_map(str(tmp_path / "labels" / "train" / f"{path[:-4]}.npy"), 3)
        assert label_map.scores.shape == (3, *GRID)
        # shares of a cell, by counting on an enlarged picture: cells are 10 2/3 pixels wide
        wide = collage.owner.repeat(3, axis=1).reshape(12, 8, 12, 32)
        for label in range(3):
            counted = (wide == label).mean(axis=(1, 3))
            said = np.where(label_map.ids == label, np.expm1(label_map.scores) * 0.01, 0).sum(axis=0)
            np.testing.assert_allclose(said, counted, atol=2e-3)
    assert read_card(tmp_path / "labels" / "train").frame == "whole"
    assert read_card(tmp_path / "labels_centre" / "train").frame == "centre-crop"


def test_a_crop_that_shows_too_little_of_the_class_has_lost_it(photos):
    collage = draw_collage(picture_rng(6, "train", 0), photos[0])
    rows, columns = np.nonzero(collage.owner == collage.label)
    whole, none = (0, 0, *CANVAS), (0, 0, 4, 4)
    tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert class_is_lost(collage, [whole, tight, none]).tolist() == [False, False, True]


def test_photos_in_tar_files_make_the_same_pictures(photos, tmp_path):
    from ppim.data.indexing import index_split
    from ppim.data.sharding import write_shards

    write_shards(photos[0], tmp_path, None, 1 << 20, False, lambda _: None)
    index_split(tmp_path, "train", lambda _: None)
    packed = find_images(str(tmp_path))
    assert packed.shards and list(packed.paths) == list(photos[0].paths)
    one, other = (draw_collage(picture_rng(0, "train", 3), images) for images in (photos[0], packed))
    assert one.image.tobytes() == other.image.tobytes() and one.label == other.label


def test_what_cannot_be_put_together_is_refused_before_a_file_is_written(photos, tmp_path):
    # of as many classes the last one would be written as 255, which says in a mask that nothing is known
    many = replace(photos[0], classes=[f"{number:03}" for number in range(255)])
    with pytest.raises(ValueError, match="255 classes, wanted at most 254"):
        write_collages(tmp_path / "out", many, many)
    with pytest.raises(ValueError, match="1 photo, wanted at least 2"):
        write_collages(tmp_path / "out", photos[0].pick(np.array([0])), photos[1])
    assert not (tmp_path / "out").exists()
