"""What a run says and keeps: lines for a person, records for machines, and nothing from the other processes."""
import json

import pytest
from visualdl import LogReader

from ppim.engine.log import Log
from ppim.engine.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.prepare()
    return made


def entries(folder) -> list[dict]:
    return [json.loads(line) for line in folder.log.read_text().splitlines()]


def test_a_record_is_in_the_file_at_once_and_a_resumed_run_adds_to_it(folder):
    log = Log(True, folder)
    log.record("train", 1, {"loss": 2.5})
    assert [(entry["event"], entry["step"], entry["loss"]) for entry in entries(folder)] == [("train", 1, 2.5)]
    log.close()
    again = Log(True, folder)
    again.record("eval_raw", 2, {"top1": 50.0})
    again.close()
    assert [entry["step"] for entry in entries(folder)] == [1, 2]


def test_numbers_are_points_of_a_curve_and_words_are_not(folder):
    log = Log(True, folder)
    log.record("train", 3, {"loss": 2.5, "weights": "raw", "skipped": True})
    log.close()
    reader = LogReader(file_path=str(next(folder.vdl.iterdir())))
    assert reader.get_tags()["scalar"] == ["train/loss"]
    point, = reader.get_data("scalar", "train/loss")
    assert (point.id, point.value) == (3, 2.5)


def test_all_but_one_process_are_silent_and_write_nothing(folder, capsys):
    log = Log(False, folder)
    log.say("nobody hears this")
    log.progress(1, "nor this", True)
    log.record("train", 1, {"loss": 2.5})
    log.close()
    assert capsys.readouterr().out == "" and not folder.log.exists() and not folder.vdl.exists()


def test_without_a_terminal_steps_are_lines_where_a_report_is_due(folder, capsys):
    log = Log(True, folder, total_steps=9)
    for step in (1, 2, 3):
        log.progress(step, f"step {step} of [9]", step == 2)
    log.close()
    assert capsys.readouterr().out == "step 2 of [9]\n"
