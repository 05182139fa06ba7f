"""Whose map speaks against its folder? Margins by hand, photos put into wrong folders first, and the page of them."""
import csv
import json
import re
import shutil

import numpy as np
import pytest

from ppim.cli import main
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.disagreement import against, ranked
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.store import open_maps

NAMES = ["猫 <b>", "狗", "鱼"]  # a name is no HTML


def flat(scores, ids, log_z=None):
    """A map of 2 x 3 cells that all say the same."""
    planes = [np.broadcast_to(np.array(x)[:, None, None], (len(x), 2, 3)) for x in (scores, ids)]
    return LabelMap(planes[0].astype(np.float32), planes[1].astype(np.int32),
                    None if log_z is None else np.full((2, 3), log_z, np.float32))


def test_the_probabilities_are_those_of_the_whole_map_and_the_other_class_is_the_best_besides_the_folders():
    shares = np.array([0.5, 0.3])  # of classes 4 and 1; the rest, 0.2, is spread over the four others
    known = flat(np.log(shares) + 7, [4, 1], log_z=7)
    for label, (other, own, best) in {4: (1, 0.5, 0.3), 1: (4, 0.3, 0.5), 0: (4, 0.05, 0.5)}.items():
        found = against(known, label, 6)
        assert found[0] == other and found[1:] == pytest.approx((own, best), abs=1e-6)
    # without log-sum-exp: a softmax in which classes that were not kept have score 0
    e = np.exp([2.0, 1.0])
    assert against(flat([2, 1], [4, 1]), 0, 6)[1:] == pytest.approx((1 / (4 + e.sum()), e[0] / (4 + e.sum())), abs=1e-6)


@pytest.fixture
def planted(tiny_data, tmp_path):
    """The toy photos with their maps, of which two have been put into the folder of another class."""
    data = tmp_path / "data"
    for number, name in enumerate(NAMES):
        for kind in ("train", "maps"):
            shutil.copytree(tiny_data / kind / f"class{number}", data / kind / name)
    for name, there in ((0, 1), (2, 0)):
        for kind, suffix in (("train", "png"), ("maps", "npy")):
            (data / kind / NAMES[name] / f"photo.3.{suffix}").rename(
                data / kind / NAMES[there] / f"moved{name}.{suffix}")
    save_card(data / "maps", Reading(log_z=False), {"classes": NAMES, "num_classes": 3})
    return data, {f"{NAMES[1]}/moved0.png", f"{NAMES[0]}/moved2.png"}


def test_photos_in_the_wrong_folder_come_first_and_all_others_behind_by_their_margins(planted):
    data, moved = planted
    images = sorted(path.relative_to(data / "train").as_posix() for path in (data / "train").glob("*/*"))
    labels = np.array([NAMES.index(image.split("/")[0]) for image in images])
    found = ranked(open_maps(data / "maps", 3), images, labels, np.arange(len(images)))
    assert {images[i] for i in found.index[:2]} == moved and sorted(found.index.tolist()) == list(range(24))
    assert (np.diff(found.margin) >= 0).all() and (found.margin[:2] < 0).all() and (found.margin[2:] > 0).all()
    np.testing.assert_allclose(found.margin, np.log(found.p_folder) - np.log(found.p_other), rtol=1e-6)


def test_the_command_writes_page_ranks_and_all_it_has_found(planted, tmp_path, capsys):
    data, moved = planted
    page, told = tmp_path / "page.html", tmp_path / "told.json"
    assert main(["labels", "check", str(data / "maps"), "--images", str(data), "--page", str(page), "--most", "3",
                 "--json", str(told)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"all classes +24 +91\.7 %", out)
    with (tmp_path / "page.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and {row["image"] for row in rows[:2]} == moved and rows[0]["rank"] == "1"
    html = page.read_text(encoding="utf-8")
    assert html.count("<img") == 6 and html.count("data:image/jpeg") == 6 and "http" not in html
    assert "猫 &lt;b&gt;" in html and "狗" in html and "<b> in" not in html and len(html) < 250_000
    assert all(html.find(name) < html.find("3. ") for name in ("moved0.png", "moved2.png"))
    said = json.loads(told.read_text(encoding="utf-8"))
    assert said["agreement"]["photos"] == 24 and said["agreement"]["agree"] == 22
    assert said["agreement"]["classes"][NAMES[2]] == {"photos": 7, "agree": 7}
    assert said["scores"] == "logits" and said["forms"] == {"[2, 2, 6, 8] float16": 24} and said["looked_at"] == 24
    assert {finding["level"] for finding in said["findings"]} <= {"fine", "unknown"} and said["broken"] == []


def test_a_fault_is_in_the_report_and_the_exit_code_says_so(planted, tmp_path, capsys):
    data, _ = planted
    broken, told = data / "maps" / NAMES[2] / "photo.0.npy", tmp_path / "told.json"
    np.save(broken, np.load(broken) * np.float16(np.nan))
    (data / "maps" / NAMES[2] / "photo.1.npy").unlink()
    assert main(["labels", "check", str(data / "maps"), "--images", str(data), "--json", str(told)]) == 1
    said, out = json.loads(told.read_text(encoding="utf-8")), capsys.readouterr().out
    assert said["missing"] == [f"{NAMES[2]}/photo.1.png"] and len(said["broken"]) == 2
    assert any(str(broken) in line and "not finite" in line for line in out.splitlines() if line.startswith("broken: "))


def test_maps_of_other_classes_than_the_folders_are_refused_by_name(planted, capsys):
    data, _ = planted
    save_card(data / "maps", Reading(log_z=False), {"classes": ["猫 <b>", "狗", "鸟"], "num_classes": 3})
    assert main(["labels", "check", str(data / "maps"), "--images", str(data)]) == 1
    assert "鱼" in capsys.readouterr().err
