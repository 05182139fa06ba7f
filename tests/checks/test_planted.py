"""Mistakes that raise nothing, planted in whole starts of runs: each is named before or within the first step."""
import contextlib
import json
import shutil

import pytest

from ppim.cli import main
from ppim.config import get_config
from ppim.engine.distributed import World
from ppim.engine.run import start
from ppim.engine.train import fit
from tests.checks.planted import MISTAKES, decay_everywhere, nan_channel
from tests.checks.small_runs import draw_data, found_by, mistakes, write_recipe
from tests.checks.sound import RUNS
from tests.helpers import ROOT, launch

# what can be planted together, so that few runs start; tools/benchmark/silent_errors.py plants each by itself
TOGETHER = {
    "our code": [
        "red and blue exchanged in the reader", "another crop and interpolation in evaluation",
        "running average left in after evaluating", "a parameter frozen", "rate scaled to the batch twice",
        "decay on biases and norms", "targets of the photo before", "a dead channel in the stem"],
    "generators": ["views drawn from one generator", "red and blue exchanged on the device"],
    "files": ["axes of square maps exchanged", "validation classes shifted by one",
              "training photos among the validation photos"],
    "weights": ["classes of the loaded weights shifted by one"],
    "loading": ["a block of the file not loaded"],
    "other maps": ["maps of another data set"],
    "maps of the centre": ["maps of the centre crop read as of the whole photo"],
    "maps that say nothing": ["maps without a favourite class", "token loss lost on the way"],
    "maps of logarithms": ["logarithms of some classes' probabilities in place of logits"],
    "an empty folder": ["a class folder without photos"],
}
SOUND = {"all mixes, one for each image", "SGD, clipped, accumulated, no average", "T2T-ViT, token labels",
         "RandAugment, erasing, drop-path, dropout", "a teacher of classes",
         "photos that cannot be read, others stand in", "a large epsilon", "clipped to next to nothing"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("drawn") / "data")


def copied(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "data", copy_function=shutil.copy)


@pytest.mark.parametrize("names", TOGETHER.values(), ids=TOGETHER)
def test_a_planted_mistake_is_named_by_the_check_that_is_meant(drawn, tmp_path, names):
    data, planted = copied(drawn, tmp_path), [mistake for mistake in MISTAKES if mistake.name in names]
    assert len(planted) == len(names)
    keys = [word for mistake in planted if mistake.edit for word in mistake.edit(data)]
    with contextlib.ExitStack() as code:
        for mistake in planted:
            if mistake.planted:
                code.enter_context(mistake.planted())
        found = mistakes(found_by(write_recipe(data), keys))
    assert {mistake.check for mistake in planted} <= {finding.check for finding in found}, found


@pytest.mark.parametrize("case", [case for case in RUNS if case.name in SOUND], ids=lambda case: case.name)
def test_a_sound_configuration_raises_no_alarm(drawn, tmp_path, case):
    data = copied(drawn, tmp_path)
    keys = [*(case.edit(data) if case.edit else []), *case.keys]
    assert mistakes(found_by(write_recipe(data, case.kind), keys)) == []


def test_all_twenty_mistakes_can_be_planted_and_there_are_as_many_sound_runs():
    assert SOUND <= {case.name for case in RUNS}
    assert {mistake.number for mistake in MISTAKES} == set(range(1, 21)) and len(RUNS) >= 20


def test_two_processes_are_told_of_each_others_mistakes(drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    output = tmp_path / "told.json"
    done = launch(2, ROOT / "tests" / "checks" / "launched.py", write_recipe(drawn), output, log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(output.read_text())
    assert {check for check, level, _ in told["nothing"] if level != "fine"} <= {
        "rate and recipe", "photos in both splits"}
    for mistake in MISTAKES:
        if mistake.processes > 1:
            assert [mistake.check, "error"] in [finding[:2] for finding in told[mistake.name]], mistake.name


def test_the_command_tells_what_it_saw_and_leaves_no_file(drawn, tmp_path, capsys):
    save, there = tmp_path / "run", sorted(drawn.rglob("*"))
    words = ["check", "-c", str(write_recipe(drawn)), "-o", "SAVE", str(save)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "places of the label maps" in out and "weights after evaluating" in out and "260 photos, all fit" in out
    with decay_everywhere():
        assert main(words) == 1
    out, err = capsys.readouterr()
    assert "error        weight decay" in out and "the first: weight decay" in err
    assert not save.exists() and sorted(drawn.rglob("*")) == sorted({*there, drawn / "LV-ViT.yaml"})
    assert main([*words, "EVAL.ONLY", "True"]) == 1


def test_a_certain_mistake_stops_a_run_before_it_has_left_a_file_and_may_be_overruled(drawn, tmp_path, capsys):
    recipe, save = write_recipe(drawn), tmp_path / "run"
    config = get_config(recipe, ["SAVE", str(save)])
    with decay_everywhere():
        with pytest.raises(ValueError, match="weight decay.*CHECKS tell"):
            start(config, config, World())
        assert not save.exists()
        told = get_config(recipe, ["SAVE", str(save), "CHECKS", "tell"])
        run, _, _ = start(told, told, World())
        run.close()
    assert "error: weight decay" in capsys.readouterr().out


def test_a_certain_mistake_of_the_first_step_stops_the_run_there_and_leaves_its_folder_free(drawn, tmp_path):
    config = get_config(write_recipe(drawn), ["SAVE", str(tmp_path / "run"), "REPORT_FREQ", "1"])
    with nan_channel():
        run, batches, micro = start(config, config, World())
        with pytest.raises(ValueError, match="channels of the stem"):
            fit(run, batches, micro)
    run.close()
    run.folder.check_free()
    assert run.state.step == 1


@pytest.mark.smoke
def test_watching_the_first_step_changes_nothing(drawn, tmp_path, monkeypatch):
    from ppim.engine import train

    def weights_after(name, steps):
        config = get_config(write_recipe(drawn), ["SAVE", str(tmp_path / name), "MODEL.DROPPATH", "0.2",
                                                  "MODEL.DROPOUT", "0.1", "MIX.TOKEN_ALPHA", "1.0"])
        run, batches, micro = start(config, config, World())
        guard = train.Guard(run)
        for number in range(steps):
            watch = train.FirstStep(run) if name == "watched" and number == 0 else None
            micro = train.one_step(run, batches, micro, guard, watch)
        run.close()
        states = (run.state.model.state_dict(), run.state.ema.state_dict())
        return {f"{i}{key}": value.numpy().tobytes() for i, state in enumerate(states) for key, value in state.items()}

    assert weights_after("watched", 3) == weights_after("plain", 3)
