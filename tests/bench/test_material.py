"""What is measured with: maps like those of photos, in packs; batches as workers make them."""
import numpy as np
import pytest
from PIL import Image

from ppim.bench.material import CELLS, KEPT, batch_of, drawn_map, evenly, noise_map, pack_maps, photos_in
from ppim.bench.samples import prepared
from ppim.data.augment import Policy
from ppim.data.loader import TrainSamples


def test_maps_are_as_large_as_published_ones_and_neighbouring_cells_of_photos_see_much_the_same():
    rng = np.random.default_rng(0)
    alike = {}
    for name, made in (("photo", drawn_map(rng)), ("noise", noise_map(rng))):
        scores, ids, log_z = made
        assert scores.shape == (KEPT, *CELLS) and (np.diff(scores, axis=0) <= 0).all()
        assert all(len(set(cell)) == KEPT for cell in ids.reshape(KEPT, -1).T.tolist())
        assert (np.exp(scores - log_z).sum(axis=0) <= 1).all()
        alike[name] = (ids[0, 1:] == ids[0, :-1]).mean()
    assert alike["photo"] > 0.5 > 0.1 > alike["noise"]
    assert drawn_map(rng, classes=3).shape == (3, 3, *CELLS)


def test_samples_of_drawn_maps_are_batches_and_an_error_is_raised(tmp_path):
    for number in range(3):
        (tmp_path / "photos" / "a").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "photos" / "a" / f"{number}.png")
    images = photos_in(str(tmp_path / "photos"), tmp_path)
    rng = np.random.default_rng(0)
    maps = pack_maps(tmp_path / "pack", ["a/2", "a/0", "a/1"], [drawn_map(rng) for _ in range(3)])
    samples = TrainSamples(images, Policy((32, 32)), seed=0, num_classes=1000, maps=maps, grid=(2, 2))
    assert batch_of(samples, [(0, 2, 0), (0, 0, 0)])["index"].tolist() == [2, 0]
    assert evenly(images, 2).paths == ["a/0.png", "a/2.png"] and len(evenly(images, 9)) == 3
    (tmp_path / "photos" / "a" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a/1\.png"):
        batch_of(samples, [(0, 1, 0)])


def test_packs_hold_ids_of_any_number_of_classes(tmp_path):
    drawn = drawn_map(np.random.default_rng(0), 30_000)
    maps = pack_maps(tmp_path / "pack", ["a/0"], [drawn], 30_000)
    np.testing.assert_array_equal(maps.read("a/0", (40, 30)).ids, drawn[1])
    assert drawn[1].max() > 2048  # beyond which half precision leaves numbers out


def test_every_photo_that_is_measured_with_has_a_map(tmp_path):
    for number in range(5):
        (tmp_path / "given" / "a").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "given" / "a" / f"{number}.jpg")
    images = prepared(tmp_path, str(tmp_path / "given"), 3)
    assert len(images) == 3
    assert all((tmp_path / "maps" / path).with_suffix(".npy").is_file() for path in images.paths)
