"""Maps of 21,841 classes: ids are exact, the best class keeps its probability, and a step of training takes them."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim import config as configuration
from ppim.annotate.generate import View, generate, image_files, look, write_card
from ppim.data.datasets import find_images
from ppim.data.making import collate
from ppim.engine import build
from ppim.models import create_model
from ppim.objective.objective import Objective
from ppim.token_labels.maps import read_map
from ppim.token_labels.targets import dense, token_targets
from ppim.weights.write import save_state
from tests.helpers import small_lvvit

WIDE = 21_841
VIEW = View((64, 64))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Two photos, their maps, and the annotator's logits (2, 4, C) in double precision."""
    folder, rng = tmp_path_factory.mktemp("wide"), np.random.default_rng(3)
    for name in ("a", "b"):
        (folder / "data" / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / "data" / name / "0.png")
    paddle.seed(2)
    model = create_model("shufflenet_v2_x0_25", num_classes=WIDE, image_size=64)
    model.eval()
    # as sure of some class as trained networks are
    model._fc.bias.set_value(paddle.to_tensor((rng.normal(0, 1, WIDE) + 14 * (np.arange(WIDE) == 20_000)).astype("f4")))
    save_state(model.state_dict(), folder / "w.pdparams")
    files = image_files(folder / "data")
    write_card(folder / "maps", model, VIEW, 5, "wide", folder / "w.pdparams")
    generate(model, folder / "data", files, folder / "maps", VIEW, batch_size=2)
    images = np.stack([look(folder / "data" / name, VIEW) for name in files])
    shown = (images / 255 - np.reshape(VIEW.mean, (3, 1, 1))) / np.reshape(VIEW.std, (3, 1, 1))
    with paddle.no_grad():
        logits = model.tokens(paddle.to_tensor(shown.astype("float32"))).token_logits
    return folder, logits.numpy().astype(np.float64)


def spacing(values, dtype):
    """Half the distance to the next number of that precision: by as much what is stored may be off."""
    return np.spacing(np.abs(values).astype(dtype)).astype(np.float64) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_best_class_keeps_its_probability_within_the_precision_of_the_file(wide, dtype):
    """By e^(u(score) + u(log_z)) of itself, u half a unit in the last place; half precision is for fewer classes."""
    folder, logits = wide
    exact = np.exp(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))
    for name, truth in zip(("a", "b"), exact):
        stored = read_map(str(folder / "maps" / name / "0.npy"), WIDE)
        best = truth.argmax(axis=-1)
        assert (best == 20_000).all()
        np.testing.assert_array_equal(stored.ids[0].ravel(), best)
        stored = stored._replace(scores=stored.scores.astype(dtype).astype(np.float32),
                                 log_z=stored.log_z.astype(dtype).astype(np.float32))
        _, tokens = token_targets(stored, [], (2, 2), WIDE, smoothing=0.0, target="probs")
        kept = dense(tokens, WIDE)[np.arange(4), best]
        bound = np.expm1(spacing(stored.scores[0].ravel(), dtype) + spacing(stored.log_z.ravel(), dtype))
        assert 0.9 < truth.max() and bound.max() < (1e-5 if dtype == np.float32 else 0.01)
        assert (np.abs(kept / truth.max(axis=-1) - 1) <= bound + 1e-5).all()  # and what float32 logits lose themselves


def test_a_step_of_training_takes_maps_of_21841_classes_as_probabilities(wide):
    folder, _ = wide
    config = configuration.get_config(None, [
        "DATA.DATA_PATH", str(folder / "data"), "DATA.IMAGE_SIZE", "32", "MODEL.NUM_CLASSES", str(WIDE), "DATA.EXIF",
        "ignore", "TOKEN_LABEL.ENABLE", "True", "TOKEN_LABEL.PATH", str(folder / "maps"), "TOKEN_LABEL.TARGET", "probs",
        "TOKEN_LABEL.WEIGHT", "confidence"])
    paddle.seed(1)
    model = small_lvvit(num_classes=WIDE)
    images = find_images(str(folder / "data"), "train")
    samples = build.train_samples(config, config, images, model.grid)
    batch = collate([samples[0, index, 0] for index in range(2)])
    assert batch["token_id"].dtype == np.int32 and 20_000 in batch["token_id"]
    counted = batch["token_const"][:, 2]
    assert 0 < counted.min() and counted.max() < 1  # by confidence
    objective = Objective(model, 1.0, 0.5, VIEW.mean, VIEW.std)
    terms = objective({name: paddle.to_tensor(array) for name, array in batch.items()})
    terms.total.backward()
    gradient = model.head.bias.grad.numpy()
    assert np.isfinite(terms.total.item()) and gradient.shape == (WIDE,)
    assert gradient.argmin() == 20_000  # what the maps name is what is taught
