"""`ppim demo`, on fewer pictures and for a step: where its files go, and what it tells."""
import re
import subprocess
import sys

import pytest

from ppim.commands.demo import ARMS, _run, compare
from ppim.config import get_config
from tests.helpers import ROOT, SMALL_DEMO, run_python


def taught(run) -> tuple[bool, float]:
    """Of what a run was taught: were there label maps, and what did the loss of tokens weigh?"""
    config = get_config(run / "config.yaml")
    return config.TOKEN_LABEL.ENABLE, config.LOSS.DENSE_WEIGHT


def test_every_arm_is_trained_and_told_and_the_recipe_finds_the_pictures(tmp_path):
    env = {"PYTHONPATH": str(ROOT)}
    done = run_python("-c", SMALL_DEMO, cwd=tmp_path, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\D+?) +(\d+\.\d)% +(\d+\.\d)% +\d+ s$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == list(ARMS)
    runs = [tmp_path / "output" / "demo" / f"{name.replace(' ', '_')}_seed3" for name in ARMS]
    assert all((run / "last.pdparams").is_file() for run in runs)
    assert [taught(run) for run in runs] == [(True, 1.0), (True, 0.0), (False, 1.0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "output"]
    done = run_python("-m", "ppim", "train", "-c", "lvvit_demo", "-o", "TRAIN.MAX_STEPS", 1, cwd=tmp_path, env=env)
    assert done.returncode == 0 and "40 training and 20 validation images in data/demo/data" in done.stdout, done.stderr


def test_by_itself_it_draws_into_the_folder_it_is_started_in(tmp_path):
    process = subprocess.Popen([sys.executable, ROOT / "tools" / "demo.py"], cwd=tmp_path, text=True,
                               stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline().endswith(f" into {tmp_path / 'data' / 'demo'}\n")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_runs_of_the_same_seed_are_left_alone(tmp_path):
    (tmp_path / "output" / "plain_labels_seed1").mkdir(parents=True)
    with pytest.raises(ValueError, match="demo of seed 1 already"):
        compare(tmp_path / "data", tmp_path / "output", 1, (10, 10))
    assert not (tmp_path / "data").exists()


def test_an_arm_that_fails_ends_the_demo(tmp_path):
    with pytest.raises(ValueError, match="`ppim train` ended with exit code 1"):
        compare(tmp_path / "data", tmp_path / "output", 1, (10, 10), ["TRAIN.MAX_STEP", "1"])


def test_a_folder_called_ppim_where_it_is_started_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "ppim.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert "lvvit_s" in _run("models", stdout=subprocess.PIPE)
