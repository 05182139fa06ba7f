"""Is anything lost? A short share of the campaign: a few faults of each kind in each writer, the same every time."""
from __future__ import annotations

import json
import sys

import pytest

from tests.faults import shim
from tests.faults.results import survived
from tests.faults.tables import COUNTS, PAGES, count, page
from tests.helpers import run_python

pytestmark = pytest.mark.timeout(900)  # about a minute; more where other programs keep the machine busy
PARTS = ("files", "kills", "damage", "clean")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[dict]:
    """What came of every injection."""
    if why := shim.why_not():
        pytest.skip(why)
    results = tmp_path_factory.mktemp("faults") / "faults.jsonl"
    done = run_python("-m", "tests.faults.campaign", "run", "--short", "--results", results, timeout=850)
    assert results.is_file(), done.stdout + done.stderr
    sys.stdout.write(done.stdout)
    return [json.loads(line) for line in results.read_text().splitlines()]


@pytest.mark.parametrize("part", PARTS)
def test_whatever_goes_wrong_all_is_as_if_nothing_had(rows, part):
    mine = [row for row in rows if row["task"]["part"] == part]
    assert mine and (part == "kills" or [row["task"] for row in mine if not row["fired"]] == [])
    assert [row for row in mine if not survived(row)] == []


def test_the_tables_of_the_pages_are_what_was_counted():
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    for language, path in PAGES.items():
        text = path.read_text(encoding="utf-8")
        assert page(text, counts, language) == text
        assert all(counts[part] and f"<!-- faults: {part} -->\n|" in text for part in PARTS)


def test_what_was_lost_is_counted_as_not_survived():
    task = {"part": "files", "writer": "training", "fault": "kill", "at": "x", "via": "fork"}
    good = {"task": task, "fired": True, "crashed": True, "step": 5, "checkpoint": 3, "told": "killed", "torn": [],
            "left": 0, "segments": 0, "lost": [], "litter": []}
    bad = [{"lost": ["run/last.pdparams"]}, {"torn": ["config.yaml"]}, {"left": 1}, {"segments": 2},
           {"told": "badly, 1: Traceback"}, {"told": "hangs"}]
    untidy = {**good, "litter": ["maps/.a.npy.1234"]}
    first, total = count([good, *({**good, **how} for how in bad), untidy])["files"]
    assert first == ["training", "kill", 8, 8, 2, 1, 2] and total[2:] == [8, 8, 2, 1, 2]
