"""The settings chosen for a folder of photos: what the rules promise for any number of them, and a run by them."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppim.cli import main
from ppim.config import get_config, save
from ppim.engine.finetune import (
    LARGEST_BATCH,
    USUAL,
    as_overrides,
    as_pairs,
    asked_for,
    batch_for,
    epochs_for,
    settings_for,
)
from ppim.engine.schedule import schedule_of
from tests.helpers import ROOT, records, run_python, write_tiny_recipe


@pytest.mark.smoke
@given(st.integers(100, 10_000), st.sampled_from(["cpu", "gpu"]), st.sampled_from([1, 2, 4]))
def test_an_epoch_has_ten_steps_and_a_run_hundreds(photos, device, processes):
    batch = batch_for(photos, device, processes)
    assert batch & (batch - 1) == 0 and 2 <= batch <= LARGEST_BATCH[device]
    steps = photos // (batch * processes)
    assert steps >= 10
    # the next larger batch would not do, for memory or for steps
    assert 2 * batch > LARGEST_BATCH[device] or photos < 10 * 2 * batch * processes
    epochs = epochs_for(steps)
    assert 5 <= epochs <= 30 and (steps * epochs >= 600 or epochs == 30) and (steps * epochs < 1200 or epochs == 5)
    assert epochs_for(steps, from_weights=False) == 5 * epochs


@pytest.mark.smoke
@pytest.mark.parametrize(("photos", "batch", "epochs"), [(112, 8, 30), (1_000, 32, 20), (10_000, 32, 5)])
def test_three_sizes_by_hand(photos, batch, epochs):
    chosen = {setting.key: setting.value for setting in settings_for(photos, cores=2, device="cpu")}
    assert (chosen["DATA.BATCH_SIZE"], chosen["TRAIN.NUM_EPOCHS"]) == (batch, epochs)


@pytest.mark.smoke
def test_classes_are_evened_out_from_three_times_as_many_photos_on_and_the_reason_is_told():
    def chosen(*counts):
        return [setting for setting in settings_for(200, cores=2, device="cpu", of_classes=counts)
                if setting.key == "DATA.SAMPLING"]

    assert chosen() == chosen(60, 60) == chosen(59, 20, 0) == []
    (found,) = chosen(60, 20)
    assert found.value == "balanced" and found.why == "classes have 20 to 60 photos; each is drawn equally often"


def test_what_flags_ask_for_is_a_setting_with_a_reason():
    asked = asked_for(freeze="2", layer_decay=0.75, hours=0.5, patience=3)
    config = get_config("deit_tiny", as_pairs(asked)).TRAIN
    assert (config.FREEZE, config.LAYER_DECAY, config.MAX_HOURS, config.EARLY_STOP) == ("2", 0.75, 0.5, 3)
    assert all(setting.why for setting in asked) and asked_for() == []


def test_maps_of_the_run_that_weights_come_from_stay_with_its_photos(tiny_config):
    taught = ["TOKEN_LABEL.VAL_PATH", "maps/of/its/photos"]
    changed = get_config(tiny_config, [*taught, *as_overrides(settings_for(140, 2, "cpu"))])
    assert get_config(tiny_config, taught).TOKEN_LABEL.VAL_PATH == "maps/of/its/photos"
    assert (changed.TOKEN_LABEL.ENABLE, changed.TOKEN_LABEL.VAL_PATH) == (False, "")


@pytest.mark.smoke
def test_photos_are_shown_unmixed_however_the_run_that_weights_come_from_mixed_its_own(tiny_config):
    told = ["TRAIN.MIXUP_ALPHA", "0.8", "TRAIN.CUTMIX_MINMAX", "[0.2, 0.8]", "MIX.TOKEN_ALPHA", "1"]
    assert get_config(tiny_config, told).TRAIN.CUTMIX_MINMAX == [0.2, 0.8]
    changed = get_config(tiny_config, [*told, *as_overrides(settings_for(140, 2, "cpu"))])
    train = changed.TRAIN
    assert (train.MIXUP_ALPHA, train.CUTMIX_ALPHA, train.CUTMIX_MINMAX, changed.MIX.TOKEN_ALPHA) == (0, 0, None, 0)


def test_what_a_run_was_told_of_its_end_and_its_losses_stays_with_it(tiny_config):
    told = ["TRAIN.ACCUM_ITER", "2", "TRAIN.MAX_STEPS", "3", "TRAIN.MAX_HOURS", "1", "TRAIN.EARLY_STOP", "1",
            "LOSS.CLASS_BALANCE", "inverse", "TRAIN.LR_SCHEDULER.NAME", "poly"]
    changed = get_config(tiny_config, [*told, *as_overrides(settings_for(140, 2, "cpu", of_classes=[90, 10]))])
    train = changed.TRAIN
    assert (train.ACCUM_ITER, train.MAX_STEPS, train.MAX_HOURS, train.EARLY_STOP) == (1, 0, 0, 0)
    assert (changed.LOSS.CLASS_BALANCE, changed.DATA.SAMPLING) == ("none", "balanced")
    assert train.LR_SCHEDULER.NAME == "cosine"
    kept = as_overrides([*settings_for(140, 2, "cpu"), *asked_for(hours=2, patience=5)])
    asked = get_config(tiny_config, [*told, *kept]).TRAIN
    assert (asked.MAX_HOURS, asked.EARLY_STOP) == (2, 5)


def test_what_the_run_that_weights_come_from_froze_or_weighed_is_not_handed_on():
    theirs = ["TRAIN.FREEZE", "embedding", "TRAIN.LAYER_DECAY", "0.7", "LOSS.CLASS_WEIGHT", "0.5"]
    config = get_config("lvvit_s", theirs + as_overrides(settings_for(140, cores=2, device="cpu")))
    assert (config.TRAIN.FREEZE, config.TRAIN.LAYER_DECAY, config.LOSS.CLASS_WEIGHT) == ("none", 1.0, 1.0)
    heads = settings_for(140, cores=2, device="cpu", heads_only=True)
    config = get_config("dinov2_small", as_overrides(heads))
    assert (config.TRAIN.FREEZE, config.TRAIN.BASE_LR) == ("backbone", 1e-3)
    fresh = settings_for(140, cores=2, device="cpu", heads_only=True, from_weights=False)
    assert get_config("dinov2_small", as_overrides(fresh)).TRAIN.FREEZE == "none"


def test_too_few_photos_are_told():
    with pytest.raises(ValueError, match="3 training photos are too few for 2 processes"):
        batch_for(3, "cpu", processes=2)


@pytest.mark.parametrize("name", ["deit_tiny", "lvvit_s", "lvvit_s_384", "dinov2_small", "volo_d1", "vit_tiny"])
@pytest.mark.parametrize("from_weights", [True, False])
def test_the_rate_falls_along_a_cosine_whatever_curve_the_recipe_has(name, from_weights):
    config = get_config(name, as_overrides(settings_for(1000, cores=2, device="cpu", from_weights=from_weights)))
    curve, base = schedule_of(config, config.DATA.BATCH_SIZE), config.TRAIN.BASE_LR
    assert base == (2e-4 if from_weights else 5e-4)
    middle = config.TRAIN.NUM_EPOCHS / 2
    assert curve.at(middle) == pytest.approx((base + 1e-6) / 2) and curve.at(config.TRAIN.NUM_EPOCHS) == 1e-6


@pytest.mark.parametrize("name", ["deit_tiny", "lvvit_s", "t2t_vit_7", "lvvit_cifar10"])
def test_every_setting_is_a_key_that_its_recipe_takes(name):
    settings = settings_for(140, cores=2, device="gpu")
    config = get_config(name, as_overrides(settings))
    for key, value in {**USUAL, **{setting.key: setting.value for setting in settings}}.items():
        section, _, leaf = key.rpartition(".")
        node = config
        for part in section.split(".") if section else []:
            node = node[part]
        assert node[leaf] == value and all(setting.why for setting in settings), key


@pytest.fixture(scope="module")
def own_weights(tiny_data, tmp_path_factory):
    """The run folder of a toy model trained for two steps on coloured pictures."""
    folder = tmp_path_factory.mktemp("own")
    recipe = write_tiny_recipe(folder, tiny_data)
    done = run_python("tools/train.py", "-c", recipe, "-o", "TRAIN.MAX_STEPS", "2", "TOKEN_LABEL.ENABLE", "False")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_folder_of_photos_without_a_split_is_fine_tuned_and_gone_on_with(own_weights, tiny_data, tmp_path):
    photos, output = tiny_data / "train", tmp_path / "tuned"
    words = ["-m", "ppim", "finetune", photos, "--load", own_weights, "--output", output]
    # its val/ lies beside it: those photos are the validation, nothing is set aside
    done = run_python(*words, "--epochs", "2", "-o", "TRAIN.MAX_STEPS", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DATA.BATCH_SIZE       2" in done.stdout and "11 validation images" in done.stdout
    assert "differs from the recipe" not in done.stdout
    assert not (output / "val_list.txt").exists()
    # from there on
    done = run_python(*words, "--resume", "-o", "TRAIN.MAX_STEPS", "2")
    assert done.returncode == 0 and "going on from" in done.stdout, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["count"] == 11
    assert [record["step"] for record in records(output) if record["event"] == "train"][-1] == 2


def test_photos_set_aside_are_written_down_and_never_trained_on(own_weights, tiny_data, tmp_path):
    photos, output = tmp_path / "photos", tmp_path / "tuned"
    photos.mkdir()
    for folder in (tiny_data / "train").iterdir():
        (photos / folder.name).symlink_to(folder)
    done = run_python("-m", "ppim", "finetune", photos, "--load", own_weights, "--output", output, "--val-share", "0.3",
                      "--freeze", "backbone", "--hours", "1e-9", "--patience", "2", "--layer-decay", "0.7")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("TRAIN.FREEZE          backbone", "TRAIN.LAYER_DECAY     0.7", "TRAIN.EARLY_STOP      2", "asked for",
                 "ends early, after step 0"):
        assert word in done.stdout, done.stdout
    held_out = (output / "val_list.txt").read_text().splitlines()
    assert 3 <= len(held_out) < 24
    assert f"{24 - len(held_out)} training and {len(held_out)} validation images" in done.stdout
    # evaluating the run by itself sees the same photos
    again = run_python("-m", "ppim", "evaluate", "--load", output / "best.pdparams")
    assert json.loads(again.stdout.splitlines()[-1])["count"] == len(held_out), again.stderr


def test_published_weights_that_cannot_be_had_are_named_with_every_way_on(tiny_data, tmp_path):
    unreachable = {"https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    done = run_python("-m", "ppim", "finetune", tiny_data / "train", env=unreachable, cwd=ROOT)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    for word in ("DeiT_tiny_patch16_224.pdparams", str(tmp_path), "--load", "--from-scratch"):
        assert word in done.stderr


@pytest.mark.parametrize("epochs", [0, -3])
def test_fewer_epochs_than_one_are_refused(epochs):
    with pytest.raises(ValueError, match=f"--epochs wants at least 1; got {epochs}"):
        settings_for(1000, cores=2, device="cpu", epochs=epochs)


def test_what_a_run_that_goes_on_cannot_take_is_refused(tiny_data, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    save(get_config(None, ["DATA.DATA_PATH", str(tiny_data)]), tmp_path / "run" / "config.yaml")
    run, gone = tmp_path / "run", tmp_path / "gone"
    words = ["--output", str(run), "--resume"]
    for more, said in ((["--val-share", "0.5"], "--val-share"), (["--from-scratch"], "--from-scratch")):
        assert main(["finetune", str(tiny_data), *words, *more]) == 1
        assert capsys.readouterr().err == f"error: {said} is settled when a run starts; leave it out with --resume\n"
    assert main(["finetune", str(gone), *words]) == 1
    assert capsys.readouterr().err == (f"error: {gone} is not what the run in {run} trains on; "
                                       f"go on with {tiny_data}, or start another run with another --output\n")
    # the same photos by another name, and so many epochs as are asked for: the run's own check of both is reached
    (tmp_path / "link").symlink_to(tiny_data)
    assert main(["finetune", str(tmp_path / "link"), *words, "--epochs", "0"]) == 1
    assert "TRAIN.NUM_EPOCHS wants at least 1; got 0" in capsys.readouterr().err


@pytest.mark.parametrize("start", [[], ["--model", "lvvit_s"], ["--load", "output/three"]])
def test_the_folder_of_a_run_that_is_not_there_is_named_with_what_names_it(start, tiny_data, tmp_path, monkeypatch,
                                                                          capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", str(tiny_data), "--resume", *start]) == 1
    name = start[1].split("/")[-1] if start else "deit_tiny"
    assert capsys.readouterr().err == (
        f"error: output/finetune_{name}: no run to go on with there; give beside --resume the --model, --load or "
        "--output that it was started with, after which its folder is called\n")


def test_weights_and_none_at_all_are_not_both_a_start(tiny_data, capsys):
    assert main(["finetune", str(tiny_data), "--load", "output/three", "--from-scratch"]) == 1
    assert "--load output/three and --from-scratch contradict each other" in capsys.readouterr().err
