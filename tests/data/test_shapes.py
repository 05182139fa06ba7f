"""The drawn pictures: known labels, a class that colours do not give away, the same picture for the same seed."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ppim.data import shapes
from ppim.seeds import picture_rng
from ppim.token_labels.card import Reading, read_card
from ppim.token_labels.maps import read_map

SIZE, GRID = (64, 48), (9, 12)


def pictures(count, seed=3, **options):
    return [shapes.draw_picture(picture_rng(seed, "train", i), SIZE, **options) for i in range(count)]


def shares_by_subpixels(owner, grid, num_classes):
    """Cut every pixel into rows x columns pieces, so that a cell is a whole number of pieces, and count them."""
    rows, columns = grid
    fine = owner.repeat(rows, axis=0).repeat(columns, axis=1)
    height, width = owner.shape
    out = np.zeros((num_classes, rows, columns))
    for i in range(rows):
        for j in range(columns):
            piece = fine[i * height : (i + 1) * height, j * width : (j + 1) * width]
            out[:, i, j] = [(piece == c).mean() for c in range(num_classes)]
    return out


@pytest.mark.parametrize("grid", [(9, 12), (12, 16), (7, 5), (1, 1)])
def test_area_shares_equal_a_count_of_subpixels(grid):
    for _, _, owner in pictures(3):
        counted = shares_by_subpixels(owner, grid, len(shapes.CLASSES))
        np.testing.assert_allclose(shapes.area_shares(owner, grid), counted, atol=1e-12)


def test_a_cell_of_background_is_uniform_and_a_full_cell_is_sure():
    owner = np.full((8, 8), shapes.BACKGROUND)
    owner[:, 4:] = 6
    scores, ids, log_z = shapes.label_map_of(owner, (1, 2))
    np.testing.assert_array_equal(scores[:, 0, 0], 0)
    assert log_z[0, 0] == pytest.approx(np.log(10))
    assert ids[0, 0, 1] == 6
    assert np.exp(scores[0, 0, 1] - log_z[0, 1]) == pytest.approx((1 + shapes.FLOOR) / (1 + 10 * shapes.FLOOR))


def test_a_map_read_with_zeros_for_unlisted_classes_gives_the_shares_back():
    shares_seen = 0
    for _, _, owner in pictures(20):
        scores, ids, log_z = shapes.label_map_of(owner, GRID)
        logits = np.zeros((len(shapes.CLASSES), *GRID))
        np.put_along_axis(logits, ids, scores, axis=0)
        odds = np.exp(logits) - 1  # share / FLOOR
        counted = shares_by_subpixels(owner, GRID, len(shapes.CLASSES))
        np.testing.assert_allclose(odds * shapes.FLOOR, counted, atol=1e-5)
        np.testing.assert_allclose(log_z, np.log(np.exp(logits).sum(axis=0)), atol=1e-5)
        shares_seen += (counted > 0).sum()
    assert shares_seen > 500


def test_the_class_of_a_picture_is_its_largest_shape():
    for _, class_id, owner in pictures(60):
        counts = np.bincount(owner[owner >= 0], minlength=len(shapes.CLASSES))
        assert counts.argmax() == class_id
        assert np.sort(counts)[-1] > 2 * np.sort(counts)[-2]


def test_pictures_hold_several_objects_of_different_classes():
    present = [len(np.unique(owner[owner >= 0])) for _, _, owner in pictures(60)]
    assert np.mean(present) > 2


def test_every_class_is_drawn_at_the_area_asked_for():
    look = shapes.Difficulty(main_area=(0.1, 0.1), distractors=(0, 0))
    for class_id in range(len(shapes.CLASSES)):
        areas = []
        for seed in range(8):
            _, _, owner = shapes.draw_picture(np.random.default_rng(seed), (128, 96), look, class_id)
            areas.append((owner == class_id).mean())
        assert max(areas) == pytest.approx(0.1, rel=0.04)  # only a shape cut by the frame covers less
        assert min(areas) > 0.06


def colour_histogram(image):
    pixels = np.asarray(image).reshape(-1, 3) // 64
    return np.bincount(pixels @ (16, 4, 1), minlength=64) / len(pixels)


def test_the_class_cannot_be_read_from_the_colour_histogram():
    drawn = pictures(2000)
    features = np.sqrt([colour_histogram(image) for image, _, _ in drawn])
    labels = np.array([class_id for _, class_id, _ in drawn])
    x, y, new_x, new_y = features[:1500], labels[:1500], features[1500:], labels[1500:]

    centroids = np.stack([x[y == c].mean(axis=0) for c in range(len(shapes.CLASSES))])
    nearest = ((new_x[:, None] - centroids) ** 2).sum(-1).argmin(1)
    neighbours = y[np.argsort(((new_x[:, None] - x) ** 2).sum(-1), axis=1)[:, :15]]
    voted = np.array([np.bincount(row).argmax() for row in neighbours])
    linear = np.linalg.lstsq(np.c_[x, np.ones(len(x))], np.eye(len(shapes.CLASSES))[y], rcond=None)[0]
    regressed = (np.c_[new_x, np.ones(len(new_x))] @ linear).argmax(1)
    for guess in (nearest, voted, regressed):
        assert (guess == new_y).mean() < 0.16  # chance is 0.10, its standard deviation here 0.013


def test_a_picture_depends_on_seed_split_and_index_alone():
    def draw(seed, split, index):
        image, class_id, owner = shapes.draw_picture(picture_rng(seed, split, index), SIZE)
        return np.asarray(image).tobytes(), class_id, owner.tobytes()

    assert draw(5, "train", 2) == draw(5, "train", 2)
    assert len({draw(*key)[0] for key in [(5, "train", 2), (6, "train", 2), (5, "val", 2), (5, "train", 3)]}) == 4


def test_a_written_data_set_has_a_matching_map_beside_every_picture(tmp_path):
    shapes.write_dataset(tmp_path, seed=1, train=12, val=10, wh=SIZE, grid=GRID)
    images = sorted((tmp_path / "data").rglob("*.jpg"))
    assert len(images) == 22
    for split in shapes.SPLITS:
        assert read_card(tmp_path / "labels" / split) == Reading("whole", 1.0, "rows-first", True)
    assert [p.name for p in sorted((tmp_path / "data" / "val").iterdir())] == list(shapes.CLASSES)
    for path in images:
        split, name, stem = path.relative_to(tmp_path / "data").with_suffix("").parts
        image, class_id, owner = shapes.draw_picture(
            picture_rng(1, split, int(stem)), SIZE, class_id=int(stem) % len(shapes.CLASSES)
        )
        assert name == shapes.CLASSES[class_id]
        difference = np.asarray(Image.open(path), dtype=float) - np.asarray(image, dtype=float)
        assert np.abs(difference).mean() < 4
        scores, ids, log_z = shapes.label_map_of(owner, GRID)
        stored = read_map(str(tmp_path / "labels" / split / name / f"{stem}.npy"), len(shapes.CLASSES))
        np.testing.assert_array_equal(stored.ids, ids)
        np.testing.assert_allclose(stored.scores, scores, rtol=1e-3)
        np.testing.assert_allclose(stored.log_z, log_z, rtol=1e-3)
