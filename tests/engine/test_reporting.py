"""What evaluation tells besides its figures: reports whose counts are the figures, other labels, other ImageNets."""
from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.config import get_config
from ppim.data.classes import imagenet_classes
from ppim.data.images import ImageList
from ppim.data.paths import meant
from ppim.engine.command import run
from ppim.models import build_model
from ppim.report import picture
from ppim.report.answers import Answers
from ppim.report.write import Subject, mistakes_page
from ppim.trained.predict import answers
from ppim.trained.ready import of_weights
from ppim.weights import save_state
from tests.helpers import spread_weights, write_tiny_recipe


def weights_of(folder, data, rows):
    """A recipe and weights of a toy model with as many rows, which answers differ of; nobody says what they mean."""
    recipe = write_tiny_recipe(folder, data)
    paddle.seed(0)
    model = build_model(get_config(recipe, ["MODEL.NUM_CLASSES", str(rows)]))
    spread_weights(model)
    save_state(model.state_dict(), folder / "weights.pdparams")
    ready = of_weights(folder / "weights.pdparams", str(recipe), overrides=["MODEL.NUM_CLASSES", str(rows)])
    photos = meant([data])
    mean = np.mean([logits for _, logits, _ in answers(ready, photos)], axis=0)
    model.head.bias.set_value(model.head.bias.numpy() - mean)
    save_state(model.state_dict(), folder / "weights.pdparams")
    return recipe, folder / "weights.pdparams", rows


@pytest.fixture(scope="module")
def three(tiny_data, tmp_path_factory):
    return weights_of(tmp_path_factory.mktemp("three"), tiny_data, 3)


@pytest.fixture(scope="module")
def thousand(tiny_data, tmp_path_factory):
    return weights_of(tmp_path_factory.mktemp("thousand"), tiny_data, 1000)


def evaluated(network, data, *more):
    recipe, weights, rows = network
    return run(str(recipe), ["EVAL.ONLY", "True", "MODEL.NUM_CLASSES", str(rows), "TOKEN_LABEL.ENABLE", "False",
                             "MODEL.PRETRAINED", str(weights), "DATA.DATA_PATH", str(data), *map(str, more)])


def table(path) -> list[dict]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.mark.smoke
def test_a_report_counts_what_the_figures_count(three, tiny_data, tmp_path, capsys):
    plain = evaluated(three, tiny_data)
    result = evaluated(three, tiny_data, "EVAL.REPORT", tmp_path / "report", "EVAL.DUMP", tmp_path / "dump" / "all.csv")
    assert result == plain and f"report in {tmp_path / 'report'}" in capsys.readouterr().out
    dump, right = table(tmp_path / "dump" / "all.csv"), round(result.top1 * 11 / 100)
    assert len(dump) == 11 and sum(row["target"] == row["row1"] for row in dump) == right and 0 < right < 11
    assert -np.log([float(row["target_probability"]) for row in dump]).mean() == pytest.approx(result.loss, rel=1e-5)
    for row in dump:
        assert f"/{row['target_name']}/" in row["path"] and row["target_id"] == row["target_name"]
        shares = [float(row[f"probability{place}"]) for place in (1, 2, 3)]
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)
    classes = table(tmp_path / "report" / "classes.csv")
    assert [int(row["count"]) for row in classes] == [4, 4, 3] and sum(int(row["right"]) for row in classes) == right
    matrix = np.array([list(row.values())[1:] for row in table(tmp_path / "report" / "confusion.csv")], int)
    for row in dump:
        matrix[int(row["target"]), int(row["row1"])] -= 1
    assert not matrix.any()
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    bins = table(tmp_path / "report" / "reliability.csv")
    assert summary["top1"] == result.top1 and sum(int(row["count"]) for row in bins) == 11
    sure = np.array([float(row["probability1"]) for row in dump])
    hit = np.array([row["target"] == row["row1"] for row in dump])
    expected = sum(abs((hit[inside] - sure[inside]).sum()) for inside in (
        (sure > number / 15) & (sure <= (number + 1) / 15) for number in range(15))) / 11
    assert summary["ece"] == pytest.approx(100 * expected)
    text = (tmp_path / "report" / "report.txt").read_text(encoding="utf-8")
    assert "Classes, the worst first" in text and f"top-1 {result.top1:.2f}" in text
    page = (tmp_path / "report" / "mistakes.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 11 - right and f"{11 - right} of 11 images are wrong" in page
    wrong = sorted((row for row in dump if row["target"] != row["row1"]), key=lambda row: -float(row["probability1"]))
    places = [page.index(row["path"].split("/val/")[1]) for row in wrong]
    assert places == sorted(places)


def test_what_is_for_evaluation_is_refused_before_training(tiny_config, tmp_path):
    for key, value in (("REPORT", tmp_path / "r"), ("DUMP", "d.csv"), ("REAL", "real.json"), ("AMONG", "shown")):
        with pytest.raises(ValueError, match=rf"EVAL.{key}.*only for evaluation"):
            run(str(tiny_config), [f"EVAL.{key}", str(value)])
    assert not (tmp_path / "run").exists() and not (tmp_path / "r").exists()


# ---- other labels, other photos ------------------------------------------------------------------------------------


def test_real_labels_count_images_that_have_some_by_whether_the_answer_is_among_them(three, tiny_data, tmp_path):
    photos = sorted((tiny_data / "val").rglob("*.png"))
    for number, photo in enumerate(photos, 1):
        target = tmp_path / "data" / photo.parent.name / f"ILSVRC2012_val_{number:08d}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
    evaluated(three, tmp_path / "data", "EVAL.DUMP", tmp_path / "dump.csv")
    said = [int(row["row1"]) for row in table(tmp_path / "dump.csv")]
    accepted = [[(one + 1) % 3] for one in said]
    accepted[0], accepted[4], accepted[7] = [said[0]], sorted({0, 1, 2} - {said[4]}) + [said[4]], []
    (tmp_path / "real.json").write_text(json.dumps(accepted))
    result = evaluated(three, tmp_path / "data", "EVAL.REAL", tmp_path / "real.json")
    assert (result.real_top1, result.real_count) == (pytest.approx(100 * 2 / 10), 10)
    assert result.as_dict()["real_count"] == 10 and "ReaL 20.00 on 10 of them" in str(result)
    (tmp_path / "real.json").write_text("{}")
    with pytest.raises(ValueError, match="wanted a list"):
        evaluated(three, tmp_path / "data", "EVAL.REAL", tmp_path / "real.json")


def some_of(tiny_data, folder, names):
    """The validation photos in folders of other names."""
    for place, name in enumerate(names):
        shutil.copytree(tiny_data / "val" / f"class{place % 3}", folder / name)
    return folder


def test_folders_called_by_numbers_are_imagenets_rows_and_not_places_among_sorted_names(thousand, tiny_data, tmp_path,
                                                                                        capsys):
    numbers = [999, 2, 10, 700]
    v2 = some_of(tiny_data, tmp_path / "v2", map(str, numbers))
    names = some_of(tiny_data, tmp_path / "names", [imagenet_classes()[number] for number in numbers])
    found = evaluated(thousand, v2, "EVAL.DUMP", tmp_path / "dump.csv")
    assert found.loss == pytest.approx(evaluated(thousand, names).loss, rel=1e-5)
    targets = {row["path"].split("/")[-2]: (row["target"], row["target_id"]) for row in table(tmp_path / "dump.csv")}
    assert targets == {str(number): (str(number), imagenet_classes()[number]) for number in numbers}
    assert capsys.readouterr().out.count("class folders called by numbers are taken for rows of ImageNet's list") == 1
    (tmp_path / "v2" / "1000").mkdir()
    shutil.copy(next((tiny_data / "val").rglob("*.png")), tmp_path / "v2" / "1000")
    with pytest.raises(ValueError, match="class 1000"):
        evaluated(thousand, v2)


def test_among_the_classes_shown_means_that_no_other_is_answered(thousand, tiny_data, tmp_path):
    rows = [3, 500, 998]
    data = some_of(tiny_data, tmp_path / "few", [imagenet_classes()[row] for row in rows])
    result = evaluated(thousand, data, "EVAL.AMONG", "shown", "EVAL.DUMP", tmp_path / "dump.csv")
    recipe, weights, _ = thousand
    ready = of_weights(weights, str(recipe), overrides=["MODEL.NUM_CLASSES", "1000"])
    logits = np.stack([one for _, one, _ in answers(ready, meant([data]))])[:, rows].astype("float64")
    labels = np.array([rows.index(int(row["target"])) for row in table(tmp_path / "dump.csv")])
    assert result.top1 == pytest.approx(100 * (logits.argmax(1) == labels).mean())
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert result.loss == pytest.approx(-np.log(shares[np.arange(11), labels]).mean(), rel=1e-5)
    assert {int(row["row1"]) for row in table(tmp_path / "dump.csv")} <= set(rows)
    assert evaluated(thousand, data).loss > result.loss + 1


def test_corruptions_are_told_one_by_one_as_evaluated_alone(three, tiny_data, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for place in ("fog/1", "fog/4", "snow/2"):
        shutil.copytree(tiny_data / "val", tmp_path / "c" / place)
        for path in (tmp_path / "c" / place).rglob("*.png"):
            pixels = np.asarray(Image.open(path)).astype(int) + rng.integers(-90, 90, (1, 1, 3))
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(path)
    alone = {place: 100 - evaluated(three, tmp_path / "c" / place).top1 for place in ("fog/1", "fog/4", "snow/2")}
    capsys.readouterr()
    result = evaluated(three, tmp_path / "c", "EVAL.REPORT", tmp_path / "report")
    assert result.count == 33 and 100 - result.top1 == pytest.approx(sum(alone.values()) / 3)
    assert result.corruption_errors == {"fog": pytest.approx((alone["fog/1"] + alone["fog/4"]) / 2),
                                        "snow": pytest.approx(alone["snow/2"])}
    said = capsys.readouterr().out
    assert re.search(rf"fog +error +{result.corruption_errors['fog']:.2f} +by severity +{alone['fog/1']:.2f} ", said)
    assert result.mce is None and "no mCE" in said
    assert re.search(rf"fog +{result.corruption_errors['fog']:.2f}\n", (tmp_path / "report" / "report.txt").read_text())
    assert json.loads(said.splitlines()[-1])["corruption_errors"] == result.corruption_errors


# ---- pictures and pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "most"), [(1, 700), (10, 700), (40, 1800), (41, 1200), (1000, 1200)])
def test_a_confusion_matrix_is_drawn_in_a_size_that_can_be_looked_at(classes, most):
    rng = np.random.default_rng(0)
    counts = 50 * np.eye(classes, dtype=int)
    counts += rng.integers(0, 9, (classes, classes)) * (rng.random((classes, classes)) < 0.05)
    drawn = picture.draw(counts, ["狗" * 30, *["name"] * (classes - 1)], "a title")
    assert max(drawn.size) <= most and min(drawn.size) >= 60
    pixels = np.asarray(drawn).reshape(-1, 3).astype(int)
    assert (pixels[:, 2] > pixels[:, 0] + 60).sum() >= classes  # what is right is blue


def test_what_is_wrong_is_red_where_it_stands():
    drawn = np.asarray(picture.draw(np.eye(50, dtype=int)[::-1], ["x"] * 50, "")).astype(int)
    red = (drawn[..., 0] > drawn[..., 2] + 60).nonzero()
    assert len(red[0]) == 50 * 20 * 20
    # the first row's answer is the last column: upper right
    assert red[1][red[0].argmin()] == red[1].max() - 19 and red[1][red[0].argmax()] == red[1].min()


def test_a_mistake_among_a_thousand_classes_is_a_dot_that_can_be_seen():
    counts = 50 * np.eye(1000, 1001, dtype=int)
    counts[700, 700], counts[700, 200] = 20, 30
    drawn = np.asarray(picture.draw(counts, ["x"] * 1001, "")).astype(int)
    red = (drawn[..., 0] > drawn[..., 2] + 60).nonzero()
    # a dot is 3 x 3 pixels for 4 classes; the map begins 65 pixels from the top, 60 from the left
    assert len(red[0]) == 3 * 3 and (red[0].min(), red[1].min()) == (65 + 700 // 4 * 3, 60 + 200 // 4 * 3)


def test_the_page_of_mistakes_has_only_the_worst_of_many(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(tmp_path / "x.png")
    count = 100
    sure = np.linspace(0.5, 1, count)
    found = Answers(np.zeros(count, int), np.tile([1, 0], (count, 1)), np.column_stack([sure, 1 - sure]), 1 - sure)
    images = ImageList(str(tmp_path), ["x.png"] * count, np.zeros(count, np.int64), [])
    page = mistakes_page(Subject(images, ["0", "1"], ["猫 <", "dog"], "ignore"), found, "h")
    assert page.count("<figure>") == 60 and "said <b>dog</b> 100.0 %<br>is <b>猫 &lt;</b> 0.0 %" in page
    assert "100 of 100 images are wrong; here are the 60 with the highest probability" in page
