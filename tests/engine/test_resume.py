"""Where a run goes on, in which folder, and what that folder holds afterwards. One short run, copied and spoilt."""
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading

import paddle
import pytest

from ppim.commands.train import train as ppim_train
from ppim.config import altered, get_config
from ppim.engine.checked import QUICK
from ppim.engine.command import run
from ppim.engine.distributed import World
from ppim.engine.lock import FolderLock
from ppim.engine.rehearsal import rehearse
from ppim.engine.run import start
from ppim.engine.saving import settle
from ppim.engine.train import fit
from ppim.weights.checkpoints import find_fault, list_checkpoints, newest_valid
from ppim.weights.run_folders import weights_in
from tests.helpers import ROOT, assert_same_weights, curves, losses, put_best, write_tiny_recipe

NEWEST = ("last.pdparams", "last_ema.pdparams")
BEST = ("best.pdparams", "best.json")
OPTIONS = ["TRAIN.MAX_STEPS", "6", "SAVE_STEPS", "2", "KEEP_CHECKPOINTS", "3"]


@pytest.fixture(scope="module")
def whole(tiny_data, tmp_path_factory):
    """Recipe and folder of a run of 6 steps with checkpoints at 2, 4 and 6, evaluated at its end."""
    root = tmp_path_factory.mktemp("whole")
    config = write_tiny_recipe(root, tiny_data)
    run(str(config), OPTIONS)
    return str(config), root / "run"


@pytest.fixture
def copied(whole, tmp_path):
    """The same with a folder of one's own, and the options to go on in it."""
    config, folder = whole
    copy = shutil.copytree(folder, tmp_path / "copied")
    return config, copy, [*OPTIONS, "SAVE", str(copy), "MODEL.RESUME", "auto"]


def steps_in(folder) -> list[int]:
    return [int(path.name[5:]) for path in list_checkpoints(folder / "checkpoints")]


def assert_same_bytes(folder, other, names=(*NEWEST, *BEST)):
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def damage(checkpoint):
    (checkpoint / "MANIFEST").write_bytes(b"")


@pytest.mark.parametrize("lost", ["missing", "of an earlier step"])
def test_a_finished_run_is_completed_from_its_last_checkpoint(whole, copied, lost):
    config, folder, options = copied
    for name in (*NEWEST, *BEST):
        if lost == "missing":
            (folder / name).unlink()
        elif name in NEWEST:
            (folder / name).write_bytes(b"as it was at step 4")
    result = run(config, options)
    assert_same_bytes(folder, whole[1])
    assert json.loads((folder / "best.json").read_text())["last"]["raw"]["count"] == result.count == 11
    assert steps_in(folder) == [6, 4, 2]


def test_a_run_that_goes_on_without_a_running_average_does_not_leave_its_old_one_among_its_newest_weights(
        copied, capsys):
    config, folder, options = copied
    old = (folder / "last_ema.pdparams").read_bytes()
    run(config, [*options, "TRAIN.MAX_STEPS", "7", "TRAIN.MODEL_EMA", "False"])
    assert "last_ema.pdparams is of step 6 or before" in capsys.readouterr().out
    assert (folder / "last_ema.pdparams.aside").read_bytes() == old
    shutil.rmtree(folder / "checkpoints")  # as people do to save room
    assert weights_in(folder) == (folder / "last.pdparams", "raw")


def test_a_damaged_newest_checkpoint_is_set_aside_and_the_run_ends_as_if_it_never_was(whole, copied, capsys):
    config, folder, options = copied
    damage(folder / "checkpoints" / "step_00000006")
    run(config, [*options, "KEEP_CHECKPOINTS", "2"])
    said = capsys.readouterr().out
    assert "step_00000006: MANIFEST is damaged" in said and "set aside as step_00000006.aside" in said
    assert_same_bytes(folder, whole[1])
    assert steps_in(folder) == [6, 4] and newest_valid(folder / "checkpoints")[1] == []
    assert (folder / "checkpoints" / "step_00000006.aside" / "MANIFEST").read_bytes() == b""


def test_a_damaged_checkpoint_of_a_higher_number_does_not_come_back(copied):
    config, folder, options = copied
    checkpoints = folder / "checkpoints"
    for number in (8, 9):
        shutil.copytree(checkpoints / "step_00000006", checkpoints / f"step_0000000{number}")
        damage(checkpoints / f"step_0000000{number}")
    run(config, [*options, "TRAIN.MAX_STEPS", "7", "KEEP_CHECKPOINTS", "2"])
    assert steps_in(folder) == [7, 6]
    assert all(find_fault(path) is None for path in list_checkpoints(checkpoints))
    assert {path.name for path in checkpoints.glob("*.aside")} == {"step_00000008.aside", "step_00000009.aside"}


@pytest.mark.parametrize(("batch", "now"), [(8, 3), (12, 2)])
def test_steps_counted_anew_in_larger_batches_do_not_lose_to_the_old_count(copied, batch, now):
    config, folder, options = copied
    options = [*options, "DATA.BATCH_SIZE", str(batch)]  # step 6 of 4 images is step 3 of 8 and step 2 of 12

    def position():
        newest = newest_valid(folder / "checkpoints")[0]
        state = json.loads((newest / "state.json").read_text())
        return state["step"], state["epoch"], state["offset"], int(newest.name[5:])

    run(config, [*options, "TRAIN.MAX_STEPS", str(now)])
    assert position() == (now, 1, 0, now) and (folder / "checkpoints" / "step_00000006.aside").is_dir()
    run(config, [*options, "TRAIN.MAX_STEPS", str(now + 1)])
    assert position() == (now + 1, 1, batch, now + 1)


@pytest.mark.parametrize(("batch", "first"), [(8, 3), (2, 12)])
def test_curves_are_whole_where_steps_are_counted_anew(whole, copied, batch, first):
    config, folder, options = copied
    for last in (first + 1, first + 2):  # the second goes on in a folder that was logged in both batches
        run(config, [*options, "DATA.BATCH_SIZE", str(batch), "TRAIN.MAX_STEPS", str(last)])
    found = {point.id: point.value for point in curves(folder)["accuracy_and_loss/train_loss"]}
    # where a step of today was two, the second counts
    before = {step * 4 // batch: loss for step, loss in losses(whole[1]).items() if step * 4 % batch == 0}
    after = {step: loss for step, loss in losses(folder).items() if step in (first + 1, first + 2)}
    assert found == pytest.approx({**before, **after})
    assert [point.id for point in curves(folder)["accuracy_and_loss/top1"]] == [first, first + 1, first + 2]


def test_an_earlier_checkpoint_is_refused_in_its_folder_and_goes_on_in_a_new_one(whole, copied, tmp_path):
    config, folder, options = copied
    earlier = folder / "checkpoints" / "step_00000002"
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError) as refused:
        run(config, [*OPTIONS, "SAVE", str(folder), "MODEL.RESUME", str(earlier)])
    told = f"--resume {earlier} -o SAVE {folder}_2"
    assert str(refused.value).endswith(f"start a new folder: {told}") and "step_00000006" in str(refused.value)
    assert {*before, folder / ".lock"} == set(folder.rglob("*")) and steps_in(folder) == [6, 4, 2]

    # typed as told, but killed before the first step was saved: the folder already knows where it stands
    branch = tmp_path / "copied_2"
    resumed = get_config(config, [*OPTIONS, "SAVE", str(branch), "MODEL.RESUME", str(earlier)])
    killed, _, micro = start(resumed, resumed, World())
    settle(killed, micro)
    killed.close()
    assert steps_in(branch) == [2]
    ppim_train(["--resume", str(branch)])
    assert_same_bytes(branch, whole[1])
    assert steps_in(branch) == [6, 4, 2] and losses(branch).keys() == {3, 4, 5, 6}


def test_the_newest_usable_checkpoint_may_be_named(copied):
    config, folder, options = copied
    damage(folder / "checkpoints" / "step_00000006")
    run(config, [*options, "MODEL.RESUME", str(folder / "checkpoints" / "step_00000004")])
    assert steps_in(folder) == [6, 4, 2]


def test_a_run_of_elsewhere_is_refused_in_a_used_folder(whole, copied):
    config, folder, options = copied
    for named in (whole[1], whole[1] / "checkpoints" / "step_00000006"):
        with pytest.raises(ValueError) as refused:
            run(config, [*options, "MODEL.RESUME", str(named)])
        assert f"--resume {named} -o SAVE {folder}_2" in str(refused.value)
    assert steps_in(folder) == [6, 4, 2]


def test_a_copy_that_a_user_made_of_a_checkpoint_is_not_resumed_from_by_itself(copied):
    config, folder, options = copied
    mine = folder / "checkpoints" / "step_00000009_mine"
    shutil.copytree(folder / "checkpoints" / "step_00000002", mine)
    run(config, [*options, "TRAIN.MAX_STEPS", "8", "KEEP_CHECKPOINTS", "2"])
    assert steps_in(folder) == [8, 6] and find_fault(mine) is None
    with pytest.raises(ValueError, match="-o SAVE"):
        run(config, [*options, "MODEL.RESUME", str(mine)])


def test_a_best_whose_weights_are_not_in_the_folder_is_not_spoken_of(copied, tmp_path, capsys):
    config, folder, _ = copied
    new = tmp_path / "new"
    put_best(folder, {"top1": 101.0, "step": 5})
    run(config, [*OPTIONS, "SAVE", str(new), "MODEL.RESUME", str(folder), "TRAIN.MAX_STEPS", "7"])
    assert "of step 5: the best is chosen anew" in capsys.readouterr().out
    assert json.loads((new / "best.json").read_text())["step"] == 7 and (new / "best.pdparams").is_file()


def test_the_best_of_steps_that_are_lost_is_not_told_as_an_earlier_one(copied, capsys):
    config, folder, options = copied
    damage(folder / "checkpoints" / "step_00000006")  # of which best.pdparams is
    put_best(folder, {"top1": 100.0, "step": 2, "epoch": 0.3333}, number=4)
    run(config, [*options, "TRAIN.MAX_STEPS", "5"])
    assert "of step 2: the best is chosen anew" in capsys.readouterr().out
    card = json.loads((folder / "best.json").read_text())
    assert card["step"] == 5
    assert_same_weights(folder / "best.pdparams", folder / dict(zip(("raw", "ema"), NEWEST))[card["weights"]])


def test_a_best_is_known_by_its_step_where_steps_are_counted_anew(whole, copied, tmp_path, capsys):
    config, folder, _ = copied
    # step 6 of 4 images is step 3 of 8: another than the step 3 at which this best was
    put_best(folder, {"top1": 101.0, "step": 3})
    options = [*OPTIONS, "MODEL.RESUME", str(folder), "DATA.BATCH_SIZE", "8", "TRAIN.MAX_STEPS", "4"]
    run(config, [*options, "SAVE", str(tmp_path / "other")])
    assert "of step 1: the best is chosen anew" in capsys.readouterr().out
    assert json.loads((tmp_path / "other" / "best.json").read_text())["step"] == 4

    put_best(folder, {"top1": 101.0, "step": 6, "weights": "raw"})
    run(config, [*options, "SAVE", str(tmp_path / "same")])
    card = json.loads((tmp_path / "same" / "best.json").read_text())
    assert (card["top1"], card["step"], card["last"]["step"]) == (101.0, 3, 4)
    best, last = (paddle.load(str(path)) for path in (tmp_path / "same" / "best.pdparams", whole[1] / "last.pdparams"))
    assert best.keys() == last.keys() and all((best[name] == last[name]).all() for name in best)


def test_the_last_evaluation_counts_where_steps_are_counted_anew(whole, copied):
    config, folder, options = copied
    card = json.loads((folder / "best.json").read_text())
    (folder / "best.json").write_text(json.dumps({**card, "top1": 91.0}))
    run(config, [*options, "DATA.BATCH_SIZE", "8", "TRAIN.MAX_STEPS", "4"])
    after = json.loads((folder / "best.json").read_text())
    assert (after["top1"], after["step"], after["last"]["step"]) == (91.0, 3, 4)
    assert_same_bytes(folder, whole[1], ["best.pdparams"])


def test_a_rehearsal_goes_on_where_training_would(copied, tmp_path):
    config, folder, options = copied
    assert [finding.level for finding in rehearsed(config, options) if finding.check == "first step"] == ["unknown"]
    for keys in (["TRAIN.MAX_STEPS", "4"], ["TRAIN.MAX_STEPS", "6"]):
        (found,) = [finding for finding in rehearsed(config, [*options, *keys]) if finding.check == "first step"]
        assert f"step 6 of {keys[1]}: none is left" in found.text
    assert all(finding.level == "fine" or finding.check != "first step"
               for finding in rehearsed(config, [*options, "TRAIN.MAX_STEPS", "7"]))
    # nothing to go on from yet: as training, it starts anew
    assert rehearsed(config, [*OPTIONS, "SAVE", str(tmp_path / "new"), "MODEL.RESUME", "auto"])
    assert steps_in(folder) == [6, 4, 2] and not (tmp_path / "new").exists()


def rehearsed(config, options) -> list:
    return rehearse(get_config(config, options), get_config(config), World(), QUICK)


def test_a_run_whose_limit_lies_behind_it_evaluates_and_ends(copied):
    config, folder, options = copied
    assert run(config, [*options, "TRAIN.MAX_STEPS", "4"]).count == 11
    assert steps_in(folder) == [6, 4, 2]


def test_a_run_named_without_a_recipe_goes_on_as_itself_where_it_lies(whole, copied, capsys):
    _, folder, _ = copied
    before = (whole[1] / "log.jsonl").read_bytes()
    own = folder / "config.yaml"
    own.write_text(own.read_text().replace("REPORT_FREQ: ", "REPORT_FREQ: 1"))
    ppim_train(["--resume", str(folder), "-o", "TRAIN.MAX_STEPS", "7"])
    said = capsys.readouterr().out
    assert f"{own} has been edited or damaged" in said and altered(own) == []
    assert f"recipe: {folder / 'config.yaml'}" in said and f"writing to {folder}" in said
    assert steps_in(folder) == [7, 6, 4] and get_config(folder / "config.yaml").SAVE_STEPS == 2
    assert (whole[1] / "log.jsonl").read_bytes() == before


def test_what_was_typed_for_the_first_start_and_is_left_out_of_the_next_is_told(whole, tmp_path, capsys):
    config, save = whole[0], ["SAVE", str(tmp_path / "run"), "DATA.NUM_WORKERS", "0", "TRAIN.MAX_STEPS"]
    typed = ["SEED", "3", "TRAIN.BASE_LR", "0.002", "TOKEN_LABEL.FILL", "ignore"]
    told = "differs from the run so far: "
    run(config, [*save, "1", *typed])
    run(config, [*save, "2", *typed, "MODEL.RESUME", "auto"])
    said = capsys.readouterr().out
    assert told not in said and said.count("differs from the recipe: TRAIN.BASE_LR 0.002 (0.01)") == 2
    run(config, [*save, "3", "MODEL.RESUME", str(tmp_path / "run")])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(told)]
    assert sorted(line[len(told):].split(", ")) == ["SEED 0 (3)", "TOKEN_LABEL.FILL uniform (ignore)",
                                                    "TRAIN.BASE_LR 0.01 (0.002)"]
    run(config, [*save, "4", "TRAIN.BASE_LR", "0.005", "SEED", "4", "MODEL.RESUME", "auto"])
    said = capsys.readouterr().out
    # the rate that is not the recipe's is told as that, once
    assert f"{told}SEED 4 (0)\n" in said and said.count("TRAIN.BASE_LR 0.005 (0.01)") == 1


def test_what_is_no_run_asks_for_a_recipe(whole, tmp_path, capsys):
    shutil.copytree(whole[1] / "checkpoints" / "step_00000006", tmp_path / "step_00000006")
    with pytest.raises(ValueError, match="give the recipe as well, with -c"):
        ppim_train(["--resume", str(tmp_path / "step_00000006")])
    with pytest.raises(SystemExit):
        ppim_train(["--resume"])
    assert "give a recipe" in capsys.readouterr().err


def test_a_folder_in_use_is_refused_by_name_and_yet_evaluated(copied):
    config, folder, options = copied
    lock = FolderLock()
    lock.take(folder, "")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for resume in (["MODEL.RESUME", "auto"], []):
        with pytest.raises(ValueError, match=f"{folder} is in use by process {os.getpid()} on .*-o SAVE {folder}_2"):
            run(config, [*OPTIONS, "SAVE", str(folder), *resume])
    assert run(config, [*options, "EVAL.ONLY", "True"]).count == 11
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    lock.release()
    run(config, options)


def test_of_two_starts_at_once_in_a_new_folder_one_trains_and_the_other_is_told(whole, tmp_path):
    command = [sys.executable, "tools/train.py", "-c", whole[0], "-o", *OPTIONS, "SAVE", str(tmp_path / "run")]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, "PPIM_THREADS": "1"}) for _ in range(2)]
    told = {process.communicate(timeout=120)[1]: process.returncode for process in both}
    assert sorted(told.values()) == [0, 1], told
    (line,) = (stderr.strip() for stderr, code in told.items() if code)
    assert line.startswith(f"error: {tmp_path / 'run'} ") and "\n" not in line
    assert f"-o SAVE {tmp_path / 'run'}_2" in line
    assert list(losses(tmp_path / "run")) == [1, 2, 3, 4, 5, 6] and steps_in(tmp_path / "run") == [6, 4, 2]


def test_a_start_that_fails_makes_no_folder_and_keeps_no_lock(whole, copied, tmp_path):
    config, folder, options = copied
    with pytest.raises(FileNotFoundError):
        run(config, [*OPTIONS, "SAVE", str(tmp_path / "new"), "DATA.DATA_PATH", str(tmp_path / "nowhere")])
    assert not (tmp_path / "new").exists()
    with pytest.raises(FileNotFoundError):
        run(config, [*options, "DATA.DATA_PATH", str(tmp_path / "nowhere")])
    run(config, options)


@pytest.mark.parametrize("locks", [True, False])
def test_what_dead_writers_left_goes_and_nothing_else(copied, monkeypatch, locks):
    config, folder, options = copied
    litter = [".last.pdparams.4242", ".best.json.1", ".config.yaml.77", "checkpoints/.step_00000003.99/state.json",
              "checkpoints/.step_00000003.99.old/state.json"]
    users = [".notes.1", ".last.pdparams.bak", "last.pdparams.4242", "checkpoints/.step_00000003.mine/state.json"]
    for name in (*litter, *users):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    if not locks:
        def unsupported(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", unsupported)
    run(config, options)
    assert all((folder / name).exists() for name in users)
    # without a lock it may be a living process's
    assert [(folder / name).exists() for name in litter] == [not locks] * len(litter)


def test_all_files_have_the_mode_that_new_files_have(whole, tmp_path):
    (tmp_path / "new").touch()
    files = [path for path in whole[1].rglob("*") if path.is_file()]
    assert len(files) > 20
    assert {path.stat().st_mode for path in files} == {(tmp_path / "new").stat().st_mode}


def test_no_step_waits_for_the_disk(whole, tmp_path, monkeypatch):
    config = get_config(whole[0], [*OPTIONS, "SAVE", str(tmp_path / "run")])
    started, batches, micro = start(config, config, World())
    fsync, waiting = os.fsync, []

    def watched(handle):
        waiting.append(threading.current_thread() is threading.main_thread())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    fit(started, batches, micro)
    started.close()
    assert len(waiting) > 20 and not any(waiting)
    assert_same_bytes(tmp_path / "run", whole[1])


def test_a_run_that_cannot_write_stops_and_says_so(whole, tmp_path):
    folder = tmp_path / "run"
    config = get_config(whole[0], ["SAVE_STEPS", "1", "SAVE", str(folder)])
    started, batches, micro = start(config, config, World())

    def spoiling():
        for number, batch in enumerate(batches):
            if number == 2:
                started.writer.wait()
                shutil.rmtree(folder / "checkpoints")
                (folder / "checkpoints").write_text("in the way")
            yield batch

    with pytest.raises(ValueError, match="cannot write checkpoint .*step_00000003"):
        fit(started, spoiling(), micro)
    assert started.state.step < 6
    started.close()


def test_a_run_that_ends_badly_ends_when_all_is_written(whole, tmp_path):
    config = get_config(whole[0], [*OPTIONS, "SAVE", str(tmp_path / "run")])
    started, _, _ = start(config, config, World())
    written = threading.Event()
    threading.Timer(0.3, written.set).start()
    started.writer.start(lambda: written.wait(60))
    started.close()
    assert written.is_set()
    FolderLock().take(tmp_path / "run", "")
