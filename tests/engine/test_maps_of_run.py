"""How a run decides in which way its label maps are to be read: by their card, else by the configuration."""
from __future__ import annotations

import json
import shutil

import numpy as np
import paddle
import pytest

from ppim.annotate.generate import View, generate, image_files, write_card
from ppim.cli import main
from ppim.config import get_config, published_recipes
from ppim.data.datasets import find_images
from ppim.engine import build
from ppim.engine.command import run
from ppim.engine.maps_of_run import label_maps
from ppim.models import create_model
from ppim.token_labels.card import CARD, Reading, save_card
from ppim.weights.write import save_state
from tests.helpers import TINY

CROPPED = Reading("centre-crop", 0.9, log_z=True)
SQUEEZED = Reading("whole", log_z=True)


@pytest.fixture(scope="module")
def annotated(tiny_data, tmp_path_factory):
    """Maps of the tiny photos by a tiny annotator that saw them whole, and by one that saw their centre."""
    folder = tmp_path_factory.mktemp("annotated")
    paddle.seed(0)
    model = create_model("lvvit_demo", image_size=64, num_classes=3, embed_dim=16, depth=1, stem_channels=4)
    for parameter in model.parameters():
        parameter.set_value(parameter * 3)  # fresh weights answer every photo alike
    model.eval()
    save_state(model.state_dict(), folder / "annotator.pdparams")
    for name, crop in (("whole", None), ("centre-crop", 0.9)):
        view = View((64, 64), centre_crop=crop)
        write_card(folder / name, model, view, 2, "tiny", folder / "annotator")
        generate(model, tiny_data / "train", image_files(tiny_data / "train"), folder / name, view, top_k=2,
                 batch_size=4)
    return folder


@pytest.fixture
def recipe_of(tiny_data, tmp_path):
    """A recipe for maps in `path` that says `said` of them."""
    def write(path, **said):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        text = TINY.format(data=tiny_data, save=file.with_suffix(""))
        keys = {"ENABLE": True, "PATH": str(path), **said}
        file.write_text("\n".join(line for line in text.splitlines() if not line.startswith("TOKEN_LABEL"))
                        + f"\nTOKEN_LABEL: {json.dumps(keys)}\n")
        return file
    return write


def reading(recipe, options=(), path=None):
    config = get_config(recipe, options)
    images = find_images(config.DATA.DATA_PATH, "train")
    return label_maps(config, get_config(recipe), images, path or config.TOKEN_LABEL.PATH)


@pytest.mark.parametrize("frame", ["whole", "centre-crop"])
def test_a_run_reads_generated_maps_as_their_card_says_whatever_the_recipe_says(
        annotated, recipe_of, tmp_path, capsys, frame):
    true = {"FRAME": frame, "FRAME_CROP_PCT": 0.9}
    false = {"FRAME": "whole" if frame == "centre-crop" else "centre-crop", "FRAME_CROP_PCT": 0.5}
    bare = tmp_path / "bare"
    bare.mkdir()
    for entry in (annotated / frame).iterdir():
        if entry.name != CARD:
            (bare / entry.name).symlink_to(entry)
    weights, said = {}, {}
    for name, path, keys in (("card", annotated / frame, false), ("told", bare, true), ("mistaken", bare, false)):
        recipe = recipe_of(path, **keys)
        run(str(recipe), ["TRAIN.MAX_STEPS", "1", "CHECKS", "tell"])  # the annotator knows nothing
        weights[name] = paddle.load(str(recipe.with_suffix("") / "last.pdparams"))["patch_embed.conv1.weight"].numpy()
        said[name] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("label maps in")]
    assert np.array_equal(weights["card"], weights["told"]) and not np.array_equal(weights["card"], weights["mistaken"])
    assert len(said["card"]) == len(said["told"]) == 1
    shown = "whole" if frame == "whole" else "centre-crop 0.9"
    assert f"{annotated / frame}: {shown}, rows-first, with log-sum-exp, by {CARD} there" in said["card"][0]
    assert f", against FRAME {false['FRAME']}, FRAME_CROP_PCT 0.5 in the recipe" in said["card"][0]
    assert f"{bare}: {shown}, rows-first, by the configuration" in said["told"][0]


@pytest.mark.parametrize(("card", "options", "here", "there"), [
    (SQUEEZED, {"FRAME": "centre-crop"}, "FRAME is set to centre-crop", "whole"),
    (CROPPED, {"FRAME_CROP_PCT": "0.8"}, "FRAME_CROP_PCT is set to 0.8", "0.9"),
    (SQUEEZED, {"ORIENTATION": "columns-first"}, "ORIENTATION is set to columns-first", "rows-first"),
    (CROPPED, {"FRAME": "centre-crop", "FRAME_CROP_PCT": "0.8"}, "FRAME_CROP_PCT is set to 0.8", "0.9"),
    (CROPPED._replace(orientation="columns-first"), {"FRAME": "centre-crop", "ORIENTATION": "rows-first"}, "", ""),
    (SQUEEZED, {"FRAME": "whole", "FRAME_CROP_PCT": "0.8"}, "", ""),
    (CROPPED, {"FRAME": "centre-crop", "FRAME_CROP_PCT": "0.9"}, "", ""),
])
def test_what_is_set_for_a_run_against_a_card_is_refused_with_both_values(
        annotated, recipe_of, tmp_path, card, options, here, there):
    """The recipe says whole, rows-first; an empty `here`: nothing is contradicted."""
    maps = tmp_path / "maps"
    maps.mkdir()
    for entry in (annotated / "whole").glob("class*"):
        (maps / entry.name).symlink_to(entry)
    save_card(maps, card, {})
    pairs = [part for key, value in options.items() for part in (f"TOKEN_LABEL.{key}", value)]
    recipe = recipe_of(maps, FRAME="whole", FRAME_CROP_PCT=0.7)
    if not here:
        assert reading(recipe, pairs).reading == card
        return
    with pytest.raises(ValueError, match=f"{here}, but .*{CARD} says {there} .*leave the key out") as caught:
        reading(recipe, pairs)
    assert str(maps / CARD) in str(caught.value)


def test_each_folder_has_its_own_card(annotated, recipe_of, tiny_data):
    recipe = recipe_of(annotated / "centre-crop", VAL_PATH=str(tiny_data / "maps"), FRAME="whole")
    assert reading(recipe).reading == CROPPED
    assert reading(recipe, path=str(tiny_data / "maps")).reading == Reading("whole")
    # set for the run, and denied by the card of the validation maps alone
    recipe = recipe_of(tiny_data / "maps", FRAME="whole", VAL_PATH=str(annotated / "whole"))
    assert reading(recipe, ["TOKEN_LABEL.FRAME", "centre-crop"]).reading.frame == "centre-crop"
    with pytest.raises(ValueError, match="TOKEN_LABEL.FRAME is set to centre-crop"):
        reading(recipe, ["TOKEN_LABEL.FRAME", "centre-crop"], path=str(annotated / "whole"))


def test_evaluation_reads_maps_by_their_card_and_refuses_what_is_set_against_it(
        annotated, recipe_of, tiny_data, tmp_path, capsys):
    recipe = recipe_of(tiny_data / "maps", FRAME="whole")
    run(str(recipe), ["TRAIN.MAX_STEPS", "1"])
    options = ["DATA.DATA_PATH", str(tiny_data / "train"), "TOKEN_LABEL.VAL_PATH", str(annotated / "centre-crop")]
    evaluated = ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(recipe.with_suffix("") / "last")]
    capsys.readouterr()
    assert run(str(recipe), [*options, *evaluated]).count == 24
    assert f"label maps in {annotated / 'centre-crop'}: centre-crop 0.9" in capsys.readouterr().out
    with pytest.raises(ValueError, match="TOKEN_LABEL.ORIENTATION is set to columns-first"):
        run(str(recipe), [*options, *evaluated, "TOKEN_LABEL.ORIENTATION", "columns-first"])


def test_maps_of_photos_read_in_another_way_are_refused_with_the_way_out(annotated, recipe_of, tiny_data, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for entry in (annotated / "whole").glob("class*"):
        (maps / entry.name).symlink_to(entry)
    save_card(maps, SQUEEZED._replace(exif="apply"), {})
    recipe = recipe_of(maps)  # its photos are taken as they are stored
    with pytest.raises(ValueError, match=f"{maps / CARD} says .* DATA.EXIF apply, .*set -o DATA.EXIF apply, or make"):
        reading(recipe)
    assert reading(recipe, ["DATA.EXIF", "apply"]).reading.exif == "apply"
    assert "of photos turned upright" in str(reading(recipe, ["DATA.EXIF", "apply"]))
    with pytest.raises(ValueError, match="DATA.EXIF ignore, .*this run has DATA.EXIF apply"):
        reading(recipe_of(annotated / "whole"), ["DATA.EXIF", "apply"])
    # without a card the configuration knows
    assert reading(recipe_of(tiny_data / "maps"), ["DATA.EXIF", "apply"]).reading.exif == "apply"


def test_samples_read_photos_as_the_configuration_says(recipe_of, tiny_data):
    for exif in ("apply", "ignore"):
        config = get_config(recipe_of(tiny_data / "maps"), ["DATA.EXIF", exif, "TOKEN_LABEL.ENABLE", "False"])
        images = build.train_images(config)
        assert build.train_samples(config, config, images, (4, 4)).exif == exif
        assert build.eval_samples(config, config, images, (4, 4)).exif == exif


@pytest.mark.parametrize("name", published_recipes())
def test_published_recipes_take_photos_as_they_are_stored(name):
    assert get_config(name).DATA.EXIF == "ignore" and get_config().DATA.EXIF == "apply"


def test_two_photos_that_would_share_a_map_are_both_named(tiny_data, recipe_of, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    shutil.copy(data / "train" / "class0" / "photo.0.png", data / "train" / "class0" / "photo.0.jpg")
    with pytest.raises(ValueError, match=r"class0/photo\.0\.jpg and class0/photo\.0\.png of .*one label map.*rename"):
        reading(recipe_of(data / "maps"), ["DATA.DATA_PATH", str(data)])


def test_a_damaged_card_ends_the_run_before_it_begins(annotated, recipe_of, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / CARD).write_text('{"frame": "wh')
    with pytest.raises(ValueError, match=f"{maps / CARD}: not a card"):
        reading(recipe_of(maps))


@pytest.mark.parametrize(("key", "value", "instead"), [("TARGET", "probs", "released"),
                                                       ("WEIGHT", "confidence", "none")])
def test_what_needs_a_log_sum_exp_is_refused_by_a_card_without_one_before_any_map_is_looked_for(
        recipe_of, tmp_path, key, value, instead):
    save_card(tmp_path / "maps", Reading(log_z=False), {})
    with pytest.raises(ValueError, match=f"{CARD}: no log-sum-exp.*TOKEN_LABEL.{key} {value} .*{key} {instead}"):
        reading(recipe_of(tmp_path / "maps", **{key: value}))


def test_the_released_geometry_is_refused_for_maps_whose_card_says_centre_crop(annotated, recipe_of):
    recipe = recipe_of(annotated / "centre-crop", FRAME="whole", GEOMETRY="released")
    with pytest.raises(ValueError, match="GEOMETRY released .*AUG_ORDER"):
        get_config(recipe)
    config = get_config(recipe, ["DATA.AUG_ORDER", "released"])
    with pytest.raises(ValueError, match="'released' reads every map as one of the whole photo.*centre-crop 0.9"):
        build.train_samples(config, config, find_images(config.DATA.DATA_PATH, "train"), (4, 4))


@pytest.mark.parametrize(("key", "overrides", "without"), [
    ("PATH", ["TOKEN_LABEL.PATH", "nowhere"], "TOKEN_LABEL.ENABLE False"),
    ("VAL_PATH", ["TOKEN_LABEL.ENABLE", "False", "TOKEN_LABEL.VAL_PATH", "nowhere"], "TOKEN_LABEL.VAL_PATH ''"),
])
def test_maps_that_are_not_there_are_named_by_their_own_key_with_the_way_to_go_without(
        tiny_config, tiny_data, key, overrides, without):
    config = get_config(tiny_config, overrides)
    with pytest.raises(FileNotFoundError) as raised:
        label_maps(config, config, find_images(tiny_data, "val"), "nowhere")
    assert f"set TOKEN_LABEL.{key} to it" in str(raised.value) and f"-o {without}" in str(raised.value)


def test_maps_that_lie_in_a_folder_of_their_split_are_pointed_at(annotated, recipe_of, tiny_data, tmp_path, capsys):
    """As they do where maps of both splits were made at one go, and `labels make`, which was advised, keeps them."""
    shutil.copytree(annotated / "whole", tmp_path / "maps" / "train")
    where = f"maps of them lie in {tmp_path / 'maps' / 'train'}: give that"
    with pytest.raises(FileNotFoundError, match=f"24 of 24 images have no label map in .*{where}"):
        reading(recipe_of(tmp_path / "maps"))
    assert main(["labels", "check", str(tmp_path / "maps"), "--images", str(tiny_data)]) == 1
    assert where in capsys.readouterr().out
