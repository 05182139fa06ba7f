"""Classes by name in whole runs: scored, fine-tuned, resumed and taught by maps of the same names, or refused."""
from __future__ import annotations

import json
import shutil

import numpy as np
import paddle
import pytest
import yaml
from PIL import Image

from ppim.cli import main
from ppim.config import get_config
from ppim.engine.classes import class_names_of
from ppim.engine.command import run
from ppim.engine.loaded import load_by
from ppim.files import sha256
from ppim.models import create_model
from ppim.weights import save_state
from ppim.weights.card import read_card
from tests.helpers import assert_same_weights, flat, weights, write_tiny_recipe

ANIMALS = ["bird", "cat", "dog", "horse", "sheep", "鱼", "龙 a"]  # sorted
SOME = ["dog", "sheep", "龙 a"]
PLAIN = ["MODEL.NUM_CLASSES", "None", "TOKEN_LABEL.ENABLE", "False", "TRAIN.MAX_STEPS", "5", "VALIDATE_FREQ", "100"]


def draw(folder, classes, count, seed=0):
    """`count` photos a class, whose colours and noise are the class'."""
    rng = np.random.default_rng(seed)
    for name in classes:
        tint = np.random.default_rng(list(name.encode())).integers(0, 130, 3)
        for number in range(count):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((tint + rng.integers(0, 120, (33, 36, 3))).astype("uint8")).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recipe, its data of seven classes, and a run with plain labels that was not told how many there are."""
    root = tmp_path_factory.mktemp("animals")
    draw(root / "data" / "train", ANIMALS, 4)
    draw(root / "data" / "val", ANIMALS, 3, seed=1)
    recipe = write_tiny_recipe(root, root / "data")
    run(str(recipe), PLAIN)
    return recipe, root / "data", root / "run"


@pytest.fixture
def some(trained, tmp_path):
    """A data folder whose val/ has three of the classes, and one that lists the same photos with the right numbers."""
    folders, listed = tmp_path / "folders", tmp_path / "listed"
    draw(folders / "val", SOME, 5, seed=2)
    listed.mkdir()
    photos = sorted((folders / "val").rglob("*.png"))
    (listed / "val_list.txt").write_text(
        "".join(f"{photo} {ANIMALS.index(photo.parent.name)}\n" for photo in photos), encoding="utf-8")
    return folders, listed


def evaluated(recipe, path, data, *more):
    return run(str(recipe), ["EVAL.ONLY", "True", "MODEL.NUM_CLASSES", "None", "TOKEN_LABEL.ENABLE", "False",
                             "MODEL.PRETRAINED", str(path), "DATA.DATA_PATH", str(data), *map(str, more)])


def refused(*args) -> str:
    with pytest.raises(ValueError) as caught:
        run(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def stripped(trained, tmp_path):
    """The run's last weights without a card, as of another project."""
    return shutil.copy(trained[2] / "last.pdparams", tmp_path / "foreign.pdparams")


# ---- what a run writes ---------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_a_run_has_as_many_rows_as_the_data_has_classes_and_names_them_wherever_weights_lie(trained):
    _, _, folder = trained
    assert get_config(folder / "config.yaml").MODEL.NUM_CLASSES == 7
    assert (folder / "classes.txt").read_text(encoding="utf-8").split("\n") == [*ANIMALS, ""]
    checkpoint = folder / "checkpoints" / "step_00000005"
    files = [*folder.glob("*.pdparams"), *checkpoint.glob("*.safetensors"), folder, checkpoint]
    assert len(files) == 3 + 3 + 2
    for file in files:
        assert class_names_of(file) == tuple(ANIMALS), file
    card = read_card(folder / "best.pdparams")
    assert (card["model"], card["num_classes"], card["image_size"], card["crop_pct"]) == ("tiny", 7, 32, 1.0)
    assert card["exif"] == "ignore"
    assert json.loads((checkpoint / "state.json").read_text())["card"] == card


def test_published_files_have_imagenets_names_and_other_files_none(stripped, tmp_path):
    assert class_names_of(stripped) is None
    save_state({"fc.weight": np.zeros((4, 1000), "float32"), "fc.bias": np.zeros(1000, "float32")}, tmp_path / "r.pd")
    assert class_names_of(tmp_path / "r.pd")[207] == "n02099601"


def test_a_larger_number_warns_of_rows_that_nothing_teaches_and_a_smaller_one_is_refused(trained, tmp_path, capsys):
    recipe, _, _ = trained
    more = ["TRAIN.MAX_STEPS", "1", "SAVE", str(tmp_path / "run")]
    run(str(recipe), [*PLAIN, *more, "MODEL.NUM_CLASSES", "9"])
    assert "wanted photos of each of 9 classes, got none of 2 of them: 7, 8" in capsys.readouterr().out
    assert weights(tmp_path / "run" / "last.pdparams")["head.bias"].shape == (9,)
    assert class_names_of(tmp_path / "run") == tuple(ANIMALS)
    said = refused(str(recipe), [*PLAIN, *more, "MODEL.NUM_CLASSES", "5", "SAVE", str(tmp_path / "other")])
    assert "7 classes" in said and "-o MODEL.NUM_CLASSES 7" in said


def test_lists_of_numbers_make_a_row_for_each_up_to_the_last(trained, tmp_path, capsys):
    recipe, data, _ = trained
    for split in ("train", "val"):
        photos = sorted((data / split).glob("[bd]*/*.png"))
        lines = [f"{photo} {4 if photo.parent.name == 'dog' else 0}\n" for photo in photos]
        (tmp_path / f"{split}_list.txt").write_text("".join(lines))
    run(str(recipe), [*PLAIN, "TRAIN.MAX_STEPS", "1", "DATA.DATA_PATH", str(tmp_path), "SAVE", str(tmp_path / "run")])
    assert weights(tmp_path / "run" / "last.pdparams")["head.bias"].shape == (5,)
    assert "photos of each of 5 classes, got none of 3 of them: 1 (1), 2 (2), 3 (3)" in capsys.readouterr().out
    assert class_names_of(tmp_path / "run") is None and not (tmp_path / "run" / "classes.txt").exists()


# ---- evaluation ----------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_some_of_the_classes_are_scored_as_by_their_right_numbers(trained, some, tmp_path, capsys):
    recipe, _, folder = trained
    right = evaluated(recipe, folder / "last.pdparams", some[1])
    assert right.count == 15
    for name in ("last.pdparams", "last.card.json"):
        shutil.copy(folder / name, tmp_path / name)
    save_state(weights(folder / "last.pdparams"), tmp_path / "inside.safetensors",
               card=read_card(folder / "last.pdparams"))
    for path in (folder / "last", tmp_path / "last.pdparams", tmp_path / "inside.safetensors"):
        assert evaluated(recipe, path, some[0]) == right
        assert f"15 images of 3 of 7 classes in {some[0] / 'val'}" in capsys.readouterr().out
    # numbers by position among the folders present, which is what is wrong, score otherwise
    text = (some[1] / "val_list.txt").read_text(encoding="utf-8")
    for place, name in enumerate(SOME):
        text = text.replace(f".png {ANIMALS.index(name)}\n", f".png {place}\n")
    (some[1] / "val_list.txt").write_text(text, encoding="utf-8")
    assert abs(evaluated(recipe, folder / "last.pdparams", some[1]).loss - right.loss) > 1e-3


def test_a_folder_that_the_weights_do_not_know_is_named_with_the_nearest(trained, some):
    recipe, _, folder = trained
    (some[0] / "val" / "sheep").rename(some[0] / "val" / "sheeps")
    with pytest.raises(ValueError, match="sheeps; nearest to sheeps is sheep "):
        evaluated(recipe, folder / "last", some[0])


def test_weights_that_do_not_know_their_classes_want_a_list_unless_all_are_there(trained, some, stripped, tmp_path):
    recipe, data, folder = trained
    with pytest.raises(ValueError, match="3 classes, .* 7, .*--classes FILE.*val_list.txt"):
        evaluated(recipe, stripped, some[0])
    right = evaluated(recipe, folder / "last", some[0])
    assert evaluated(recipe, stripped, some[0], "MODEL.CLASSES", folder / "classes.txt") == right
    assert evaluated(recipe, stripped, some[1]) == right
    assert evaluated(recipe, stripped, data) == evaluated(recipe, folder / "last", data)
    (tmp_path / "short.txt").write_text("\n".join(SOME), encoding="utf-8")
    with pytest.raises(ValueError, match="short.txt names 3 classes, the head of .* has 7"):
        evaluated(recipe, stripped, some[0], "MODEL.CLASSES", tmp_path / "short.txt")


def test_a_list_that_contradicts_the_weights_is_refused(trained, some, tmp_path):
    recipe, _, folder = trained
    (tmp_path / "other.txt").write_text("\n".join(ANIMALS[::-1]), encoding="utf-8")
    with pytest.raises(ValueError, match="the same in another order, class 0 is 龙 a for the list and bird for the"):
        evaluated(recipe, folder / "last", some[0], "MODEL.CLASSES", tmp_path / "other.txt")


def test_a_card_that_lies_beside_other_weights_is_not_believed(trained, some, tmp_path):
    recipe, _, folder = trained
    shutil.copy(folder / "last.pdparams", tmp_path / "w.pdparams")
    (tmp_path / "w.card.json").write_text('{"num_classes": 3, "classes": ["a", "b", "c"]}')
    with pytest.raises(ValueError, match="the card of .*w is of other weights: it has 3 classes, .* 7"):
        evaluated(recipe, tmp_path / "w", some[0])


def test_the_card_of_weights_adds_its_sizes_and_view_to_the_name_of_their_model_and_to_no_recipe(tmp_path, capsys):
    paddle.seed(0)
    heads = create_model("deit_tiny", image_size=32, embed_dim=12, depth=1, num_heads=3, num_classes=5)
    file, photo = tmp_path / "w.pdparams", tmp_path / "p.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype("uint8")).save(photo)
    card = {"form": 1, "model": "deit_tiny", "trans": {"EMBED_DIM": 12, "DEPTH": 1, "NUM_HEADS": 3}, "num_classes": 5,
            "classes": [], "image_size": [32, 32], "crop_pct": 0.7, "interpolation": "bilinear"}
    save_state({name: value.numpy() for name, value in heads.state_dict().items()}, file, card=card)
    for named in (None, "deit_tiny", "DeiT-Tiny"):
        loaded, config, _ = load_by(named, str(file))
        assert config.MODEL.TRANS.NUM_HEADS == 3 and loaded.model.blocks[0].attn.num_heads == 3
        assert (config.DATA.IMAGE_SIZE, config.DATA.CROP_PCT, config.DATA.INTERPOLATION) == (32, 0.7, "bilinear")
    recipe = tmp_path / "own.yaml"
    recipe.write_text("MODEL: {TYPE: DeiT, NAME: deit_tiny, TRANS: {EMBED_DIM: 12, DEPTH: 1, NUM_HEADS: 2}}\n")
    own = load_by(str(recipe), str(file), ["DATA.IMAGE_SIZE", "32"])[1]
    assert own.MODEL.TRANS.NUM_HEADS == 2 and own.DATA.CROP_PCT == 0.9
    assert main(["convert", str(file), str(tmp_path / "c.pdparams"), "--model", "deit_tiny"]) == 0
    converted = read_card(tmp_path / "c.pdparams")
    assert converted["trans"]["NUM_HEADS"] == 3 and converted["image_size"] == 224
    assert main(["export", "--load", str(file), "--model", "deit_tiny", "--output", str(tmp_path / "bundle"),
                 "--photos", str(photo)]) == 0
    shown = json.loads((tmp_path / "bundle" / "preprocess.json").read_text())
    assert (shown["image_size"], shown["crop_pct"], shown["interpolation"]) == ([32, 32], 0.7, "bilinear")
    capsys.readouterr()


def test_some_folders_of_imagenet_are_scored_by_their_names(tmp_path):
    """Numbers of three classes that everybody quotes: tench 0, golden retriever 207, toilet tissue 999."""
    recipe = tmp_path / "deit.yaml"
    size = "{EMBED_DIM: 12, DEPTH: 1, NUM_HEADS: 3, PATCH_SIZE: 16}"
    recipe.write_text(f"MODEL: {{TYPE: DeiT, NAME: deit_tiny, TRANS: {size}}}\n"
                      f"DATA: {{IMAGE_SIZE: 32, NUM_WORKERS: 0}}\nSAVE: {tmp_path / 'run'}\n")
    paddle.seed(3)
    model = create_model("deit_tiny", image_size=32, embed_dim=12, depth=1)
    model.head.bias.set_value(paddle.linspace(-3, 3, 1000))  # every class has a loss of its own
    save_state(model.state_dict(), tmp_path / "published.pdparams")
    numbers = {"n01440764": 0, "n02099601": 207, "n15075141": 999}
    draw(tmp_path / "data" / "val", list(numbers), 2)
    by_name = evaluated(recipe, tmp_path / "published", tmp_path / "data")
    (tmp_path / "data" / "val_list.txt").write_text("".join(
        f"val/{name}/{photo}.png {number}\n" for name, number in numbers.items() for photo in (0, 1)))
    assert by_name == evaluated(recipe, tmp_path / "published", tmp_path / "data")
    (tmp_path / "data" / "val_list.txt").unlink()
    (tmp_path / "data" / "val" / "n15075141").rename(tmp_path / "data" / "val" / "n1507514")
    with pytest.raises(ValueError, match="n1507514; nearest to n1507514 is n15075141 "):
        evaluated(recipe, tmp_path / "published", tmp_path / "data")


# ---- splits, resuming, fine-tuning ---------------------------------------------------------------------------------


def test_validation_may_have_some_of_the_classes_and_no_others(trained, tmp_path, capsys):
    recipe, data, folder = trained
    draw(tmp_path / "val", SOME, 3, seed=1)
    (tmp_path / "train").symlink_to(data / "train")
    options = [*PLAIN, "DATA.DATA_PATH", str(tmp_path), "SAVE", str(tmp_path / "run")]
    result = run(str(recipe), options)
    assert result.count == 9
    assert_same_weights(tmp_path / "run" / "last.pdparams", folder / "last.pdparams")
    which = "last_ema" if "ema" in json.loads((tmp_path / "run" / "best.json").read_text())["weights"] else "last"
    assert evaluated(recipe, folder / which, tmp_path) == result
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "dogs")
    said = refused(str(recipe), [*options, "SAVE", str(tmp_path / "other")])
    assert "dogs; nearest to dogs is dog " in said and str(tmp_path / "val") in said


def test_a_run_goes_on_with_the_classes_it_had_or_not_at_all(trained, tmp_path):
    recipe, data, folder = trained
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(folder, tmp_path / "run")
    on = [*PLAIN, "DATA.DATA_PATH", str(tmp_path / "data"), "SAVE", str(tmp_path / "run"), "MODEL.RESUME", "auto",
          "TRAIN.MAX_STEPS", "6"]
    for split in ("train", "val"):
        draw(tmp_path / "data" / split, ["cow"], 2)
    assert "8 classes, the run to go on with 7: only the images have cow" in refused(str(recipe), on)
    for split in ("train", "val"):
        (tmp_path / "data" / split / "cow").rename(tmp_path / "aside")
        shutil.rmtree(tmp_path / "aside")
        (tmp_path / "data" / split / "dog").rename(tmp_path / "data" / split / "wolf")
    said = refused(str(recipe), on)
    assert "only the images have wolf, only the run's checkpoints have dog" in said
    for split in ("train", "val"):
        (tmp_path / "data" / split / "wolf").rename(tmp_path / "data" / split / "dog")
    assert run(str(recipe), on).count == 21
    assert (tmp_path / "run" / "checkpoints" / "step_00000006").is_dir()


def test_a_checkpoint_of_before_there_were_names_goes_on(trained, tmp_path):
    recipe, _, folder = trained
    checkpoint = shutil.copytree(folder, tmp_path / "run") / "checkpoints" / "step_00000005"
    state = json.loads((checkpoint / "state.json").read_text())
    del state["card"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    lines = []
    for line in (checkpoint / "MANIFEST").read_text().splitlines():
        file = checkpoint / line.split(" ", 2)[2]
        lines.append(f"{sha256(file)} {file.stat().st_size} {file.name}\n")
    (checkpoint / "MANIFEST").write_text("".join(lines))
    run(str(recipe), [*PLAIN, "SAVE", str(tmp_path / "run"), "MODEL.RESUME", "auto", "TRAIN.MAX_STEPS", "6"])
    assert class_names_of(tmp_path / "run") == tuple(ANIMALS)


def test_heads_are_kept_for_the_same_classes_only(trained, tmp_path, capsys):
    recipe, data, folder = trained
    others = [name.upper() for name in ANIMALS]  # as many
    for split in ("train", "val"):
        draw(tmp_path / "data" / split, others, 2)
    start = [*PLAIN, "TRAIN.MAX_STEPS", "1", "MODEL.PRETRAINED", str(folder / "last"), "DATA.DATA_PATH"]
    here = [*start, str(tmp_path / "data"), "SAVE"]
    said = refused(str(recipe), [*here, str(tmp_path / "a")])
    assert "only the images have BIRD, CAT, DOG and 3 more" in said and "--new-heads" in said and "--classes" in said
    for heads, name in (("always", "b"), ("auto", "c")):
        run(str(recipe), [*here, str(tmp_path / name), "MODEL.NEW_HEADS", heads])
        assert "dropped" in capsys.readouterr().out and class_names_of(tmp_path / name)[0] == "BIRD"
    run(str(recipe), [*start, str(data), "SAVE", str(tmp_path / "d"), "MODEL.NEW_HEADS", "auto"])
    assert "everything matched" in capsys.readouterr().out


def test_some_classes_keep_the_head_of_all_where_all_are_listed(trained, tmp_path, capsys):
    recipe, _, folder = trained
    for split in ("train", "val"):
        draw(tmp_path / "data" / split, SOME, 3)
    start = [*PLAIN, "TRAIN.MAX_STEPS", "1", "MODEL.PRETRAINED", str(folder / "last"), "DATA.DATA_PATH",
             str(tmp_path / "data"), "SAVE", str(tmp_path / "run")]
    assert "only the weights have bird, cat, horse and 1 more" in refused(str(recipe), start)
    result = run(str(recipe), [*start, "MODEL.CLASSES", str(folder / "classes.txt")])
    assert "got none of 4 of them: 0 (bird), 1 (cat), 3 (horse)" in capsys.readouterr().out
    assert class_names_of(tmp_path / "run") == tuple(ANIMALS)
    left = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["MODEL"]
    assert (left["NUM_CLASSES"], left["CLASSES"]) == (7, None)
    # going on takes the same words, and whoever leaves the list out is told
    on = [*start[:-6], "DATA.DATA_PATH", str(tmp_path / "data"), "SAVE", str(tmp_path / "run"), "MODEL.RESUME", "auto",
          "MODEL.PRETRAINED", "None", "TRAIN.MAX_STEPS", "2"]
    assert "only the run's checkpoints have bird" in refused(str(recipe), on)
    assert run(str(recipe), [*on, "MODEL.CLASSES", str(folder / "classes.txt")]).count == result.count


# ---- maps and teachers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("card", "words"), [
    ({"num_classes": 7, "classes": ANIMALS}, ""),
    ({"num_classes": 7}, ""),
    ({"num_classes": 1000}, "of maps of 1000 classes, the model has 7"),
    ({"num_classes": 8, "classes": [*ANIMALS, "zebra"]}, "8 classes, the model has 7 .*only the maps have zebra"),
    ({"num_classes": 7, "classes": ANIMALS[::-1]}, "the same in another order, class 0 is bird for the images and 龙"),
])
def test_maps_whose_card_speaks_of_other_classes_are_refused(trained, tmp_path, card, words):
    recipe, data, _ = trained
    for photo in (data / "train").rglob("*.png"):
        path = tmp_path / "maps" / photo.parent.name / f"{photo.stem}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([np.full((1, 2, 2), 9.0), np.full((1, 2, 2), 3)]).astype("float16"))
    reading = {"frame": "whole", "orientation": "rows-first", "log_z": False}
    (tmp_path / "maps" / "annotation.json").write_text(json.dumps({**reading, **card}))
    options = [*PLAIN, "TOKEN_LABEL.ENABLE", "True", "TOKEN_LABEL.PATH", str(tmp_path / "maps"), "TRAIN.MAX_STEPS", "1",
               "SAVE", str(tmp_path / "run")]
    if not words:
        run(str(recipe), options)
        return
    with pytest.raises(ValueError, match=words) as caught:
        run(str(recipe), options)
    assert "annotation.json" in str(caught.value)


def test_a_teacher_of_other_classes_is_refused(trained, tmp_path):
    recipe, _, folder = trained
    save_state(weights(folder / "last.pdparams"), tmp_path / "t.pdparams",
               card={"num_classes": 7, "classes": [*ANIMALS[:-1], "zebra"]})
    teach = ["DISTILL.TYPE", "soft", "DISTILL.TEACHER", str(recipe), "DISTILL.WEIGHTS", str(tmp_path / "t.pdparams"),
             "SAVE", str(tmp_path / "run"), "TRAIN.MAX_STEPS", "1"]
    assert "only the weights have zebra; take a teacher" in refused(str(recipe), [*PLAIN, *teach])


# ---- the head that nothing teaches ---------------------------------------------------------------------------------


def test_a_head_that_nothing_teaches_is_zero_so_that_weights_compute_the_same_wherever_they_are(trained, tmp_path):
    recipe, data, folder = trained
    for file in folder.glob("*.pdparams"):
        state = weights(file)
        assert not state["aux_head.weight"].any() and not state["aux_head.bias"].any()
        assert state["head.weight"].any()
    size = {key.rpartition(".")[2].lower(): value for key, value in flat(get_config(recipe)).items()
            if key.startswith("MODEL.TRANS.") and value is not None}
    model = create_model("lvvit_t", image_size=32, class_dim=7, **size)
    model.set_state_dict(paddle.load(str(folder / "last.pdparams")))
    model.eval()
    photos = paddle.randn([3, 3, 32, 32])
    assert model.eval_token_weight == 0.5
    np.testing.assert_array_equal(model(photos).numpy(), model.head(model.encode(photos)[0][:, 0]).numpy())
    # a copy without the folder that knows how it was trained
    for name in ("last.pdparams", "last.card.json"):
        shutil.copy(folder / name, tmp_path / name)
    assert evaluated(recipe, tmp_path / "last", data) == evaluated(recipe, folder / "last", data)
    assert evaluated(recipe, tmp_path / "last", data, "MODEL.EVAL_TOKENS", "always") == evaluated(
        recipe, folder / "last", data)


def test_a_run_of_before_goes_on_and_its_untaught_head_becomes_zero(trained, tmp_path):
    from safetensors.numpy import load_file, save_file

    recipe, _, folder = trained
    checkpoint = shutil.copytree(folder, tmp_path / "run") / "checkpoints" / "step_00000005"
    for name in ("model", "ema"):
        tensors = load_file(checkpoint / f"{name}.safetensors")
        tensors["aux_head.weight"] += 1
        save_file(tensors, checkpoint / f"{name}.safetensors", metadata={"layout": "paddle"})
    files = [line.split(" ", 2)[2] for line in (checkpoint / "MANIFEST").read_text().splitlines()]
    (checkpoint / "MANIFEST").write_text("".join(
        f"{sha256(checkpoint / name)} {(checkpoint / name).stat().st_size} {name}\n" for name in files))
    on = [*PLAIN, "MODEL.RESUME", "auto", "TRAIN.MAX_STEPS", "6", "SAVE"]
    run(str(recipe), [*on, str(tmp_path / "run")])
    shutil.copytree(folder, tmp_path / "same")
    run(str(recipe), [*on, str(tmp_path / "same")])
    for name in ("last.pdparams", "last_ema.pdparams"):
        assert not weights(tmp_path / "run" / name)["aux_head.weight"].any()
        assert_same_weights(tmp_path / "run" / name, tmp_path / "same" / name)


def test_a_token_head_taught_elsewhere_is_left_behind_with_a_word_where_nothing_teaches_it(
        trained, tmp_path, capsys):
    recipe, _, folder = trained
    state = weights(folder / "last.pdparams")
    state["aux_head.weight"] = state["aux_head.weight"] + 1
    save_state(state, tmp_path / "taught.pdparams")
    options = [*PLAIN, "TRAIN.MAX_STEPS", "1", "MODEL.PRETRAINED", str(tmp_path / "taught"), "SAVE"]
    run(str(recipe), [*options, str(tmp_path / "run")])
    assert f"the token head of {tmp_path / 'taught'} is left behind" in capsys.readouterr().out
    assert not weights(tmp_path / "run" / "last.pdparams")["aux_head.weight"].any()


def test_a_teacher_of_tokens_whose_head_was_never_taught_is_refused(trained, tmp_path):
    recipe, _, folder = trained
    teach = ["DISTILL.DENSE_WEIGHT", "1", "DISTILL.TEACHER", str(recipe), "DISTILL.WEIGHTS",
             str(folder / "last.pdparams"), "SAVE", str(tmp_path / "run"), "TRAIN.MAX_STEPS", "1"]
    assert "the token head of these weights is zero" in refused(str(recipe), [*PLAIN, *teach])
