"""Neighbours that vote: against loops over all pairs in double precision, against hand counts, and as typed."""
import json
import math
import re
import shutil
from collections import defaultdict

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.cli import main
from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples
from ppim.data.transforms import eval_view
from ppim.engine import knn as module
from ppim.engine.command import run
from ppim.engine.knn import features, knn, neighbours, vote
from tests.helpers import small_lvvit, write_tiny_recipe

HOW = {"batch_size": 5, "workers": 0, "timeout": 60, "mean": [0.5] * 3, "std": [0.25] * 3}


def slow(known, labels, asked, truth, k, temperature):
    """Top-1 and top-5 in percent, photo by photo, neighbour by neighbour."""
    right = {1: 0, 5: 0}
    for feature, own in zip(asked, truth):
        cosines = []
        for place, other in enumerate(known):
            length = math.sqrt(float(feature @ feature)) * math.sqrt(float(other @ other))
            cosines.append((-float(feature @ other) / length, place))
        votes = defaultdict(float)
        for negative, place in sorted(cosines)[:k]:
            votes[int(labels[place])] += math.exp(-negative / temperature)
        order = sorted(votes, key=lambda label: (-votes[label], label))
        for best in right:
            right[best] += own in order[:best]
    return [100 * right[best] / len(truth) for best in (1, 5)]


@pytest.mark.smoke
@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("products", [1, 700, 1 << 24])
def test_votes_are_those_of_loops_over_all_pairs_however_the_products_are_cut(monkeypatch, temperature, products):
    monkeypatch.setattr(module, "PRODUCTS", products)
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 9, 120), rng.integers(0, 9, 50)
    centres = rng.normal(size=(9, 6))
    known, asked = (centres[of] + 1.5 * rng.normal(size=(len(of), 6)) for of in (labels, truth))
    unit = [paddle.to_tensor((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32"))
            for rows in (asked, known)]
    cosines, nearest = neighbours(*unit, 60)
    for k in (1, 7, 20, 60):
        found = vote(cosines[:, :k], labels[nearest[:, :k]], truth, temperature)
        assert [found.top1, found.top5] == pytest.approx(slow(known, labels, asked, truth, k, temperature))
        assert found.count == 50


@pytest.mark.smoke
def test_votes_by_hand():
    cosines = np.array([[0.9, 0.8, 0.8], [0.9, 0.5, 0.4]], np.float32)
    labels = np.array([[2, 1, 1], [0, 3, 3]])
    # at 1.0 two votes of e^0.8 beat one of e^0.9; at 0.01 the nearest counts alone
    assert vote(cosines, labels, np.array([1, 0]), 1.0).top1 == 50
    assert vote(cosines, labels, np.array([2, 0]), 0.01).top1 == 100
    # nobody votes for class 4, whatever is left of the five best
    found = vote(cosines, labels, np.array([4, 3]), 0.07)
    assert (found.top1, found.top5) == (0, 50)
    # of equals the lower label comes first
    equal = np.full((1, 2), 0.5, np.float32)
    assert [vote(equal, np.array([[5, 2]]), np.array([own]), 0.07).top1 for own in (2, 5)] == [100, 0]


@pytest.mark.smoke
@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6])
def test_of_few_classes_too_one_that_nobody_votes_for_is_no_answer(classes):
    """Though every class is among the best five of four."""
    cosines, labels = np.full((classes, 3), 0.5, np.float32), np.zeros((classes, 3), np.int64)
    found = vote(cosines, labels, np.arange(classes), 0.07)
    assert found.top1 == found.top5 == pytest.approx(100 / classes)


@pytest.mark.smoke
@pytest.mark.filterwarnings("error")
def test_votes_are_counted_however_cold_they_are():
    cosines = np.array([[0.9, 0.85, 0.1]], np.float32)
    labels = np.array([[3, 2, 1]])
    # e^900 of a vote is beyond every float, e^-800 of the nearest's is below; nobody votes for class 0
    for temperature in (0.07, 1e-3, 1e-5):
        found = [vote(cosines, labels, np.array([own]), temperature) for own in range(4)]
        assert [one.top1 for one in found] == [0, 0, 0, 100], temperature
        assert [one.top5 for one in found] == [0, 100, 100, 100], temperature
    # five classes before the sixth, which lies at 0 as well as those that nobody votes for
    cosines, labels = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, -0.5]], np.float32), np.array([[6, 5, 4, 3, 2, 1]])
    assert [vote(cosines, labels, np.array([own]), 1e-3).top5 for own in (2, 1)] == [100, 0]


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Photos of a bright colour a class, 3 classes; noise on top."""
    root, rng = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for label in range(3):
            for number in range(count):
                pixels = rng.integers(0, 90, (32, 32, 3))
                pixels[..., label] += 150
                path = root / split / f"class{label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype("uint8")).save(path)
    return root


def samples(root, split):
    return EvalSamples(find_images(str(root), split), eval_view((32, 32), 1.0), num_classes=3)


def test_features_are_the_tokens_behind_the_last_norm_and_the_model_stays_as_it_is(coloured):
    paddle.seed(0)
    model = small_lvvit(patch_size=8)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    model.train()
    val = samples(coloured, "val")
    images = np.stack([val[index]["image"] for index in range(15)])
    for tokens in ("class", "mean"):
        found, labels = features(model, val, tokens, **HOW)
        assert labels.tolist() == sorted([0, 1, 2] * 5)
        model.eval()
        with paddle.no_grad():
            encoded = model.encode(paddle.to_tensor((images / 255 - 0.5) / 0.25, "float32"))[0].numpy()
        encoded = encoded.astype("float64")
        expected = encoded[:, 0] if tokens == "class" else encoded[:, 1:].mean(axis=1)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
        model.train()
    found = knn(model, samples(coloured, "train"), val, ks=[5, 1, 5], tokens="mean", **HOW)
    assert list(found) == [1, 5] and found[5].top1 == 100 and model.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_more_neighbours_than_photos_are_refused(coloured):
    for ks in ([37], [0, 5]):
        with pytest.raises(ValueError, match="k wants 1 to 36, the photos in .*train; got"):
            knn(small_lvvit(patch_size=8), samples(coloured, "train"), samples(coloured, "val"), ks=ks, **HOW)


def test_the_command_judges_weights_on_other_classes_than_their_heads(coloured, tiny_data, tmp_path, capsys):
    recipe = write_tiny_recipe(tmp_path, tiny_data)
    run(str(recipe), ["TRAIN.MAX_STEPS", "1", "TOKEN_LABEL.ENABLE", "False", "MODEL.NUM_CLASSES", "4"])
    capsys.readouterr()
    words = ["knn", "--load", str(tmp_path / "run"), "--features", "mean", "--json", str(tmp_path / "found.json"), "-o",
             "DATA.DATA_PATH", str(coloured)]
    assert main(words) == 0
    said = capsys.readouterr().out
    told = json.loads((tmp_path / "found.json").read_text())
    assert json.loads(said.splitlines()[-1]) == told and list(told["k"]) == ["10", "20"]
    assert told["k"]["20"]["count"] == 15 and told["k"]["20"]["top1"] > 80
    assert f"k 20    top-1 {told['k']['20']['top1']:.2f}" in said
    # photos of one split alone would be their own nearest neighbours
    alone = shutil.copytree(coloured / "train", tmp_path / "alone")
    words = [*words[:3], "--json", str(tmp_path / "new" / "found.json"), "-o", "DATA.DATA_PATH", str(alone)]
    capsys.readouterr()
    assert main(words) == 1
    assert re.search(r"alone has no validation photos.*DATA\.VAL_SHARE 0\.2", capsys.readouterr().err)
    assert main([*words, "DATA.VAL_SHARE", "0.3"]) == 0
    found = json.loads((tmp_path / "new" / "found.json").read_text())["k"]
    assert 0 < found["10"]["count"] < 36
