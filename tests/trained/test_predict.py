"""What a model says of photos: what evaluation computes for them, in the order given, whatever else is in the batch."""
from __future__ import annotations

import shutil

import numpy as np
import paddle
import pytest
from PIL import Image

import ppim
from ppim.config import get_config, recipe_path
from ppim.data.datasets import find_images
from ppim.data.paths import meant
from ppim.data.photos import read_photo
from ppim.engine import build
from ppim.engine.classes import card_of
from ppim.engine.command import run
from ppim.engine.distributed import World
from ppim.engine.evaluate import evaluate_samples
from ppim.engine.run_folder import recipe_of
from ppim.models import build_model, create_model
from ppim.models.base import evaluating
from ppim.segment.network import Segmenter
from ppim.trained.predict import answers, predictions
from ppim.trained.ready import of_model, of_weights
from ppim.weights import save_state
from tests.helpers import images, spread_weights

pytestmark = pytest.mark.smoke


def photos_of(data, split="val"):
    return sorted((data / split).rglob("*.png"))


def logits_of(ready, paths) -> np.ndarray:
    found = list(answers(ready, meant(paths)))
    assert [photo.path for photo, _, _ in found] == list(map(str, paths)) and not any(error for _, _, error in found)
    return np.stack([logits for _, logits, _ in found])


def test_predictions_are_what_evaluation_computes_to_the_last_bit(folder, tiny_data):
    ready, kept = of_weights(folder), []
    spread_weights(ready.model)
    bias = ready.model.head.bias
    bias.set_value(bias.numpy() - logits_of(ready, photos_of(tiny_data)).mean(0))  # so that several classes are said
    images = find_images(str(tiny_data), "val")
    samples = build.eval_samples(ready.config, ready.config, images, ready.model.grid)
    result = evaluate_samples(ready.model, samples, World(), **build.evaluation_arguments(ready.config),
                              look=lambda batch, logits: kept.append(logits.numpy()))
    paths = [images.full_path(index) for index in range(len(images))]
    np.testing.assert_array_equal(logits_of(ready, paths), np.concatenate(kept))
    found = ppim.predict(ready, tiny_data / "val", topk=2)
    right = sum(one.rows[0] == label for one, label in zip(found, images.labels.tolist()))
    assert 100 * right / 11 == pytest.approx(result.top1) and len({one.rows[0] for one in found}) > 1
    assert [one.path for one in found] == paths
    each = np.exp(np.concatenate(kept).astype("float64"))
    each /= each.sum(1, keepdims=True)
    for one, shares in zip(found, each):
        assert one.rows == tuple(np.argsort(-shares)[:2]) and one.names == tuple(f"class{row}" for row in one.rows)
        assert one.probabilities == pytest.approx(np.sort(shares)[::-1][:2])


def test_a_run_is_predicted_as_its_command_evaluates_it(folder, tiny_data):
    result = run(None or str(folder / "config.yaml"), ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(folder),
                                                       "DATA.DATA_PATH", str(tiny_data)])
    found = ppim.predict(str(folder), photos_of(tiny_data))
    right = sum(f"/{one.names[0]}/" in one.path for one in found)
    assert right == round(result.top1 * 11 / 100) and len(found[0].rows) == 3


def test_weights_a_model_of_create_model_and_workers_say_the_same(folder, tiny_data):
    paths = photos_of(tiny_data)
    expected = ppim.predict(folder, paths)
    model = ppim.create_model(folder)
    model.train()
    assert ppim.predict(model, paths) == expected and model.training
    assert list(predictions(of_weights(folder, overrides=["DATA.NUM_WORKERS", "2"]), meant(paths))) == expected
    assert ppim.predict(folder, paths[3])[0].path == str(paths[3])


def test_a_photo_that_cannot_be_read_keeps_its_place_and_changes_nothing_else(folder, tiny_data, tmp_path):
    paths = photos_of(tiny_data)[:6]
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no photo")
    paths[1], paths[2], paths[5] = (tmp_path / name for name in ("gone.jpg", "bad.jpg", "bad.jpg"))  # batches of four
    found, whole = ppim.predict(folder, paths), ppim.predict(folder, photos_of(tiny_data)[:6])
    for place, (one, other) in enumerate(zip(found, whole)):
        if place in (1, 2, 5):
            assert one.path == str(paths[place]) and str(paths[place]) in one.error and "\n" not in one.error
            assert one.names == one.probabilities == one.rows == ()
        else:
            assert one == other and one.error == ""


def test_a_network_that_answers_with_nan_is_told_instead_of_a_class(folder, tiny_data):
    ready = of_weights(folder)
    ready.model.head.bias.set_value(np.full(3, np.nan, "float32"))
    found = list(predictions(ready, meant(photos_of(tiny_data)[:2])))
    assert all("logits are not finite" in one.error and not one.names for one in found)


def test_odd_photos_are_seen_as_evaluation_sees_them(folder, tmp_path):
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (40, 52, 3), "uint8"))
    grey = np.asarray(pixels.convert("L")).astype("uint16") * 257
    exif = pixels.getexif()
    exif[0x0112] = 6
    pixels.save(tmp_path / "plain.png")
    pixels.convert("CMYK").save(tmp_path / "四色.jpg")
    pixels.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    Image.fromarray((grey // 257).astype("uint8")).save(tmp_path / "grey.png")
    read_photo(tmp_path / "turned.png", "apply").save(tmp_path / "upright.png")

    def one_by_one(exif):
        ready = of_weights(folder, overrides=["DATA.EXIF", exif])
        spread_weights(ready.model)
        return {one.path.rpartition("/")[2]: one[1:] for one in ppim.predict(ready, tmp_path)}

    ignored, applied = one_by_one("ignore"), one_by_one("apply")
    assert len(ignored) == 6 and not any(one[2] for one in ignored.values())
    assert ignored["deep.png"] == ignored["grey.png"] != ignored["plain.png"]
    assert ignored["turned.png"] == ignored["plain.png"] == applied["plain.png"]
    assert applied["turned.png"] == applied["upright.png"] != applied["plain.png"]


# ---- what the classes are called -----------------------------------------------------------------------------------


def test_names_of_a_list_stand_for_the_rows_in_any_script(folder, tiny_data, tmp_path):
    (tmp_path / "names.txt").write_text("狗\n猫\n猫\n", encoding="utf-8")
    (one,) = ppim.predict(folder, photos_of(tiny_data)[0], classes=str(tmp_path / "names.txt"))
    assert one.names == tuple(("狗", "猫", "猫")[row] for row in one.rows)
    assert one.ids == tuple(f"class{row}" for row in one.rows)
    (tmp_path / "gbk.txt").write_bytes("a\n狗\n猫\n".encode("gbk"))
    with pytest.raises(ValueError, match="line 2 is not UTF-8.*iconv"):
        ppim.predict(folder, photos_of(tiny_data)[0], classes=str(tmp_path / "gbk.txt"))
    (tmp_path / "few.txt").write_text("狗\n猫\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names 2 classes, the head of .* has 3 rows"):
        ppim.predict(folder, photos_of(tiny_data)[0], classes=str(tmp_path / "few.txt"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Weights of a published model's sizes, 1,000 rows and no card."""
    paddle.seed(0)
    path = tmp_path_factory.mktemp("published") / "deit_tiny.pdparams"
    save_state(create_model("deit_tiny").state_dict(), path)
    return path


def test_a_published_file_is_recognised_and_has_imagenets_names(published, tiny_data):
    ready = of_weights(published, overrides=["DATA.IMAGE_SIZE", "32"])
    assert ready.config.MODEL.NAME == "deit_tiny" and ready.names[:2] == ("tench", "goldfish")
    (one,) = ppim.predict(ready, photos_of(tiny_data)[0])
    assert len(one.names) == 5 and one.ids[0].startswith("n") and one.names[0] != one.ids[0]
    model = create_model("deit_tiny", image_size=32)
    ppim.load_weights(model, published)
    assert of_model(model).names == ready.names
    assert ppim.predict(model, photos_of(tiny_data)[0]) == [one]


def test_a_model_of_nobodys_sizes_is_not_shown_photos_on_a_guess(folder):
    with pytest.raises(ValueError, match="no published"):
        of_model(create_model("deit_tiny", depth=2, num_classes=3, image_size=32))


@pytest.mark.parametrize("name, side, mean, crop", [
    ("vit_tiny", 32, 0.5, 0.9), ("deit_tiny", 384, 0.485, 0.875), ("vit_tiny", 224, 0.5, 0.9)])
def test_a_model_made_by_its_name_is_shown_photos_as_that_one_of_several_of_its_shapes(name, side, mean, crop):
    """AugReg's ViTs and DeiTs have the same shapes; other pixels were shown to them."""
    data = of_model(create_model(name, image_size=side)).config.DATA
    assert (data.IMAGENET_MEAN[0], data.CROP_PCT, data.IMAGE_SIZE) == (mean, crop, side)


def test_a_model_that_names_no_classes_of_photos_is_refused_in_a_line(tiny_data):
    photo = photos_of(tiny_data)[0]
    with pytest.raises(ValueError, match="the model has no head.*ppim finetune PHOTOS.*features"):
        ppim.predict(create_model("dinov2_small", image_size=14, depth=2), photo)
    segmenter = Segmenter(create_model("deit_tiny", image_size=32, depth=4), 5, layers=range(4), channels=8,
                          top_channels=8)
    with pytest.raises(ValueError, match="the model names pixels.*ppim predict PHOTOS --load RUN --masks DIR"):
        ppim.predict(segmenter, photo)


def test_the_card_says_how_photos_are_shown_wherever_weights_lie(tmp_path, tiny_data):
    paddle.seed(0)
    model = create_model("lvvit_demo", num_classes=3, image_size=32)
    spread_weights(model)
    card = {"form": 1, "model": "lvvit_demo", "num_classes": 3, "classes": ["class0", "class1", "class2"],
            "image_size": 32, "crop_pct": 0.5, "interpolation": "bilinear", "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.2, 0.1], "exif": "apply"}
    save_state(model.state_dict(), tmp_path / "mine.safetensors", card=card)
    ready = of_weights(tmp_path / "mine")
    data = ready.config.DATA
    assert (data.IMAGE_SIZE, data.CROP_PCT, data.INTERPOLATION, data.EXIF) == (32, 0.5, "bilinear", "apply")
    assert (data.IMAGENET_MEAN, data.IMAGENET_STD) == (card["mean"], card["std"])
    # and evaluation takes the same
    path, overrides, notes = recipe_of(str(tmp_path / "mine"))
    result = run(path, [*overrides, "EVAL.ONLY", "True", "MODEL.PRETRAINED", str(tmp_path / "mine"), "DATA.DATA_PATH",
                        str(tiny_data), "TOKEN_LABEL.VAL_PATH", "", "DATA.NUM_WORKERS", "0"])
    found = ppim.predict(tmp_path / "mine", tiny_data / "val")
    of_truth = [one.probabilities[one.names.index(one.path.split("/")[-2])] for one in found]
    assert -np.log(of_truth).mean() == pytest.approx(result.loss, rel=1e-5) and "as its card says" in notes[0]
    other = of_weights(tmp_path / "mine", overrides=["DATA.CROP_PCT", "1.0"])
    assert list(predictions(other, meant([tiny_data / "val"]))) != found


def test_a_model_that_weights_were_loaded_into_is_shown_photos_as_their_card_says(tmp_path, tiny_data):
    card = {"form": 1, "model": "lvvit_demo", "trans": {"DEPTH": 1}, "num_classes": 3, "classes": ["x", "y", "z"],
            "image_size": 48, "crop_pct": 0.5, "interpolation": "bilinear", "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.2, 0.1], "exif": "apply"}
    file = tmp_path / "mine.safetensors"
    save_state(create_model("lvvit_demo", num_classes=3, image_size=48, depth=1).state_dict(), file, card=card)
    wanted = of_weights(file)
    model = create_model("lvvit_demo", num_classes=3, image_size=48, depth=1)
    ppim.load_weights(model, file)
    fresh = create_model("lvvit_demo", num_classes=3, image_size=32, depth=1)
    ppim.load_weights(fresh, file, new_heads=True)
    file.unlink()  # what is known of them does not go with the file
    assert of_model(model).config.DATA == wanted.config.DATA and of_model(model).names == ("x", "y", "z")
    data = of_model(fresh).config.DATA
    assert (data.IMAGE_SIZE, data.CROP_PCT, data.EXIF) == (32, 0.5, "apply")
    assert of_model(fresh).names == ("class 0", "class 1", "class 2")


def test_weights_away_from_their_run_are_still_of_a_network_that_no_shape_tells(tiny_data, tmp_path):
    """Of other heads and branches divided by another number; their shapes are those of the model of the same name."""
    said = {"NUM_HEADS": 4, "SKIP_LAM": 3.0}
    config = get_config(str(recipe_path("lvvit_demo")), [
        "DATA.IMAGE_SIZE", "32", "MODEL.NUM_CLASSES", "3",
        *(word for key, value in said.items() for word in (f"MODEL.TRANS.{key}", str(value)))])
    paddle.seed(0)
    model = build_model(config)
    spread_weights(model)
    card = card_of(config, find_images(str(tiny_data), "train"))
    save_state(model.state_dict(), tmp_path / "copy.safetensors", card=card)
    ready = of_weights(tmp_path / "copy")
    assert (ready.model.blocks[0].attn.num_heads, ready.model.blocks[0].skip_lam) == (4, 3.0)
    model.eval_token_weight = ready.model.eval_token_weight
    with evaluating(model), evaluating(ready.model):
        np.testing.assert_array_equal(ready.model(images(2)).numpy(), model(images(2)).numpy())


def test_what_is_asked_for_must_be_there(folder, tiny_data, tmp_path):
    photo = photos_of(tiny_data)[0]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ppim.predict(tmp_path / "nowhere", photo)
    with pytest.raises(ValueError, match="topk wants at least 1, got 0"):
        ppim.predict(folder, photo, topk=0)
    shutil.copy(folder / "last.pdparams", tmp_path / "alone.pdparams")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match="names.txt: what of_weights has made has its names already"):
        ppim.predict(of_weights(folder), photo, classes=str(tmp_path / "names.txt"))
    with pytest.raises(ValueError, match="alone"):  # of a size that nobody published, without its folder
        ppim.predict(tmp_path / "alone", photo)
