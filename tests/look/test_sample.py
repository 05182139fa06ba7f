"""A sample that is shown is the one that is trained on."""
import numpy as np
import pytest

from ppim.data import shapes
from ppim.data.augment import Policy, parse_rand_augment
from ppim.data.datasets import find_images
from ppim.data.loader import TrainSamples
from ppim.data.transforms import apply_all, history, to_array
from ppim.geometry import trace
from ppim.look.sample import panels, taught
from ppim.token_labels.card import Reading
from ppim.token_labels.store import MapFolder
from ppim.token_labels.targets import best_class, dense


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    shapes.write_dataset(root, train=10, val=10)
    policy = Policy((48, 48), scale=(0.3, 1.0), rand_augment=parse_rand_augment("rand-m9-n3-p1"), erase_prob=1.0)
    return TrainSamples(find_images(str(root / "data"), "train"), policy, seed=5, num_classes=10,
                        maps=MapFolder(str(root / "labels" / "train"), 10, Reading(log_z=True), "test"), grid=(6, 6))


def test_photo_view_and_targets_are_those_of_the_loader(samples):
    for index in range(5):
        key = (2, index, 0)
        sample, shown = samples[key], taught(samples, key, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
        photo, ops = samples.view(key)
        np.testing.assert_array_equal(to_array(apply_all(ops, photo)), sample["image"])
        assert shown.photo.size == (64, 48) and shown.label == index
        view, raw = np.asarray(shown.view).transpose(2, 0, 1).reshape(3, -1), sample["image"].reshape(3, -1)
        erased = np.isin(np.arange(48 * 48), sample["erase_at"])
        assert 0 < erased.sum() < 48 * 48
        np.testing.assert_array_equal(view[:, ~erased], raw[:, ~erased])
        wanted = 255 * (sample["erase_value"].T * 0.2 + np.array([[0.5], [0.4], [0.3]]))
        np.testing.assert_allclose(view[:, sample["erase_at"]], np.clip(wanted, 0, 255), atol=1)
        np.testing.assert_array_equal(shown.token_best.ravel(), best_class(sample["token_targets"]))
        np.testing.assert_array_equal(shown.token_weight.ravel(), dense(sample["token_targets"], 10).max(1))
        # the outline goes round what is shown
        corner, _ = trace(np.array([[0.0, 0.0]]), history(ops, photo.size))
        np.testing.assert_allclose(shown.outline[0], corner[0])
        assert len(panels(shown, samples.grid, str)) == 3


def test_plain_labels_have_no_targets_to_show(samples):
    plain = TrainSamples(samples.images, samples.policy, seed=5, num_classes=10)
    shown = taught(plain, (0, 3, 0), (0.5,) * 3, (0.2,) * 3)
    assert shown.token_best is None and len(panels(shown, (6, 6), str)) == 2
