"""Several processes through Paddle's launcher: the same samples, the same losses, the same weights."""
import csv
import json
import os
import subprocess
import sys

import numpy as np
import paddle
import pytest
from PIL import Image

from tests.helpers import ROOT, free_port, launch, losses, put_best, result_of, run_python, write_tiny_recipe

SCRIPT = ROOT / "tests" / "engine" / "report_rank.py"
# the conditions under which losses are claimed to be equal: no batch statistics, no drop rates; blocks of a mix reach
# over the borders between processes
EQUAL = ["MODEL.STEM_BN", "frozen", "TRAIN.MAX_STEPS", "20", "TRAIN.NUM_EPOCHS", "8", "TRAIN.MIXUP_ALPHA", "0.8",
         "TRAIN.CUTMIX_ALPHA", "1.0", "TRAIN.RANDOM_ERASE_PROB", "0.5", "MIX.GROUP", "4"]


def ranks_of(folder, count) -> list:
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(count)]


def assert_ranks_agree(ranks):
    for rank in ranks[1:]:
        for name, value in ranks[0].items():
            np.testing.assert_array_equal(value, rank[name], err_msg=name)


@pytest.fixture(scope="module")
def single(tiny_data, tmp_path_factory):
    """One process with batches of 6, 20 steps."""
    root = tmp_path_factory.mktemp("single")
    config = write_tiny_recipe(root, tiny_data)
    done = run_python(SCRIPT, root, config, *EQUAL, "DATA.BATCH_SIZE", "6", env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return config, losses(root / "run"), ranks_of(root, 1)[0]


@pytest.mark.parametrize(("processes", "batch"), [(2, 3), (3, 2)])
def test_the_division_into_processes_changes_nothing(single, tmp_path, processes, batch):
    config, expected, alone = single
    done = launch(processes, SCRIPT, tmp_path, config, *EQUAL, "DATA.BATCH_SIZE", batch, "SAVE", tmp_path / "run",
                  log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(tmp_path / "run") == pytest.approx(expected, abs=1e-5)
    assert len(expected) == 20
    ranks = ranks_of(tmp_path, processes)
    assert_ranks_agree(ranks)
    assert ranks[0]["evaluation"][2] == 11
    np.testing.assert_allclose(ranks[0]["evaluation"], alone["evaluation"], rtol=1e-4)


def test_processes_whose_shares_have_other_statistics_are_one_model_after_every_step(tiny_config, tmp_path):
    done = launch(2, SCRIPT, tmp_path, tiny_config, "TRAIN.MAX_STEPS", "3", "TRAIN.ACCUM_ITER", "2", "DATA.BATCH_SIZE",
                  "2", log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    ranks = ranks_of(tmp_path, 2)
    assert_ranks_agree(ranks)
    assert ranks[0]["statistics"].shape[0] == 3
    assert np.abs(np.diff(ranks[0]["statistics"], axis=0)).max(axis=(1, 2)).min() > 0


def test_more_processes_than_fit_evenly_count_and_report_each_image_once(single, tmp_path):
    config, _, _ = single
    weights = config.parent / "run" / "last.pdparams"
    line = ["tools/train.py", "-c", config, "--load", weights, "--evaluate-only"]
    alone = run_python(*line, "--report", tmp_path / "one", "--dump", tmp_path / "one.csv")
    several = launch(3, *line, "--report", tmp_path / "three", "--dump", tmp_path / "three.csv",
                     "-o", "DATA.BATCH_SIZE_EVAL", "2", log_dir=tmp_path / "log")
    one, three = result_of(alone), result_of(several, launched=True)
    assert three["count"] == 11 and three["top1"] == one["top1"]
    assert three["loss"] == pytest.approx(one["loss"], abs=1e-6)
    for name in ("classes.csv", "confusion.csv", "confusion.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes(), name
    rows = [list(csv.DictReader((tmp_path / f"{name}.csv").open(encoding="utf-8"))) for name in ("one", "three")]
    assert len(rows[0]) == len(rows[1]) == 11
    for mine, theirs in zip(*rows):
        for name, value in mine.items():
            if "probability" in name:
                assert float(value) == pytest.approx(float(theirs[name]), abs=1e-6)
            else:
                assert value == theirs[name]


def test_two_launchers_on_one_machine_are_two_nodes(single, tmp_path):
    config, expected, _ = single
    port = free_port()
    nodes = []
    for rank in range(2):
        folder = tmp_path / f"node{rank}"
        folder.mkdir()
        command = [sys.executable, "-m", "paddle.distributed.launch", "--master", f"127.0.0.1:{port}", "--nnodes", "2",
                   "--nproc_per_node", "1", "--rank", rank, "--log_dir", folder / "log", SCRIPT, folder, config, *EQUAL,
                   "DATA.BATCH_SIZE", "3", "SAVE", tmp_path / "run"]
        nodes.append(subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PPIM_THREADS": "2", "PYTHONPATH": str(ROOT)},
        ))
    outputs = [node.communicate(timeout=150)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(outputs)
    assert losses(tmp_path / "run") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("more", [[], ["--evaluate-only", "--load"]], ids=["training", "evaluation"])
def test_a_node_without_the_photos_tells_the_others(single, tmp_path, more):
    config, _, _ = single
    port, nodes = free_port(), []
    more = [*more, config.parent / "run" / "last.pdparams"] if more else []
    for rank in range(2):
        missing = ["DATA.DATA_PATH", tmp_path / "nowhere"] if rank == 1 else []
        command = [sys.executable, "-m", "paddle.distributed.launch", "--master", f"127.0.0.1:{port}", "--nnodes", "2",
                   "--nproc_per_node", "1", "--rank", rank, "--log_dir", tmp_path / f"log{rank}", "tools/train.py",
                   "-c", config, *more, "-o", *EQUAL, *missing, "DATA.BATCH_SIZE", "3", "SAVE", tmp_path / "run"]
        nodes.append(subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PPIM_THREADS": "1"},
        ))
    outputs = [node.communicate(timeout=150)[0] for node in nodes]
    reason = f"{tmp_path / 'nowhere'}: no such folder; set DATA.DATA_PATH to the images"
    assert f"[process 0] error: [process 1] {reason}\n" in outputs[0]
    assert f"[process 1] error: {reason}\n" in outputs[1]
    assert not any("Traceback" in output for output in outputs), outputs


def test_a_run_goes_on_with_another_number_of_processes(single, tmp_path):
    config, expected, _ = single
    run = tmp_path / "run"
    half = [*EQUAL, "DATA.BATCH_SIZE", "6", "SAVE", run]
    half[half.index("20")] = "9"
    assert run_python("tools/train.py", "-c", config, "-o", *half).returncode == 0
    done = launch(2, "tools/train.py", "-c", config, "--resume", "-o", *EQUAL, "DATA.BATCH_SIZE", "3", "SAVE", run,
                  log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(run) == pytest.approx(expected, abs=1e-5)


def test_several_processes_go_on_elsewhere_with_the_best_of_one(single, tmp_path):
    config, _, _ = single
    half = [*EQUAL, "DATA.BATCH_SIZE", "6", "SAVE", tmp_path / "run"]
    half[half.index("20")] = "8"
    assert run_python("tools/train.py", "-c", config, "-o", *half).returncode == 0
    put_best(tmp_path / "run", {"top1": 101.0, "step": 8, "weights": "raw"}, number=8)
    more = [*EQUAL, "DATA.BATCH_SIZE", "6", "SAVE", tmp_path / "new"]
    more[more.index("20")] = "5"
    done = launch(2, "tools/train.py", "-c", config, "--resume", tmp_path / "run", "-o", *more,
                  log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    best, last = (paddle.load(str(tmp_path / name)) for name in ("new/best.pdparams", "run/last.pdparams"))
    assert all((best[name] == last[name]).all() for name in last)
    card = json.loads((tmp_path / "new" / "best.json").read_text())
    assert (card["top1"], card["step"], card["last"]["step"]) == (101.0, 4, 5)


def test_a_process_that_fails_ends_the_job_saved_and_both_say_why(tiny_data, tiny_config, tmp_path):
    broken = tmp_path / "data"
    for image in sorted(tiny_data.glob("train/*/*.png")):
        target = broken / image.relative_to(tiny_data)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(image).save(target)
    os.symlink(tiny_data / "val", broken / "val")
    victim = broken / "train" / "class1" / "photo.7.png"  # of the fourth step, and not looked at before the first
    victim.write_bytes(victim.read_bytes()[:200])
    done = launch(2, "tools/train.py", "-c", tiny_config, "-o", "DATA.DATA_PATH", broken, "DATA.BATCH_SIZE", "2",
                  log_dir=tmp_path / "log")
    assert done.returncode == 1
    # whichever met it: it stands in both logs, in that of process 0 with what was saved
    last = [(tmp_path / "log" / f"workerlog.{rank}").read_text().splitlines()[-1] for rank in range(2)]
    assert all("error: " in line and f"{victim}: cannot be read as an image" in line for line in last), last
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert [f"; saved after step {int(name[5:])}, go on with --resume" in last[0] for name in saved] == [True]


WAITING = """
import os, signal, sys, threading, time
import paddle.distributed as dist
from ppim.engine.distributed import join_world
from ppim.engine.interrupt import StopRequest

world = join_world()
with StopRequest() as stop:
    if world.rank == 0:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    else:
        time.sleep(3)
    world.barrier()
    print(f"rank {world.rank} met, asked to stop: {stop.requested}", flush=True)
"""


def test_a_signal_does_not_break_the_wait_for_the_other_processes(tmp_path):
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    done = launch(2, script, log_dir=tmp_path / "log")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rank 0 met, asked to stop: 15" in done.stdout
