"""What a run says and keeps: lines for a person, records for machines, and nothing from the other processes."""
import json
import resource
import signal

import pytest

from ppim.engine.log import Log
from ppim.engine.progress import Span
from ppim.engine.run_folder import RunFolder

VALUES = {"epoch": 0.5, "loss": 2.5, "class_loss": 1.5, "token_loss": 1.0, "lr": 0.1, "images_per_second": 10.0,
          "data_wait": 0.1, "peak_memory_mb": 5.0}


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


def test_all_but_one_process_are_silent_and_write_nothing(folder, capsys):
    log = Log(False, folder)
    log.say("nobody hears this")
    log.report(1, VALUES)
    log.record("train", 1, VALUES)
    log.close()
    assert capsys.readouterr().out == "" and not folder.log.exists() and not folder.curves.exists()


def test_a_report_is_a_line_that_says_how_far_it_is(folder, capsys):
    log = Log(True, folder, Span(first=0, last=6, total=9))
    log.at(1)  # without a terminal there is nothing to move
    log.report(3, VALUES)
    log.close()
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch   0.50  step 3/9  loss 2.5000 (class 1.5000, tokens 1.0000)")


def test_a_line_that_cannot_be_written_is_an_error_and_nothing_of_it_stays(folder):
    log = Log(True, folder)
    log.record("train", 1, VALUES)
    size = folder.log.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))  # room for a part of a line, as on a full disk
    try:
        with pytest.raises(OSError, match="too large"):
            log.record("train", 2, VALUES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert folder.log.stat().st_size == size
    log.record("train", 3, VALUES)
    log.close()
    assert [entry["step"] for entry in entries(folder)] == [1, 3]
