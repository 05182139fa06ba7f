"""What VisualDL's own reader finds in a run folder: the points of log.jsonl, whatever happened in between."""
import json

import numpy as np
import pytest
from visualdl import LogReader

from ppim.engine.log import Log
from ppim.engine.progress import Span
from ppim.engine.run_folder import RunFolder
from tests.helpers import curves, records

TRAIN = {"epoch": 0.5, "loss": 2.5, "class_loss": 1.5, "token_loss": 1.0, "lr": 0.1, "images_per_second": 9.0,
         "data_wait": 0.25, "peak_memory_mb": 300.0, "loss_scale": 1.0}
EVALUATION = {"epoch": 0.5, "top1": 50.0, "top5": 75.0, "loss": 1.25, "count": 11}


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "output" / "mine")
    folder.prepare()
    return folder


def log_of(folder: RunFolder, first: int = 0, leave_out=("loss_scale",)) -> Log:
    return Log(True, folder, Span(first, 100, 100), leave_out)


def test_what_is_looked_at_most_is_the_first_group_and_constant_numbers_are_no_curves(folder):
    log = log_of(folder)
    log.record("train", 1, TRAIN)
    for event in ("eval_raw", "eval_ema"):
        log.record(event, 1, {**EVALUATION, "token_top1": 25.0})
    log.close()
    tags = list(curves(folder.path))
    first = sorted({tag.split("/")[0] for tag in tags}, key=str.upper)[0]  # the order of VisualDL's page
    assert [tag.split("/")[1] for tag in tags if tag.startswith(f"{first}/")] == [
        "train_loss", "top1", "evaluation_loss", "token_top1", "top1_running_average",
        "evaluation_loss_running_average", "token_top1_running_average"]
    assert {tag for tag in tags if not tag.startswith(f"{first}/")} == {
        "train/class_loss", "train/token_loss", "train/lr", "speed/images_per_second", "speed/data_wait",
        "speed/peak_memory_mb", "evaluation/top5", "evaluation/top5_running_average"}


def test_numbers_that_say_nothing_in_this_run_are_records_and_no_curves(folder):
    log = log_of(folder, leave_out=("class_loss", "token_loss"))
    log.record("train", 1, TRAIN)
    log.close()
    assert {"train/lr", "train/loss_scale"} == {tag for tag in curves(folder.path) if tag.startswith("train/")}
    assert records(folder.path)[0]["token_loss"] == 1.0


def test_a_run_that_goes_on_has_the_whole_curve_and_every_step_once(folder):
    for first, steps in ((0, range(1, 9)), (5, range(6, 8)), (7, range(8, 11))):  # the first died after step 8
        log = log_of(folder, first)
        for step in steps:
            log.record("train", step, {**TRAIN, "loss": first + step / 10})
        log.close()
    wanted = {record["step"]: (record["loss"], record["time"]) for record in records(folder.path)}
    found = curves(folder.path)["accuracy_and_loss/train_loss"]
    assert [point.id for point in found] == list(range(1, 11))
    for point in found:
        loss, time = wanted[point.id]
        assert point.value == np.float32(loss) and point.timestamp == round(1000 * time)


def test_what_stays_keeps_its_bytes_so_that_a_page_that_is_open_goes_on(folder):
    log = log_of(folder)
    for step in (1, 2, 3):
        log.record("train", step, TRAIN)
        log.record("eval_raw", step, EVALUATION)
    log.close()
    before = folder.curves.read_bytes()
    log = log_of(folder, first=3)
    log.record("train", 4, TRAIN)
    log.close()
    after = folder.curves.read_bytes()
    assert after.startswith(before) and len(after) > len(before)


def test_a_line_torn_by_a_crash_is_left_out_of_both_files(folder):
    log = log_of(folder)
    log.record("train", 1, TRAIN)
    log.close()
    with folder.log.open("a") as file:
        file.write('{"event": "train", "step": 2, "lo')
    log = log_of(folder, first=1)
    log.record("train", 2, TRAIN)
    log.close()
    assert [json.loads(line)["step"] for line in folder.log.read_text().splitlines()] == [1, 2]
    assert [point.id for point in curves(folder.path)["train/lr"]] == [1, 2]


@pytest.mark.parametrize("spoilt", [b'{"event": "tr{"event": "train", "step": 2}', bytes(100), b"\xff\xfe", b"7", b"{}",
                                    b'{"event": "train"}'])
def test_a_spoilt_line_in_the_middle_is_passed_over(spoilt, folder):
    log = log_of(folder)
    log.record("train", 1, TRAIN)
    log.close()
    with folder.log.open("ab") as file:
        file.write(spoilt + b"\n")
    for first, step in ((1, 3), (3, 4)):
        log = log_of(folder, first=first)
        log.record("train", step, TRAIN)
        log.close()
    assert [point.id for point in curves(folder.path)["train/lr"]] == [1, 3, 4]


def test_a_run_is_called_by_its_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log_of(folder).close()
    other = RunFolder(tmp_path / "output" / "other")
    other.prepare()
    log_of(other).close()
    assert sorted(LogReader(logdir="output").runs()) == ["output/mine", "output/other"]
