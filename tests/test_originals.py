"""Every recipe against the commands and defaults of the code it comes from (tests/originals.yaml), value by value; and
what is said about a recipe against what it is: the figure in its head, the list of its departures."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from ppim import zoo
from ppim.config import get_config, published_recipes
from ppim.engine.schedule import schedule_of
from ppim.zoo.departures import departures_of, groups
from tests.helpers import ROOT, flat, run_python

ORIGINALS = yaml.safe_load((Path(__file__).parent / "originals.yaml").read_text(encoding="utf-8"))
RECIPES = published_recipes()
GROUPS = groups()
OWN = GROUPS["without_original"]
COPIED = [name for name in RECIPES if name not in OWN]
CLASSIFIERS = [name for name in COPIED if name not in GROUPS["segment"]]
PHOTOS = 1_281_167  # training images of ImageNet-1k
each_recipe = pytest.mark.parametrize("name", COPIED)
each_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


def rows(name: str) -> dict[str, dict]:
    """The originals' rows of a recipe by their keys; a later entry's row replaces an earlier one's."""
    found = {}
    for entry in ORIGINALS:
        if any(name in GROUPS.get(group, [group]) for group in entry["recipes"]):
            found.update({row["key"]: row for row in entry["rows"]})
    return found


def processes(name: str) -> int:
    """As many as the head of the recipe says."""
    return int(re.search(r"^# Batch: +(\d+) x \d+ images", RECIPES[name].read_text(encoding="utf-8"), re.MULTILINE)[1])


def ours(name: str) -> dict[str, object]:
    """Every key of the resolved recipe, its batch, and its learning rates at that batch."""
    config = get_config(RECIPES[name])
    batch = processes(name) * config.DATA.BATCH_SIZE * config.TRAIN.ACCUM_ITER
    schedule = schedule_of(config, batch)
    found = {"batch": batch, "rate start": schedule.at(0), "rate peak": schedule.base}
    found["rate end"] = schedule.at(config.TRAIN.NUM_EPOCHS + config.TRAIN.COOLDOWN_EPOCHS)
    return {**found, **flat(config)}


def same(one: object, other: object) -> bool:
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        return one == pytest.approx(other, rel=1e-12)
    return one == other


# ---- recipes against the originals ---------------------------------------------------------------------------------


@each_recipe
def test_a_recipe_is_the_originals_but_for_what_is_listed(name):
    mine, listed = ours(name), {departure.what: departure for departure in departures_of(name)}
    for key, row in rows(name).items():
        departure = listed.get(key)
        if departure is None:
            assert same(mine[key], row["value"]), f"{name}: {key} is {mine[key]!r}, {row['value']!r} in {row['source']}"
        else:
            assert (departure.theirs, departure.ours) == (row["value"], mine[key]), f"{name}: {key} is listed otherwise"
            assert departure.theirs != departure.ours


@each_recipe
def test_what_is_listed_as_a_key_is_compared(name):
    keys = {departure.what for departure in departures_of(name) if re.fullmatch(r"[A-Z_.]+", departure.what)}
    assert keys <= set(rows(name))


@each_classifier
def test_every_recipe_is_compared_on_the_same_keys(name):
    of_maps = {key for key in rows("lvvit_s") if key.startswith(("TOKEN_LABEL.", "LOSS."))} - {"TOKEN_LABEL.ENABLE"}
    missing = set(rows("lvvit_s")) - set(rows(name))
    assert missing == (set() if ours(name)["TOKEN_LABEL.ENABLE"] else of_maps)
    assert set(rows(name)) <= set(rows("lvvit_s")) <= set(ours(name))


@pytest.mark.parametrize("name", GROUPS["segment"])
def test_every_segmenters_recipe_is_compared_on_the_same_keys(name):
    decides = {key for key in ours(name) if key.startswith("SEGMENT.")} - {"SEGMENT.MASKS"}
    assert decides <= set(rows(name)) == set(rows("upernet_lvvit_s")) <= set(ours(name))


def test_a_recipe_has_an_original_or_is_listed_as_our_own():
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(RECIPES)
    assert not any(rows(name) or departures_of(name) for name in OWN)
    named = {name for entry in ORIGINALS for group in entry["recipes"] for name in GROUPS.get(group, [group])}
    assert named == set(COPIED)


def test_every_row_says_where_it_was_read():
    for row in (row for entry in ORIGINALS for row in entry["rows"]):
        assert set(row) == {"flag", "theirs", "key", "value", "source"}
        # the absence of something has no line
        line = "(:[0-9]+)?" if row["flag"] == "none" else ":[0-9]+"
        assert re.fullmatch(rf"[\w-]+/[\w-]+(@[0-9a-f]{{7}} [\w./-]+{line}| issue [0-9]+)", row["source"]), row


@pytest.mark.parametrize(
    ("name", "rates"),
    [("deit_small", (1e-6, 1e-3, 1e-5)), ("deit_tiny_distilled", (1e-6, 1e-3, 1e-5)),
     ("deit_base_tla", (1e-6, 1e-3, 1e-5)), ("deit_base_384", (1e-6, 5e-6, 5e-6)),
     ("lvvit_s", (1e-6, 1.6e-3, 1e-5)), ("lvvit_l_512", (1e-6, 5e-6, 5e-6)), ("t2t_vit_7", (1e-6, 1e-3, 1e-5))],
)
def test_rates_start_rise_and_end_as_the_authors_have_them(name, rates):
    assert [ours(name)[f"rate {part}"] for part in ("start", "peak", "end")] == pytest.approx(rates, rel=1e-12)


# ---- what is said of a recipe --------------------------------------------------------------------------------------


@each_classifier
def test_the_head_quotes_the_figure_of_the_recipes_own_view(name):
    config, text = get_config(RECIPES[name]), RECIPES[name].read_text(encoding="utf-8")
    said = re.search(r"^# Top-1: +(.*)$", text, re.MULTILINE)[1]
    figures = re.match(r"([\d.]+)(?:, top-5 ([\d.]+))? at crop ([\d.]+)", said)
    row = zoo.find(config.MODEL.NAME)
    here = [(a.top1, a.top5) for a in row.accuracy if a.crop_pct == config.DATA.CROP_PCT]
    if name in GROUPS["tl_align"]:  # weights of another training
        assert not figures and "README" in said
    elif not here:
        assert not figures
    else:
        top1, top5, crop = (None if part is None else float(part) for part in figures.groups())
        assert (top1, top5) in here and crop == config.DATA.CROP_PCT
    assert row.files or "released weights" not in said


def test_the_warm_up_of_the_average_rules_as_long_as_is_said():
    def first_step_with(decay):
        """By walking along the formula, not by solving it."""
        low, high = 0, 10**7
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if (1 + middle) / (10 + middle) >= decay else (middle + 1, high)
        return low

    lengths = {}
    for name in COPIED:
        mine = ours(name)
        if mine["TRAIN.MODEL_EMA"]:
            steps = first_step_with(mine["TRAIN.MODEL_EMA_DECAY"])
            lengths[name] = (steps, round(steps / (PHOTOS // mine["batch"])))
    assert {lengths[name] for name in GROUPS["lvvit"]} == {(112_490, 90)}
    assert {lengths[name] for name in GROUPS["deit"]} == {(224_990, 180)}
    assert {lengths[name] for name in GROUPS["t2t_vit"]} == {(224_990, 90)}
    assert lengths["deit_base_384"] == (224_990, 90) and ours("deit_base_384")["TRAIN.NUM_EPOCHS"] == 30
    told = [name for name in COPIED if "warm-up of the running average" in {d.what for d in departures_of(name)}]
    assert told == list(lengths)
    why = next(d.why for d in departures_of("lvvit_s") if d.what == "warm-up of the running average")
    pages = [(ROOT / "docs" / language / "training.md").read_text(encoding="utf-8") for language in ("en", "cn")]
    for text in (why, *pages):
        assert {"112,490", "224,990", "0.99992", "0.99996", "90", "180"} <= set(re.findall(r"\d[\d,.]*\d", text))


def ppim_models(*words: str) -> str:
    done = run_python("-c", "import sys; from ppim.cli import main; sys.exit(main())", "models", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_prints_each_departure_of_a_model_with_its_reason():
    printed = " ".join(ppim_models("deit_base").split()).lower()
    wanted = {departure for name in COPIED if name.startswith("deit_base") for departure in departures_of(name)}
    assert len(wanted) > 8
    for departure in wanted:
        for part in (departure.what, departure.theirs, departure.ours, departure.why):
            assert " ".join(str(part).split()).lower() in printed
    assert "deit_base_tla" in printed and "token_label.geometry" not in printed


def test_json_has_the_departures_of_every_recipe():
    told = {recipe: found for row in json.loads(ppim_models("--json")) for recipe, found in row["departures"].items()}
    assert set(told) == set(COPIED)
    for name, found in told.items():
        assert found == [departure._asdict() for departure in departures_of(name)]


def test_the_bare_table_says_where_the_departures_are():
    assert "ppim models PATTERN" in ppim_models()
