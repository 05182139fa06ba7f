"""Runs of a toy segmenter by the same loop as all others: stopped and resumed, evaluated, started from a classifier."""
import json
import shutil

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.commands.predict import predict
from ppim.config import get_config
from ppim.data.batches import EvalBatches
from ppim.data.loader import make_loader
from ppim.data.masks import read_mask
from ppim.data.photos import read_photo
from ppim.engine.command import run
from ppim.engine.depth import freeze, rate_scales
from ppim.engine.distributed import World
from ppim.engine.segmenting import asking_of, evaluate
from ppim.engine.task import task_of
from ppim.models import build_model
from ppim.segment.evaluate import counted
from ppim.segment.figures import figures_of
from ppim.segment.sliding import best_class
from ppim.weights import load_weights, save_state
from tests.helpers import assert_same_weights, launch, losses, records, result_of, weights, write_tiny_recipe
from tests.segment.painted import OPTIONS, RECIPE


def model_of(whole):
    recipe, folder = whole
    config = get_config(recipe, OPTIONS)
    model = task_of(config).model(config)
    load_weights(model, folder / "last.pdparams")
    _, samples = task_of(config).samples(config, config, *[task_of(config).val_images(
        config, task_of(config).train_images(config, None))] * 2, model)
    return config, model, samples


def test_a_run_learns_tells_of_its_terms_and_keeps_its_best_by_miou(whole):
    told = records(whole[1])
    train = [record for record in told if record["event"] == "train"]
    assert len(train) == 6 and all(record["loss"] == pytest.approx(
        record["head_loss"] + 0.4 * record["auxiliary_loss"], rel=1e-5) for record in train)
    best, *_ = [json.loads((whole[1] / "best.json").read_text())]
    found = {record["event"]: record for record in told if record["event"].startswith("eval")}
    assert set(found) == {"eval_raw", "eval_ema"}
    assert best["miou"] == max(record["miou"] for record in found.values())
    assert list(best["iou"]) == ["wall", "sky", "flag, banner"] and best["count"] == 5
    assert (whole[1] / "classes.txt").read_text() == "wall\nsky\nflag, banner\n"


def test_a_run_goes_on_in_the_middle_of_an_epoch_to_the_same_bits(whole, tmp_path):
    recipe, folder = whole
    copy = shutil.copytree(folder, tmp_path / "copy")
    for step in (5, 6):  # as if it had been killed after four of six steps
        shutil.rmtree(copy / "checkpoints" / f"step_{step:08d}")
    for name in ("last.pdparams", "last_ema.pdparams", "best.pdparams", "best.json"):
        (copy / name).unlink()
    run(recipe, [*OPTIONS, "SAVE", str(copy), "MODEL.RESUME", "auto"])
    for name in ("last.pdparams", "last_ema.pdparams", "best.pdparams"):
        assert_same_weights(folder / name, copy / name)
    assert losses(folder) == losses(copy)


def test_a_run_starts_where_the_first_masks_of_the_validation_are_blank(ade, tmp_path):
    data = shutil.copytree(ade, tmp_path / "ade")
    masks = sorted((data / "annotations" / "validation").iterdir())
    for path in masks[:3]:
        Image.fromarray(np.zeros_like(np.array(Image.open(path)))).save(path)
    toy = tmp_path / "toy.yaml"
    toy.write_text(RECIPE.format(data=data, save=tmp_path / "run"))
    result = run(str(toy), [*OPTIONS, "TRAIN.MAX_STEPS", "1"])
    assert result.count == 5 and 0 <= result.miou <= 100


def test_figures_are_those_of_all_pixels_whatever_the_processes(whole):
    config, model, samples = model_of(whole)
    alone = evaluate(model, samples, World(), config)
    for processes in (2, 3):
        loaders = [make_loader(samples, EvalBatches(5, 1, rank=rank, world=processes), 0) for rank in range(processes)]
        shares = [counted(model, loader, asking_of(config)) for loader in loaders]
        assert sum(share.photos for share in shares) == 5
        together = figures_of(sum(share.confusion for share in shares), samples.images.classes, 5)
        assert together == alone
    # pixel by pixel, of whole photos at their own size
    pixels = sum(int((samples[index]["mask"] != 255).sum()) for index in range(5))
    assert sum(int(share.confusion.sum()) for share in shares) == pixels


def test_evaluation_alone_says_the_same_with_a_line_for_each_class(whole, tmp_path, capsys):
    recipe, folder = whole
    for file in (str(folder / "best.pdparams"), str(folder)):
        found = run(None, ["EVAL.ONLY", "True", "MODEL.PRETRAINED", file])
        told = capsys.readouterr().out
        assert "flag, banner" in told and " IoU " in told and "everything matched" in told
    best = json.loads((folder / "best.json").read_text())
    found = run(recipe, ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(folder / "best.pdparams"), "SAVE", "unused"])
    assert (found.miou, found.aacc, found.iou) == (best["miou"], best["aacc"], best["iou"])
    alone = tmp_path / "alone.pdparams"
    shutil.copy(folder / "best.pdparams", alone)
    shutil.copy(folder / "best.card.json", tmp_path / "alone.card.json")
    with pytest.raises(ValueError, match="name pixels, but do not say by which recipe: give it, with -c FILE"):
        run(None, ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(alone)])
    at_once = run(recipe, ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(folder / "best.pdparams"), "SAVE", "unused",
                           "SEGMENT.MODE", "whole"])
    assert at_once.count == 5 and at_once.miou != found.miou


def test_weights_that_are_not_finite_are_never_the_best(whole):
    config, model, samples = model_of(whole)
    model.decode_head.conv_seg.bias.set_value(paddle.to_tensor([np.nan, 0.0, 0.0], "float32"))
    assert not evaluate(model, samples, World(), config).is_sound


def test_a_segmenter_starts_from_a_classifier_or_from_another_segmenter(whole, recipe, tiny_data, tmp_path, capsys):
    classifier = build_model(get_config(recipe, ["MODEL.NUM_CLASSES", "9"]))
    save_state(classifier.state_dict(), tmp_path / "classifier.pdparams")
    once = ["TRAIN.MAX_STEPS", "1", "TRAIN.BASE_LR", "0", "TRAIN.FREEZE", "backbone"]
    run(recipe, [*once, "MODEL.PRETRAINED", str(tmp_path / "classifier.pdparams")])
    assert "neck.layer1" in capsys.readouterr().out
    model = model_of((recipe, tmp_path / "run"))[1]
    for name, value in classifier.blocks.state_dict().items():
        np.testing.assert_array_equal(model.backbone.blocks.state_dict()[name].numpy(), value.numpy())
    run(recipe, [*once, "MODEL.PRETRAINED", str(whole[1] / "last.pdparams"), "SAVE", str(tmp_path / "second")])
    assert "everything matched" in capsys.readouterr().out
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    others = [*once, "MODEL.PRETRAINED", str(whole[1] / "last.pdparams"), "MODEL.CLASSES", str(names), "SAVE",
              str(tmp_path / "third")]
    with pytest.raises(ValueError, match="have not the same classes: .*--new-heads"):
        run(recipe, others)
    run(recipe, [*others, "MODEL.NEW_HEADS", "auto"])
    # and a classifier's recipe says what such weights are
    plain = write_tiny_recipe(tmp_path, tiny_data)
    with pytest.raises(ValueError, match="names no pixels: .*ppim train --load"):
        run(recipe, ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(tmp_path / "classifier.pdparams")])
    with pytest.raises(ValueError):
        run(str(plain), ["EVAL.ONLY", "True", "MODEL.PRETRAINED", str(whole[1] / "last.pdparams")])


@pytest.mark.parametrize(("keys", "error"), [
    (["TOKEN_LABEL.ENABLE", "True"], "TASK segment knows nothing of TOKEN_LABEL.ENABLE; leave it"),
    (["DATA.SAMPLING", "balanced", "PICTURES", "2"], "nothing of DATA.SAMPLING, PICTURES; leave them"),
    (["EVAL.KEEP", "0.5"], "nothing of EVAL.KEEP; leave it as by default"),
    (["EVAL.ONLY", "True", "EVAL.AMONG", "shown"], "nothing of EVAL.AMONG; leave it as by default"),
    (["SEGMENT.STRIDE", "17"], "SEGMENT.STRIDE 17 leaves gaps between windows of DATA.IMAGE_SIZE 16"),
    (["SEGMENT.SCALE", "[3]"], "SEGMENT.SCALE wants a list of 2 whole numbers, each at least 1, as"),
    (["SEGMENT.FACTORS", "[2.0, 1.0]"], r"SEGMENT.FACTORS wants \[least, most\]"),
])
def test_keys_that_mean_nothing_here_are_refused(recipe, keys, error):
    with pytest.raises(ValueError, match=error):
        get_config(recipe, keys)


@pytest.mark.runs
def test_what_colours_mean_is_learnt_in_a_hundred_steps(recipe):
    plain = ["TRAIN.NUM_EPOCHS", "40", "VALIDATE_FREQ", "40", "TRAIN.MODEL_EMA", "False", "SEGMENT.DISTORT", "False",
             "MODEL.DROPPATH", "0", "SEGMENT.CHANNELS", "16", "SAVE_FREQ", "40"]
    # two thirds of the pixels are of one class
    assert run(recipe, plain).aacc > 85


@pytest.mark.runs
def test_two_processes_train_one_model_and_count_each_photo_once(whole, tmp_path):
    recipe, _ = whole
    folder = tmp_path / "run"
    told = result_of(launch(2, "tools/train.py", "-c", recipe, "-o", "TRAIN.MAX_STEPS", "2", "DATA.BATCH_SIZE", "2",
                            "SAVE", folder, "TRAIN.MODEL_EMA", "False", log_dir=tmp_path / "log"), launched=True)
    assert told["count"] == 5
    config, model, samples = model_of((recipe, folder))
    alone = evaluate(model, samples, World(), config)
    assert told["miou"] == pytest.approx(alone.miou, abs=1e-9) and told["iou"] == alone.iou


@pytest.mark.runs
def test_two_processes_with_unequal_shares_take_the_steps_of_one_with_the_whole_batch(recipe, tmp_path):
    """Of six photos one has two and the other four; weights and BatchNorm statistics after two steps."""
    plain = ["TRAIN.MAX_STEPS", "2", "TRAIN.MODEL_EMA", "False", "MODEL.DROPPATH", "0", "SEGMENT.DROPOUT", "0",
             "TRAIN.OPTIMIZER.NAME", "SGD", "TRAIN.WEIGHT_DECAY", "0", "TRAIN.WARMUP_EPOCHS", "0", "TRAIN.BASE_LR", "1",
             "SAVE_STEPS", "1"]
    run(recipe, [*plain, "DATA.BATCH_SIZE", "6", "SAVE", str(tmp_path / "one")])
    done = launch(2, "tools/train.py", "-c", recipe, "-o", *plain, "DATA.BATCH_SIZE", "3", "SAVE", tmp_path / "two",
                  log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (weights(tmp_path / name / "last.pdparams") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_masks_of_photos_are_what_the_segmenter_says_in_the_numbering_of_masks(whole, ade, tmp_path, capsys):
    _, folder = whole
    photos = sorted((ade / "images" / "validation").iterdir())
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    line = [str(photos[0]), str(photos[1]), str(tmp_path / "broken.jpg"), "--load", str(folder / "last.pdparams"),
            "--masks", str(tmp_path / "masks"), "--json"]
    with pytest.raises(ValueError, match="1 of 3 photos could not be read"):
        predict(line)
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [sorted(one) for one in told] == [["classes", "mask", "path"]] * 2 + [["error", "path"]]
    config, model, samples = model_of(whole)
    model.eval()
    for number, one in enumerate(told[:2]):
        assert one["mask"] == str(tmp_path / "masks" / f"{photos[number].stem}.png")
        sample, found = samples[number], read_mask(one["mask"], 3)
        logits = asking_of(config).logits(model, paddle.to_tensor(sample["image"][None]))
        np.testing.assert_array_equal(found, best_class(logits, sample["mask"].shape).numpy() + 1)
        shares = {one["index"]: one["share"] for one in one["classes"]}
        assert shares == {index: np.mean(found == index) for index in np.unique(found)}
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        assert all(one["name"] == ("wall", "sky", "flag, banner")[one["index"] - 1] for one in one["classes"])
    with pytest.raises(ValueError, match="would be the mask of two photos"):
        predict([str(photos[0]), str(photos[0]), *line[3:]])
    with pytest.raises(ValueError, match="masks go without --csv"):
        predict([*line, "--csv", "x.csv"])


@pytest.mark.parametrize("option", ["--masks", "--pictures"])
def test_no_photo_is_written_over(whole, ade, tmp_path, option):
    own = tmp_path / "own"
    own.mkdir()
    for photo, suffix in zip(sorted((ade / "images" / "validation").iterdir()), (".png", ".jpg")):
        Image.open(photo).save(own / f"{photo.stem}{suffix}")
    before = {path: path.read_bytes() for path in own.iterdir()}
    (tmp_path / "link").symlink_to(own)
    words = [str(own), "--load", str(whole[1] / "last.pdparams"), "--masks", str(tmp_path / "masks"), option,
             str(tmp_path / "link")]
    with pytest.raises(ValueError, match=f"is one of the photos and would be written over; give another {option} DIR"):
        predict(words)
    assert {path: path.read_bytes() for path in own.iterdir()} == before and not (tmp_path / "masks").exists()


def test_a_photo_is_told_in_shares_and_covered_by_colours_without_a_word_about_masks(whole, ade, tmp_path, capsys,
                                                                                      monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = ade / "images" / "validation" / "ADE_00000001.png"
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    predict([str(photo), "--load", str(whole[1]), "--pictures", "covered", "--classes", "names.txt"])
    head, *shares = capsys.readouterr().out.splitlines()
    assert head == f"{photo} -> output/masks/{photo.stem}.png"
    parts = [share.split() for share in shares]
    assert sum(float(part[0]) for part in parts) == pytest.approx(100, abs=0.02) and {part[2] for part in parts} <= set(
        "abc")
    mask, shown = Image.open(f"output/masks/{photo.stem}.png"), read_photo(photo, "ignore")
    wanted = (np.asarray(mask.convert("RGB"), "float32") + np.asarray(shown, "float32")) / 2
    covered = np.asarray(Image.open(f"covered/{photo.stem}.jpg"), "float32")
    assert covered.shape == wanted.shape and np.abs(covered.mean((0, 1)) - wanted.mean((0, 1))).max() < 4
    names.write_text("a\nb\n")
    with pytest.raises(ValueError, match="names.txt names 2 classes, masks of these weights have 3"):
        predict([str(photo), "--load", str(whole[1]), "--classes", "names.txt"])


def test_a_frozen_transformer_stays_to_the_bit_while_the_heads_learn_and_a_run_goes_on_exactly(whole, recipe, tmp_path):
    """`TRAIN.FREEZE backbone`, with a drop rate that would show; average and optimizer state too."""
    start, folder = str(whole[1] / "last.pdparams"), tmp_path / "frozen"
    keys = ["TRAIN.FREEZE", "backbone", "MODEL.DROPPATH", "0.5", "TRAIN.MAX_STEPS", "2", "SAVE_STEPS", "1",
            "KEEP_CHECKPOINTS", "4", "SAVE", str(folder)]
    run(recipe, [*keys, "MODEL.PRETRAINED", start])
    before, after, average = (weights(path) for path in (start, folder / "last.pdparams", folder / "last_ema.pdparams"))
    for name, value in before.items():
        stays = name.startswith("backbone.")
        assert all(np.array_equal(value, now[name]) == stays for now in (after, average)), name
    resumed = shutil.copytree(folder, tmp_path / "resumed")
    shutil.rmtree(resumed / "checkpoints" / "step_00000002")
    for name in ("last.pdparams", "last_ema.pdparams", "best.pdparams", "best.json"):
        (resumed / name).unlink()
    run(recipe, [*keys, "SAVE", str(resumed), "MODEL.RESUME", "auto"])
    for name in ("last.pdparams", "last_ema.pdparams", "best.pdparams"):
        assert_same_weights(folder / name, resumed / name)


def test_some_blocks_of_a_segmenter_may_be_frozen_and_the_others_learn_more_slowly(recipe):
    config = get_config(recipe, ["TRAIN.FREEZE", "2", "TRAIN.LAYER_DECAY", "0.5"])
    model = task_of(config).model(config)
    freeze(model, config.TRAIN.FREEZE)
    model.train()
    moving = {name for name, p in model.named_parameters() if not p.stop_gradient}
    assert not any(name.startswith(("backbone.pos_embed", "backbone.patch_embed", "backbone.blocks.1."))
                   for name in moving)
    assert {"backbone.blocks.2.norm1.weight", "neck.layer1.0.weight", "decode_head.conv_seg.bias"} <= moving
    scales = rate_scales(model, 0.5)
    assert [scales[name] for name in ("backbone.blocks.2.norm1.weight", "backbone.blocks.3.norm1.weight",
                                      "neck.layer1.0.weight")] == [0.25, 0.5, 1.0]
    assert [block.training for block in model.blocks] == [False, False, True, True]
