"""The tables of the secondary runs, on made-up runs whose figures are known before."""
import json

import pytest

from tests.helpers import ROOT, load_script

tables = load_script(ROOT / "tools" / "proof" / "collage_secondary_tables.py")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def line(seed, arm, miou=0.0, top1=0.0, failed=None, **more):
    iou = {"ground": 90.0, **{name: float(place) for place, name in enumerate(CLASSES)}}
    return {"seed": seed, "arm": arm, "failed": failed, "probe": {"miou": miou, "iou": iou},
            "evaluation": {"top1": top1, **more}}


def read(tmp_path, secondary, primary=()):
    for name, lines in (("secondary", secondary), ("primary", primary)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in lines))
    return tables.read(tmp_path / "secondary", tmp_path / "primary")


def test_differences_are_of_the_same_pair_and_only_of_pairs_that_have_both(tmp_path):
    runs = read(tmp_path,
                [line(100, "long right", 20, 50), line(101, "long right", 26, 52), line(102, "long right", 99, 99),
                 line(100, "long shuffled", 18, 49), line(101, "long shuffled", 20, 54)])
    found = tables.table(runs, tables.GROUPS["epochs"])
    assert found == [
        "| arm | pairs | mIoU | minus long shuffled | top-1 | minus long shuffled |",
        "|---|---|---|---|---|---|",
        "| long right | 2 | 23.00 | +4.00 (+2.00 .. +6.00) | 51.00 | -0.50 (-2.00 .. +1.00) |",
        "| long shuffled | 2 | 19.00 |  | 51.50 |  |",
    ]


def test_arms_without_the_one_they_are_compared_with_make_no_table(tmp_path):
    assert tables.tables(read(tmp_path, [line(100, "seven right"), line(101, "seven right")])) == ""


def test_primary_runs_stand_beside_secondary_ones_of_their_seed_and_not_alone(tmp_path):
    primary = [line(seed, arm, miou, 0) for seed in range(100, 108) for arm, miou in (("right", 11), ("plain", 8))]
    alone = read(tmp_path, [], primary)
    assert tables.table(alone, tables.GROUPS["labels"]) == [] and tables.tables(alone) == ""
    runs = read(tmp_path, [line(100, "annotator", 10, 1)], primary)
    rows = {row["arm"]: row for row in tables.rows(runs, tables.GROUPS["labels"], tables.MIOU)}
    assert {arm: row["pairs"] for arm, row in rows.items()} == {"right": 4, "annotator": 1, "plain": 4}
    assert rows["annotator"]["differences"] == [2.0] and rows["plain"]["differences"] is None


def test_classes_that_were_trained_and_those_that_were_not_are_told_apart(tmp_path):
    one = read(tmp_path, [line(100, "seven right")])[100, "seven right"]
    assert tables.value(one, tables.KNOWN) == pytest.approx((0 + 1 + 2 + 3 + 4 + 5 + 6) / 7)
    assert tables.value(one, tables.NEW) == pytest.approx((7 + 8 + 9) / 3)


def test_what_failed_or_has_no_such_figure_counts_as_nothing_and_what_stands_twice_is_refused(tmp_path):
    failed = {**line(100, "annotator"), "failed": "exit code 1"}
    del failed["probe"], failed["evaluation"]
    runs = read(tmp_path, [failed, line(101, "annotator", 3, token_top1=7.5)], [line(102, "plain", 3)])
    assert tables.value(runs[100, "annotator"], tables.MIOU) == 0.0
    assert tables.value(runs[101, "annotator"], tables.TOKENS) == 7.5
    assert tables.value(runs[102, "plain"], tables.TOKENS) == 0.0
    with pytest.raises(ValueError, match="seed 100, annotator twice"):
        read(tmp_path, [line(100, "annotator"), line(100, "annotator")])


def test_rates_stand_in_their_columns_and_those_that_have_not_run_as_a_dash(tmp_path):
    told = tables.rates(read(tmp_path, [line(20, "right, rate 5e-4", 7, 17), line(20, "right, rate 2e-3", 9, 19)]))
    assert told[0].split(" | ")[1:4] == ["mIoU at 5e-4", "mIoU at 1e-3", "mIoU at 2e-3"]
    assert told[2:] == ["| right | 7.00 | - | 9.00 | 17.00 | - | 19.00 |"]


def test_every_secondary_arm_is_told_in_one_table():
    of_pairs = {arm for arm in load_script(ROOT / "tools" / "proof" / "collage_secondary.py").ARMS if "rate" not in arm}
    told = [arm for name, group in tables.GROUPS.items() for arm in group.arms if name != "tokens" and arm in of_pairs]
    assert sorted(told) == sorted(of_pairs)


@pytest.mark.parametrize("language", ["en", "cn"])
def test_the_page_says_what_the_runs_gave_once_all_of_a_table_are_in(language):
    page = (ROOT / "docs" / language / "results.md").read_text(encoding="utf-8")
    lines = tables.read(tables.RESULTS, tables.PRIMARY)
    finished = [group for group in tables.GROUPS.values() if tables.is_finished(lines, group)]
    told = [row for group in finished for row in tables.table(lines, group)[2:]]
    told += [row for row in tables.rates(lines)[2:] if " - " not in row]
    assert [row for row in told if row not in page] == []


def test_a_table_is_finished_when_every_pair_of_every_arm_is_in(tmp_path):
    group = tables.GROUPS["mixing"]
    runs = [line(seed, arm) for seed in range(100, 104) for arm in group.arms]
    assert tables.is_finished(read(tmp_path, runs), group)
    assert not any(tables.is_finished(read(tmp_path, runs[:lost] + runs[lost + 1:]), group) for lost in range(12))
