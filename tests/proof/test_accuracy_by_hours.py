"""Hours and accuracy, from logs whose figures are known before."""
import json

import pytest

from tests.helpers import ROOT, load_script

by_hours = load_script(ROOT / "tools" / "proof" / "accuracy_by_hours.py")


def written(folder, *events):
    folder.mkdir()
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def step(number, time, wait=0.0):
    return {"event": "train", "step": number, "time": time, "data_wait": wait}


def evaluation(epoch, time, top1):
    return {"event": "eval_raw", "epoch": epoch, "time": time, "top1": top1}


def test_hours_count_from_the_first_step(tmp_path):
    # 50 steps in 500 s, so the run began at 1000
    run = written(tmp_path / "run", step(50, 1500.0), step(100, 2000.0), evaluation(5.0, 4600.0, 61.5))
    assert by_hours.curve(run / "log.jsonl") == [(5.0, 1.0, 61.5)]


def test_waiting_for_photos_does_not_count(tmp_path):
    run = written(tmp_path / "run", step(50, 900.0), step(100, 1800.0), evaluation(1, 1900.0, 10),
                  step(150, 11800.0, wait=0.9), evaluation(2, 11900.0, 20))
    assert by_hours.curve(run / "log.jsonl") == [(1, pytest.approx(1900 / 3600), 10),
                                                 (2, pytest.approx((1900 + 990 + 100) / 3600), 20)]


def test_runs_stand_beside_each_other_and_what_one_has_not_is_a_dash(tmp_path):
    one = written(tmp_path / "one", step(1, 10.0), step(2, 20.0), evaluation(5.0, 1800.0, 50), evaluation(10, 3600, 60))
    other = written(tmp_path / "other", step(1, 10.0), step(2, 20.0), evaluation(10.0, 7200.0, 70.25))
    assert by_hours.table([one, other]).splitlines() == [
        "| epochs | one: hours | top-1 | other: hours | top-1 |", "|---|---|---|---|---|",
        "| 5 | 0.50 | 50.00 | - | - |", "| 10 | 1.00 | 60.00 | 2.00 | 70.25 |"]


def test_a_log_that_does_not_tell_when_it_began_is_refused(tmp_path):
    run = written(tmp_path / "run", step(50, 1500.0), evaluation(5.0, 4600.0, 61.5))
    with pytest.raises(ValueError, match="wanted two lines of training"):
        by_hours.curve(run / "log.jsonl")
