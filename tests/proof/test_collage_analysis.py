"""The analysis on made-up runs, whose answers are known before: exact tests, intervals, the order of the tests."""
import itertools
import json
import math

import numpy as np
import pytest

from tests.helpers import ROOT, load_script

analysis = load_script(ROOT / "tools" / "proof" / "collage_analysis.py")
runs = load_script(ROOT / "tools" / "proof" / "collage_runs.py")


def written(tmp_path, miou, top1=None, **odd):
    """A results file of eight pairs; `miou`: {arm: mean}, with pair effects that cancel in differences."""
    path, rng = tmp_path / "runs.jsonl", np.random.default_rng(0)
    lines = []
    for pair in range(8):
        shared = rng.normal(0, 5)
        for arm, mean in miou.items():
            line = {"pair": pair, "arm": arm, "failed": None,
                    "probe": {"miou": mean + shared + rng.normal(0, 0.5)},
                    "evaluation": {"top1": (top1 or miou)[arm] + shared}}
            lines.append({**line, **odd.get(f"{arm}{pair}", {})})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_exact_p_of_eight_pairs():
    assert analysis.sign_flip_p([1.0] * 8) == 2 / 256
    assert analysis.sign_flip_p([]) == 1.0 and analysis.sign_flip_p([0.0, 0.0]) == 1.0
    values = [3.0, -1.0, 2.0, 0.5]
    means = [abs(sum(s * v for s, v in zip(signs, values))) for signs in itertools.product((1, -1), repeat=4)]
    assert analysis.sign_flip_p(values) == pytest.approx(sum(m >= 4.5 for m in means) / 16)


def test_the_interval_holds_the_means_that_are_not_refused():
    values = np.random.default_rng(2).normal(2, 1, 8)
    low, high = analysis.interval(values)
    assert low < values.mean() < high
    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert analysis.sign_flip_p(values - inside) > 0.05 >= analysis.sign_flip_p(values - outside)
    assert analysis.interval([1.0, 2.0]) == (-math.inf, math.inf)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = [low <= 1.0 <= high for low, high in (analysis.interval(rng.normal(1, 2, 8)) for _ in range(150))]
    assert 0.9 <= np.mean(hits) <= 1.0


def test_a_clear_effect_holds_all_the_way(tmp_path):
    figures = analysis.read(written(tmp_path, {"right": 40, "shuffled": 30, "pooled": 31, "released": 33, "plain": 29}))
    rows = analysis.tested(figures)
    assert [row["verdict"] for row in rows] == ["holds"] * 4
    assert all(row["p"] == 2 / 256 and row["low"] > 5 for row in rows) and rows[0]["mean"] == pytest.approx(10, abs=1)


def test_the_sequence_stops_where_a_test_does_not_hold(tmp_path):
    figures = analysis.read(written(tmp_path, {"right": 40, "shuffled": 30, "pooled": 40, "released": 20, "plain": 20}))
    assert [row["verdict"] for row in analysis.tested(figures)] == [
        "holds", "no difference that matters", *["not tested, one before did not hold"] * 2]
    # an effect the wrong way round stops it as well
    worse = analysis.read(written(tmp_path, {"right": 20, "shuffled": 30, "pooled": 10, "released": 10, "plain": 10}))
    assert analysis.tested(worse)[1]["verdict"].startswith("not tested")


def test_what_failed_counts_as_nothing_and_what_stands_twice_is_refused(tmp_path):
    broken = {"failed": "exit code 1"}
    path = written(tmp_path, {"right": 40, "shuffled": 30}, right3=broken, right5={"probe": {"miou": None}})
    figures = analysis.read(path)
    assert figures[3, "right"] == {"mIoU": 0.0, "top-1": 0.0} and figures[5, "right"]["mIoU"] == 0.0
    assert analysis.tested(figures)[0]["verdict"] != "holds"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="pair 0, right twice"):
        analysis.read(path)


def test_tables_of_made_up_runs(tmp_path):
    miou = {arm: 40 - 3 * index for index, arm in enumerate(runs.ARMS)}
    text = analysis.tables(analysis.read(written(tmp_path, miou)))
    assert "right - shuffled" in text and text.count("\n| ") > 20


def test_every_run_is_planned_once_and_what_is_finished_is_left_out(tmp_path):
    planned = runs.planned()
    assert len(planned) == len(set(planned)) == 8 * len(runs.ARMS)
    assert planned[:4] == [(0, "right"), (0, "shuffled"), (1, "right"), (1, "shuffled")]
    path = written(tmp_path, {"right": 1, "shuffled": 1})
    assert runs.finished(path) == set(planned[:16])
    assert not set(analysis.SEQUENCE) - set(runs.ARMS) and not set(analysis.DISPLACED) - set(runs.ARMS)


@pytest.mark.parametrize("language", ["en", "cn"])
def test_the_page_says_what_the_analysis_says_of_the_runs_that_were_made(language):
    page = (ROOT / "docs" / language / "results.md").read_text(encoding="utf-8")
    told = [line for line in analysis.tables(analysis.read(analysis.RESULTS)).splitlines() if "| 8 |" in line]
    assert any(line.startswith("| right - ") for line in told) and any(line.startswith("| displaced ") for line in told)
    for line in told:
        # the verdict behind p is in the page's language
        figures = line.rpartition(" | ")[0] if line.startswith("| right - ") else line
        assert figures in page, f"{line} does not stand in docs/{language}/results.md"
