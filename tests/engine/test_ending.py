"""Runs that end before their last step, as a normal end: where, what they leave, and how they go on."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ppim.config import get_config
from ppim.engine.command import run
from ppim.engine.distributed import World
from ppim.engine.run import start
from ppim.engine.saving import finish, settle
from ppim.engine.train import fit
from ppim.weights.checkpoints import list_checkpoints, newest_valid
from tests.helpers import ROOT, assert_same_weights, launch, losses, records, weights, write_tiny_recipe

# nothing is learnt, so no evaluation is better than the first
STILL = ["TRAIN.BASE_LR", "0", "TRAIN.WARMUP_START_LR", "0", "TRAIN.END_LR", "0", "TRAIN.NUM_EPOCHS", "8",
         "VALIDATE_FREQ", "1", "SAVE_FREQ", "2", "KEEP_CHECKPOINTS", "9", "DATA.BATCH_SIZE", "8"]  # 3 steps an epoch


def evaluated(folder) -> list[int]:
    return [record["step"] for record in records(folder) if record["event"] == "eval_raw"]


def state_of(checkpoint) -> dict:
    return json.loads((checkpoint / "state.json").read_text())


@pytest.fixture(scope="module")
def stale(tiny_data, tmp_path_factory):
    """Recipe and folder of a run that ends two evaluations after the first, which is the best."""
    root = tmp_path_factory.mktemp("stale")
    config = write_tiny_recipe(root, tiny_data)
    run(str(config), [*STILL, "TRAIN.EARLY_STOP", "2"])
    return str(config), root / "run"


@pytest.fixture
def copied(stale, tmp_path):
    config, folder = stale
    copy = shutil.copytree(folder, tmp_path / "copied")
    return config, copy, [*STILL, "SAVE", str(copy), "MODEL.RESUME", "auto"]


def test_a_run_in_which_nothing_gets_better_ends_saved_and_says_so(stale, tmp_path, capsys):
    config, folder = stale
    assert evaluated(folder) == [3, 6, 9] and list(losses(folder)) == list(range(1, 10))
    assert json.loads((folder / "best.json").read_text())["step"] == 3
    assert [int(path.name[5:]) for path in list_checkpoints(folder / "checkpoints")] == [9, 6]
    assert state_of(newest_valid(folder / "checkpoints")[0])["stale"] == 2
    run(config, [*STILL, "TRAIN.EARLY_STOP", "1", "SAVE", str(tmp_path / "run")])
    said = capsys.readouterr().out.splitlines()
    assert "ends early, after step 6: no better best, evaluations in a row 1 (TRAIN.EARLY_STOP 1)" in said
    assert said[-2].endswith("-o TRAIN.EARLY_STOP 2")
    assert json.loads(said[-1])["best"]["step"] == 3


def test_such_a_run_stays_at_its_end_until_it_is_given_more(copied):
    config, folder, options = copied
    for _ in range(2):
        run(config, [*options, "TRAIN.EARLY_STOP", "2"])
        assert list(losses(folder)) == list(range(1, 10)) and len(list_checkpoints(folder / "checkpoints")) == 2
    run(config, [*options, "TRAIN.EARLY_STOP", "4"])
    assert list(losses(folder)) == list(range(1, 16)) and evaluated(folder)[-2:] == [12, 15]
    run(config, options)
    assert list(losses(folder)) == list(range(1, 25))


@pytest.mark.parametrize("lost", ["the last checkpoint", "the last checkpoint, and the evaluation of the one before"])
def test_a_run_that_was_killed_on_the_way_counts_on(copied, lost):
    config, folder, options = copied
    shutil.rmtree(folder / "checkpoints" / "step_00000009")
    if "evaluation" in lost:
        (folder / "best.json").unlink()
    else:  # as best.json was after the evaluation of the checkpoint that is left, of which the checkpoint cannot know
        card = json.loads((folder / "best.json").read_text())
        (folder / "best.json").write_text(json.dumps({**card, "last": {**card["last"], "step": 6}}))
    assert state_of(folder / "checkpoints" / "step_00000006")["stale"] == 0
    run(config, [*options, "TRAIN.EARLY_STOP", "2"])
    assert max(losses(folder)) == 9 and state_of(folder / "checkpoints" / "step_00000009")["stale"] == 2


def test_a_better_best_starts_the_count_anew(tiny_config, tmp_path):
    options = ["VALIDATE_FREQ", "1", "TRAIN.EARLY_STOP", "3", "TRAIN.NUM_EPOCHS", "9", "DATA.BATCH_SIZE", "8"]
    run(str(tiny_config), options)
    rows = [record for record in records(tmp_path / "run") if record["event"].startswith("eval_")]
    best, count, expected = -1.0, 0, []
    for raw, ema in zip(rows[::2], rows[1::2]):
        found = max(raw["top1"], ema["top1"])
        best, count = (found, 0) if found > best else (best, count + 1)
        expected.append(count)
    assert 3 not in expected[:-1] and 0 in expected[1:] and (expected[-1] == 3) == (len(expected) < 9)
    assert state_of(newest_valid(tmp_path / "run" / "checkpoints")[0])["step"] == 3 * len(expected)


def hurried(started, batches, at: int, hours: float | None = None):
    """The batches; with number `at` so many hours of the run are over, all of them where none are named."""
    for number, batch in enumerate(batches, 1):
        if number == at:
            started.state.clock.before = 3600.0 * (hours or started.config.TRAIN.MAX_HOURS)
        yield batch


def test_a_run_whose_hours_are_over_ends_evaluated_and_goes_on_bit_for_bit_with_more(tiny_config, tmp_path, capsys):
    whole, hours = tmp_path / "whole", ["SAVE", str(tmp_path / "run"), "TRAIN.MAX_HOURS"]
    run(str(tiny_config), ["TRAIN.MAX_STEPS", "6", "SAVE", str(whole)])
    config = get_config(tiny_config, [*hours, "0.5"])
    started, batches, micro = start(config, config, World())
    result = fit(started, hurried(started, batches, 3), micro)
    finish(started)
    started.close()
    batches.close()
    said = capsys.readouterr().out
    assert "ends early, after step 3: 0.5" in said and "hours of training are over (TRAIN.MAX_HOURS 0.5)" in said
    assert result.count == 11 and evaluated(tmp_path / "run") == [3] == sorted(evaluated(tmp_path / "run"))
    newest = newest_valid(tmp_path / "run" / "checkpoints")[0]
    assert newest.name == "step_00000003" and 1800 <= state_of(newest)["seconds"] < 2000
    # the hours are those of all starts together: no step is left, and what to type is told
    result = run(str(tiny_config), [*hours, "0.5", "MODEL.RESUME", "auto"])
    said = capsys.readouterr().out
    assert result.count == 11 and list(losses(tmp_path / "run")) == [1, 2, 3]
    assert "ends early, after step 3" in said
    assert 0.75 <= float(said.splitlines()[-2].rpartition("-o TRAIN.MAX_HOURS ")[2]) < 0.84  # 1.5 times what is over
    run(str(tiny_config), [*hours, "0.75", "MODEL.RESUME", "auto", "TRAIN.MAX_STEPS", "6"])
    assert losses(tmp_path / "run") == losses(whole)
    for name in ("last.pdparams", "last_ema.pdparams"):
        assert_same_weights(tmp_path / "run" / name, whole / name)
    # whose hours are not counted any more keeps those that were
    run(str(tiny_config), [*hours, "0", "MODEL.RESUME", "auto", "TRAIN.MAX_STEPS", "7"])
    assert 1800 <= state_of(newest_valid(tmp_path / "run" / "checkpoints")[0])["seconds"] < 2100


def test_more_hours_than_are_over_already_are_what_is_to_be_typed(tiny_config, tmp_path, capsys):
    options = ["SAVE", str(tmp_path / "run"), "TRAIN.MAX_HOURS", "0.5"]
    config = get_config(tiny_config, options)
    started, batches, micro = start(config, config, World())
    fit(started, hurried(started, batches, 1, hours=2.0), micro)  # a step has taken as long as four budgets
    finish(started)
    started.close()
    batches.close()
    run(str(tiny_config), [*options, "MODEL.RESUME", "auto"])
    further = capsys.readouterr().out.splitlines()[-2].rpartition("-o TRAIN.MAX_HOURS ")[2]
    assert 3 <= float(further) < 3.1 and list(losses(tmp_path / "run")) == [1]


def test_the_last_step_is_no_early_end_and_without_a_budget_nothing_is_counted(tiny_config, tmp_path, capsys):
    config = get_config(tiny_config, ["TRAIN.MAX_HOURS", "1", "TRAIN.MAX_STEPS", "2"])
    started, batches, micro = start(config, config, World())
    settle(started, micro)
    fit(started, hurried(started, batches, 2), micro)
    started.close()
    batches.close()
    assert "ends early" not in capsys.readouterr().out
    run(str(tiny_config), ["TRAIN.MAX_STEPS", "1", "SAVE", str(tmp_path / "plain")])
    assert state_of(tmp_path / "plain" / "checkpoints" / "step_00000001")["seconds"] == 0.0


def test_processes_end_after_the_same_step_and_share_what_fine_tuning_adds(tiny_data, tmp_path):
    config = write_tiny_recipe(tmp_path, tiny_data)
    tuning = ["MODEL.STEM_BN", "frozen", "TRAIN.FREEZE", "1", "TRAIN.LAYER_DECAY", "0.5", "DATA.SAMPLING", "balanced"]
    done = launch(2, ROOT / "tests" / "engine" / "ends_early.py", tmp_path, config, *tuning, "DATA.BATCH_SIZE", "3",
                  log_dir=tmp_path / "log", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    ranks = [dict(np.load(tmp_path / f"rank{rank}.npz")) for rank in range(2)]
    # hours were over for one of them; then, in epochs of 4 steps, the third evaluation is the second without a better
    assert [(*rank["steps"].tolist(), int(rank["stale"])) for rank in ranks] == [(3, 8, 2)] * 2
    assert done.stdout.count("ends early, after step 3") == 1
    run(str(config), [*tuning, "DATA.BATCH_SIZE", "6", "TRAIN.MAX_STEPS", "3", "SAVE", str(tmp_path / "alone")])
    alone = losses(tmp_path / "alone")
    assert {step: losses(tmp_path / "run")[step] for step in alone} == pytest.approx(alone, abs=1e-5)
    for name, value in weights(tmp_path / "alone" / "last.pdparams").items():
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name], err_msg=name)
        np.testing.assert_allclose(ranks[0][name], value, atol=2e-5, err_msg=name)
