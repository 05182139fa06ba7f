"""What VisualDL's own reader finds in a run folder: the points of log.jsonl, whatever happened in between."""
import json
import struct

import numpy as np
import pytest
from PIL import Image
from visualdl import LogReader

from ppim.engine.log import Log
from ppim.engine.progress import Span
from ppim.engine.run_folder import RunFolder
from ppim.look.drawn import save_png
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


# ---- pictures, and what a run was told -----------------------------------------------------------------------------


def records_of(folder: RunFolder) -> list:
    """The records of the file as VisualDL's own format reads them, (kind, tag, step, content)."""
    from visualdl.proto.record_pb2 import Record

    content, found = folder.curves.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        value = Record.FromString(content[8:8 + length]).values[0]
        kind = value.WhichOneof("one_value")
        found.append((kind, value.tag, value.id, getattr(value, kind)))
        content = content[8 + length:]
    return found


def drawn(folder: RunFolder, log: Log, step: int, kind: str = "tokens") -> bytes:
    """A picture as a run draws one; its bytes."""
    name = f"{kind}_{step:08d}.png"
    save_png(folder.pictures / name, Image.new("RGB", (8, 6), (step, 90, 20)))
    log.record("pictures", step, {kind: name})
    return (folder.pictures / name).read_bytes()


def test_pictures_are_shown_as_they_lie_in_the_folder_and_a_run_that_goes_on_has_each_once(folder):
    log = log_of(folder)
    first = drawn(folder, log, 0, "samples")
    log.record("train", 1, TRAIN)
    kept = [drawn(folder, log, step) for step in (1, 2)]
    drawn(folder, log, 3)  # of a step that is lost
    log.close()
    gone = drawn(folder, log_of(folder, first=4), 4)
    (folder.pictures / "tokens_00000004.png").unlink()
    before = folder.curves.read_bytes()
    log = log_of(folder, first=2)
    assert before.startswith(folder.curves.read_bytes())
    kept.append(drawn(folder, log, 3))
    log.close()
    found = [(tag, step, image.encoded_image_string) for kind, tag, step, image in records_of(folder)
             if kind == "image"]
    assert found == [("pictures/samples", 0, first)] + [("pictures/tokens", n, kept[n - 1]) for n in (1, 2, 3)]
    log_of(folder, first=9).close()
    assert gone not in [getattr(image, "encoded_image_string", b"") for *_, image in records_of(folder)]
    assert LogReader(file_path=str(folder.curves)).get_data("image", "pictures/samples")


def test_a_file_begins_with_the_configuration_and_what_runs_are_compared_by(folder):
    folder.config.write_text("MODEL: {NAME: mine, TRANS: {DEPTH: 2}}\nTOKEN_LABEL: {ENABLE: true}\n"
                             "TRAIN: {BASE_LR: 0.5, GRAD_CLIP: null}\nSEED: 7\n")
    log = log_of(folder)
    log.record("train", 1, TRAIN)
    log.close()
    before = folder.curves.read_bytes()
    log_of(folder, first=1).close()
    assert folder.curves.read_bytes() == before
    (_, *told), told_of = records_of(folder)[:6], {}
    for kind, tag, _, value in told:
        told_of[tag] = value.encoded_text_string if kind == "text" else value
    assert told_of["configuration/MODEL"] == "MODEL.NAME mine;  MODEL.TRANS.DEPTH 2"
    assert told_of["configuration/RUN"] == "SEED 7"
    hparams = {info.name: info for info in told_of["hparam"].hparamInfos}
    assert set(hparams) == {"MODEL/NAME", "TOKEN_LABEL/ENABLE", "TRAIN/BASE_LR", "SEED"}
    assert hparams["TRAIN/BASE_LR"].float_value == 0.5 and hparams["SEED"].int_value == 7
    assert [info.name for info in told_of["hparam"].metricInfos] == ["accuracy_and_loss/top1",
                                                                     "accuracy_and_loss/evaluation_loss"]
    assert [point.id for point in curves(folder.path)["train/lr"]] == [1]


@pytest.mark.parametrize("spoilt", [b"\xff\xfe", b"[1, 2]", b"a: [", b""])
def test_a_spoilt_configuration_is_not_shown_and_stops_no_curve(spoilt, folder):
    folder.config.write_bytes(spoilt)
    log = log_of(folder)
    log.record("train", 1, TRAIN)
    log.close()
    assert {kind for kind, *_ in records_of(folder)} == {"meta_data", "value"}
