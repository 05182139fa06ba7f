"""What ends a run before its time, by real signals: it stops in order, saves, says why and leaves nothing behind."""
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter

import pytest

from ppim.data.batches import TrainBatches
from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples, SampleError, TrainSamples
from ppim.engine.command import run
from ppim.stopping import Stopped
from tests.helpers import (
    ROOT,
    assert_same_weights,
    children_of,
    losses,
    processes_marked,
    records,
    run_python,
    wait_until,
    write_tiny_recipe,
)

TRAIN = "tools/train.py"
TROUBLE = ROOT / "tests" / "engine" / "trouble.py"


@pytest.fixture(autouse=True)
def hears_of_its_terminal():
    """Also where `nohup` has started the tests, and all they start would be deaf to SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


# ---- before training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_while_paddle_is_imported_ends_a_command_in_a_line(tmp_path, name, code):
    (tmp_path / "paddle.py").write_text(f"import os, signal, time\nos.kill(os.getpid(), signal.{name})\ntime.sleep(60)")
    done = run_python(TRAIN, "-c", "lvvit_s", env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (code, "stopped\n")


# ---- one process ---------------------------------------------------------------------------------------------------

# 4 epochs of 3 steps; everything a checkpoint holds takes part, BatchNorm's statistics too
WHOLE = ["VALIDATE_FREQ", "1", "SAVE_FREQ", "1", "TRAIN.ACCUM_ITER", "2", "MODEL.DROPPATH", "0.2"]


@pytest.fixture(scope="module")
def whole(tiny_data, tmp_path_factory):
    """A run that nothing stops."""
    root = tmp_path_factory.mktemp("whole")
    config = write_tiny_recipe(root, tiny_data)
    run(str(config), WHOLE)
    return config, root / "run"


def last_words(folder):
    """What is logged of each evaluation and of each step's losses; a run that goes on may repeat the last ones."""
    return {(entry["event"], entry["step"]): {name: value for name, value in entry.items()
                                              if name in ("loss", "top1", "top5", "count")}
            for entry in records(folder)}


def assert_same_run(one, other):
    for name in ("last", "last_ema", "best"):
        assert_same_weights(one / f"{name}.pdparams", other / f"{name}.pdparams")
    assert json.loads((one / "best.json").read_text()) == json.loads((other / "best.json").read_text())
    assert last_words(one) == last_words(other)


def go_on(config, folder):
    return run(str(config), [*WHOLE, "SAVE", str(folder), "MODEL.RESUME", "auto"])


def raises(error):
    def meet():
        raise error
    return meet


def sends(number):
    return lambda: os.kill(os.getpid(), number)


def plant(monkeypatch, samples, is_it, trouble):
    """Let who makes the sample whose key is so meet with trouble."""
    make = samples.begin

    def troubled(self, key):
        if is_it(key):
            trouble()
        return make(self, key)

    monkeypatch.setattr(samples, "begin", troubled)


TROUBLES = {
    "error": (raises(MemoryError("no room")), "0", "cannot be made a sample (MemoryError: no room)"),
    "killed": (sends(signal.SIGKILL), "1", "was killed while it read"),
    "stopped": (sends(signal.SIGSTOP), "2", "has not got beyond it in 2 s (DATA.TIMEOUT)"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_sample_that_cannot_be_had_ends_a_run_saved_after_its_last_whole_step(whole, tiny_data, tmp_path, monkeypatch,
                                                                                name):
    config, unbroken = whole
    trouble, workers, said = TROUBLES[name]
    # in the second half of the fifth step, when BatchNorm has seen the first
    images = find_images(tiny_data / "train")
    ((_, index, _), *_), = TrainBatches(len(images), 4, seed=0, start=9, stop=10)
    folder = tmp_path / "run"
    options = [*WHOLE, "SAVE_FREQ", "100", "DATA.NUM_WORKERS", workers, "DATA.TIMEOUT", "2", "SAVE", str(folder)]
    with monkeypatch.context() as planted:
        plant(planted, TrainSamples, lambda key: key[:2] == (1, index), trouble)
        with pytest.raises(SampleError) as ended:
            run(str(config), options)
    text = str(ended.value)
    assert said in text and images.paths[index] in text and "\n" not in text
    assert text.endswith("; saved after step 4, go on with --resume")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step_00000004"]
    go_on(config, folder)
    assert_same_run(folder, unbroken)


def test_what_ends_a_run_in_its_first_step_leaves_nothing_to_save(whole, tmp_path, monkeypatch):
    keys, = TrainBatches(24, 4, seed=0, stop=1)
    plant(monkeypatch, TrainSamples, lambda key: key in keys and key[1] not in (0, 1, 11, 23), raises(KeyError("x")))
    with pytest.raises(SampleError) as ended:
        run(str(whole[0]), [*WHOLE, "SAVE", str(tmp_path / "run")])
    assert str(ended.value).endswith("cannot be made a sample (KeyError: 'x')")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_state_that_is_not_finite_is_not_saved_when_a_sample_ends_the_run(whole, tmp_path, monkeypatch):
    (*_, last), = TrainBatches(24, 4, seed=0, start=2, stop=3)  # of the second step, when the first has ruined all
    plant(monkeypatch, TrainSamples, lambda key: key == last, raises(ValueError("bad")))
    options = ["TRAIN.BASE_LR", "1e39", "TRAIN.WARMUP_EPOCHS", "0", "CHECKS", "tell", "SAVE", str(tmp_path / "run")]
    with pytest.raises(SampleError, match=r": bad; the state after step 1 is not finite \(.*\) and was not saved$"):
        run(str(whole[0]), [*WHOLE, *options])
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_bad_validation_image_costs_no_training_and_its_evaluation_is_made_up_for(whole, tmp_path, monkeypatch):
    config, unbroken = whole

    def trouble():
        wait_until((tmp_path / "run" / "checkpoints" / "step_00000003").is_dir)  # it is being written at least
        raise OSError("input/output error")

    with monkeypatch.context() as planted:
        plant(planted, EvalSamples, lambda key: key == 7, trouble)
        with pytest.raises(SampleError, match=r"class1/photo\.3\.png: input/output error; saved after step 3, go on"):
            run(str(config), [*WHOLE, "SAVE", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "best.json").exists()
    go_on(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.parametrize("saves", ["1", "100"])
def test_an_evaluation_asked_to_stop_is_left_to_the_run_that_goes_on(whole, tmp_path, monkeypatch, saves):
    config, unbroken = whole
    with monkeypatch.context() as planted:
        plant(planted, EvalSamples, lambda key: key == 7, sends(signal.SIGTERM))
        with pytest.raises(Stopped, match="after step 3; saved") as stopped:
            run(str(config), [*WHOLE, "SAVE_FREQ", saves, "SAVE", str(tmp_path / "run")])
    assert stopped.value.exit_code == 143
    assert not any(entry["event"].startswith("eval") for entry in records(tmp_path / "run"))
    go_on(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", unbroken)


def test_an_evaluation_that_was_made_is_not_made_again(whole, tmp_path, monkeypatch):
    config, unbroken = whole
    folder = tmp_path / "run"
    keys, = TrainBatches(24, 4, seed=0, start=12, stop=13)  # of the step after the second evaluation
    with monkeypatch.context() as planted:
        plant(planted, TrainSamples, lambda key: key in keys and key[1] != 11, raises(ValueError("bad")))
        with pytest.raises(SampleError, match="saved after step 6"):
            run(str(config), [*WHOLE, "SAVE", str(folder)])
    go_on(config, folder)
    assert_same_run(folder, unbroken)
    evaluated = Counter(entry["step"] for entry in records(folder) if entry["event"] == "eval_raw")
    assert evaluated == {3: 1, 6: 1, 9: 1, 12: 1}


def test_a_second_ctrl_c_stops_a_run_at_once_though_it_hangs(tiny_config, tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, TRAIN, "-c", tiny_config, "-o", "DATA.NUM_WORKERS", "1", "DATA.TIMEOUT", "0", "SAVE", folder,
         "TRAIN.NUM_EPOCHS", "4000"], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: (folder / "log.jsonl").exists() and losses(folder))
    (worker,) = children_of(process.pid)
    os.kill(worker, signal.SIGSTOP)
    made = -1
    while made != len(losses(folder)):  # until it has used up what was ready
        made = len(losses(folder))
        time.sleep(1)
    for _ in range(2):
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
    try:
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (130, (
        "stopped at once by a second signal; what came after the newest checkpoint is lost\n"))


# ---- terminals -----------------------------------------------------------------------------------------------------


def on_terminal(*words):
    """A process of this interpreter whose standard streams are a terminal of its own; and the terminal's other end."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
                               start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                               env={**os.environ, "PPIM_THREADS": "2", "TERM": "xterm"})
    os.close(theirs)
    threading.Thread(target=_read_on, args=(ours,), daemon=True).start()  # or it would be full
    return process, ours


def _read_on(terminal):
    with contextlib.suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass


def test_a_run_whose_terminal_is_closed_saves_and_goes_on_bit_for_bit(whole, tmp_path):
    config, unbroken = whole
    folder = tmp_path / "run"
    words = [TRAIN, "-c", config, "-o", *WHOLE, "SAVE_FREQ", "100", "SAVE", folder, "DATA.NUM_WORKERS", "1"]
    process, terminal = on_terminal(*words)
    wait_until(lambda: (folder / "log.jsonl").exists() and losses(folder))
    workers = children_of(process.pid)
    os.close(terminal)  # the process hears SIGHUP, and what it says comes nowhere
    assert process.wait(60) == 129 and workers
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    saved = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert len(saved) == 1 and 0 < int(saved[0][-2:]) < 12
    go_on(config, folder)
    assert_same_run(folder, unbroken)


def test_a_run_that_is_not_to_hear_of_its_terminal_goes_on(tiny_config, tmp_path):
    """As `nohup` starts it."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, TRAIN, "-c", str(tiny_config), "-o", "SAVE", str(folder)], cwd=ROOT,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
                               stdout=subprocess.DEVNULL, env={**os.environ, "PPIM_THREADS": "2"})
    wait_until(lambda: (folder / "log.jsonl").exists() and losses(folder))
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0


# ---- two processes -------------------------------------------------------------------------------------------------

# no report for many steps: whoever wants to stop together cannot wait for one
TOGETHER = ["MODEL.STEM_BN", "frozen", "DATA.BATCH_SIZE", "2", "DATA.NUM_WORKERS", "1", "DATA.TIMEOUT", "4",
            "TRAIN.NUM_EPOCHS", "400", "SAVE_FREQ", "10000", "VALIDATE_FREQ", "10000", "REPORT_FREQ", "10000"]


def launch_into(trouble, config, folder, *words):
    """Two processes that meet with trouble, and the exit code of their launcher, when all have ended."""
    log = folder.with_name(trouble.replace(":", "-"))
    mark = f"PPIM_TROUBLE={folder}"
    words = ["-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", log, TROUBLE, trouble, config,
             *words, "-o", *TOGETHER, "SAVE", folder]
    launcher = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env={**os.environ, **dict([mark.split("=")]),
                                                                "PPIM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    try:
        launcher.wait(150)
        wait_until(lambda: not processes_marked(mark))
    finally:
        for pid in processes_marked(mark):
            os.kill(pid, signal.SIGKILL)
    logs = [(log / f"workerlog.{rank}").read_text().splitlines() for rank in range(2)]
    return launcher.returncode, *["".join(lines[-1:]) for lines in logs]


def newest_step(folder):
    return int(max((folder / "checkpoints").iterdir()).name.removeprefix("step_"))


def test_two_processes_end_together_whatever_ends_them_and_lose_no_step(tiny_config, tmp_path):
    folder = tmp_path / "run"
    # one is asked to stop: both make the same last step
    code, *said = launch_into("1:5:TERM:self", tiny_config, folder)
    first = newest_step(folder)
    assert code == 143 and first >= 5
    assert said == [f"stopped by a signal after step {first}; saved, go on with --resume"] * 2
    # their launcher dies: they notice
    code, *said = launch_into("0:5:KILL:launcher", tiny_config, folder, "--resume")
    second = newest_step(folder)
    assert code == -signal.SIGKILL and second >= first + 5
    assert said == [f"stopped by a signal after step {second}; saved, go on with --resume"] * 2
    # one hangs in its fifth step, whose gradients both have: the other says so, and saves what both had made
    code, said, _ = launch_into("1:5:STOP:self", tiny_config, folder, "--resume")
    third = newest_step(folder)
    assert code == 1 and said.startswith("[process 0] error: process 1 has shown no sign of life for ")
    assert third == second + 5 and said.endswith(f"; saved after step {third}, go on with --resume")
    # one is killed
    code, said, _ = launch_into("1:5:KILL:self", tiny_config, folder, "--resume")
    fourth = newest_step(folder)
    assert code == 1 and said.startswith("[process 0] error: process 1 is gone or stopped; its log (--log_dir) says")
    assert fourth >= third + 4 and said.endswith(f"; saved after step {fourth}, go on with --resume")

    unbroken = tmp_path / "unbroken"
    code, *said = launch_into("0:0:TERM:self", tiny_config, unbroken, "-o", "TRAIN.MAX_STEPS", fourth)
    assert code == 0, said
    for name in ("last", "last_ema"):
        assert_same_weights(folder / f"{name}.pdparams", unbroken / f"{name}.pdparams")
