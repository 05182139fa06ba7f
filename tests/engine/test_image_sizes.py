"""Pictures that are not square, from the recipe to label maps: one small run at [32, 48] and what is done with it."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.annotate.generate import View, load_network, look, top_scores
from ppim.config import get_config
from ppim.config.keys import KEYS
from ppim.data.datasets import find_images
from ppim.engine import build
from ppim.engine.command import run
from ppim.engine.loaded import load
from ppim.objective.pixels import normalise
from ppim.plan.loader import batch_fields
from ppim.trained.predict import answers, meant
from ppim.trained.ready import of_weights
from ppim.weights.card import read_card
from ppim.weights.convert import resize_position
from ppim.weights.load import load_weights
from tests.helpers import write_tiny_recipe

HW = (32, 48)


@pytest.fixture(scope="module")
def trained(tiny_data, tmp_path_factory):
    """(recipe, run folder) of three steps with token labels and MixToken on views of 32 x 48 pixels."""
    folder = tmp_path_factory.mktemp("wide")
    recipe = write_tiny_recipe(folder, tiny_data)
    result = run(str(recipe), ["DATA.IMAGE_SIZE", str(list(HW)), "TRAIN.MAX_STEPS", "3", "MIX.CLASS_SHARE", "alignment",
                               "DATA.CROP_PCT", "0.9"])
    assert np.isfinite(result.loss)
    return recipe, folder / "run"


def test_a_size_is_one_number_or_two_and_two_equal_ones_are_one():
    read = KEYS["DATA.IMAGE_SIZE"].read
    assert (read(224), read([160, 288]), read([64, 64]), read((32.0, 48))) == (224, [160, 288], 64, [32, 48])
    for bad in ([160], [1, 2, 3], [0, 16], "wide", [16, None]):
        with pytest.raises(ValueError, match="wants"):
            read(bad)


def test_every_side_has_to_be_filled_by_patches_and_the_released_geometry_is_of_squares(tiny_data, tmp_path):
    recipe = write_tiny_recipe(tmp_path, tiny_data)
    with pytest.raises(ValueError, match=r"\[32, 44\].*multiple of MODEL.TRANS.PATCH_SIZE \(8\).*40 and 48"):
        get_config(recipe, ["DATA.IMAGE_SIZE", "[32, 44]"])
    with pytest.raises(ValueError, match="goes with squares alone"):
        get_config(recipe, ["DATA.IMAGE_SIZE", "[32, 48]", "TOKEN_LABEL.GEOMETRY", "released", "DATA.AUG_ORDER",
                            "released"])


def test_tokens_of_a_view_are_taught_row_by_row(trained):
    """The run's own samples; what a token shows, and of which map's cells, is asked in test_displacement.py."""
    config = get_config(trained[1] / "config.yaml")
    images = build.train_images(config)
    samples = build.train_samples(config, config, images, (4, 6))
    sample = samples[0, 0, 0]
    assert sample["image"].shape == (3, *HW) and samples.policy.image_hw == HW
    assert sample["token_targets"].const.shape == (4 * 6, 3)
    fields = batch_fields(config, (4, 6), 3, 2)
    assert fields["image"][0] == [2, 3, *HW]


def test_configuration_and_card_have_both_sides(trained):
    assert get_config(trained[1] / "config.yaml").DATA.IMAGE_SIZE == list(HW)
    assert read_card(trained[1] / "last.pdparams")["image_size"] == list(HW)


def test_photos_are_answered_in_the_view_of_the_run(trained, tiny_data):
    ready = of_weights(trained[1])
    assert ready.size == HW
    photo = next((tiny_data / "val").rglob("*.png"), None) or next((tiny_data / "val").rglob("*.*"))
    ((_, logits, error),) = answers(ready, list(meant([str(photo)])))
    picture = Image.open(photo).convert("RGB")
    least_h, least_w = int(HW[0] / 0.9), int(HW[1] / 0.9)
    scale = max(least_h / picture.height, least_w / picture.width)
    size = (max(least_w, int(picture.width * scale)), max(least_h, int(picture.height * scale)))
    view = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - HW[1]) / 2), round((size[1] - HW[0]) / 2)
    pixels = np.asarray(view.crop((left, top, left + HW[1], top + HW[0]))).transpose(2, 0, 1)[None]
    data = ready.config.DATA
    with paddle.no_grad():
        x = normalise(paddle.to_tensor(pixels), data.IMAGENET_MEAN, data.IMAGENET_STD)
        wanted = ready.model.eval()(x).numpy()[0]
    assert not error
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def test_at_another_size_the_table_is_resized_from_the_sides_on_the_card(trained):
    """4 x 6 cells are no square, and 4 x 9 would be one that is none."""
    config = get_config(trained[1] / "config.yaml", ["DATA.IMAGE_SIZE", "[48, 40]"])
    file = trained[1] / "last.pdparams"
    model, at_home = load(config, str(file)).model, load(get_config(trained[1] / "config.yaml"), str(file)).model
    table = at_home.pos_embed.numpy()
    assert table.shape[1] == 1 + 24 and model.grid == (6, 5)
    np.testing.assert_allclose(model.pos_embed.numpy(), resize_position(table, 1, (6, 5), (4, 6)), atol=1e-6)
    with pytest.raises(ValueError, match=r"1 \+ n \* n"):
        resize_position(table, 1, (6, 5))
    with paddle.no_grad():
        x = paddle.randn([1, 3, 48, 40])
        np.testing.assert_allclose(at_home.eval()(x).numpy(), model.eval()(x).numpy(), atol=1e-5)


def test_label_maps_have_the_rows_and_columns_of_the_view(trained, tiny_data):
    config = get_config(trained[1] / "config.yaml")
    model = load_network(config, trained[1] / "last.pdparams")
    view = View(HW)
    photo = find_images(tiny_data, "val").full_path(0)
    scores, ids, log_z = top_scores(model, look(photo, view)[None], view, 2)
    assert scores.shape == ids.shape == (1, 2, 4, 6) and log_z.shape == (1, 4, 6)


def test_weights_of_a_wide_run_start_a_square_one(trained):
    config = get_config(trained[0])
    model = load(config, str(trained[1] / "last.pdparams")).model
    assert load_weights(model, trained[1] / "last.pdparams").resized == ["pos_embed"]
