"""`ppim models` as a process."""
from __future__ import annotations

import json
import subprocess

from ppim import zoo
from tests.helpers import run_python


def ppim_models(*words: str) -> subprocess.CompletedProcess:
    return run_python("-m", "ppim", "models", *words)


def test_the_command_prints_one_json_array_of_all_rows():
    done = ppim_models("--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and [row["name"] for row in rows] == [row.name for row in zoo.ROWS]
    small = next(row for row in rows if row["name"] == "lvvit_s")
    assert (small["parameters"], round(small["macs"] / 1e9, 2), small["image_size"]) == (26_151_824, 6.55, 224)
    assert small["published"]["note"] == "published, not re-measured"
    assert small["weights"][0]["downloaded_by_pretrained"] and small["weights"][0]["url"].startswith("https://bj.bcebos")


def test_the_command_prints_a_table_of_what_matches():
    done = ppim_models("LV-ViT-M")
    lines = [line for line in done.stdout.splitlines() if line.startswith("lvvit")]
    assert [line.split()[0] for line in lines] == ["lvvit_m", "lvvit_m_384", "lvvit_m_448"]
    assert "16.0?" in lines[0] and "55,830,544" in lines[0] and "83.88 / 96.05" in lines[0]
    assert "published, not re-measured" in done.stdout
    assert [line.split()[0] for line in ppim_models("deit_b_dist").stdout.splitlines() if line.startswith("deit")] == [
        "deit_base_distilled", "deit_base_distilled_384"]


def test_the_command_knows_a_model_by_all_its_names():
    for typed in ("deit_base_patch16_384", "deit_b_384"):
        lines = [line.split()[0] for line in ppim_models(typed).stdout.splitlines() if line.startswith("deit")]
        assert lines == ["deit_base_384"]


def test_the_command_says_when_nothing_matches():
    done = ppim_models("resnet")
    assert done.returncode == 1 and "resnet" in done.stderr and len(done.stderr.splitlines()) == 1
