"""How predictions are shown: strict JSON, CSV, pictures, a page; and the command that shows them."""
from __future__ import annotations

import csv
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ppim.cli import main
from ppim.fonts import Font
from ppim.trained import show
from ppim.trained.predict import Prediction
from tests.helpers import run_python

DOG = Prediction("a/狗.png", ("狗 <b>", "cat"), (0.75, 0.25), "", (1, 0), ("dog", "cat"))
BAD = Prediction("b.png", error="b.png: cannot be read as an image")


@pytest.mark.parametrize(("probability", "text"), [
    (0.5, "50.00 %"), (1.0, "100.00 %"), (0.0, "0.00 %"), (0.99999, "> 99.99 %"), (0.00001, "< 0.01 %"),
])
def test_percents_do_not_claim_to_be_certain(probability, text):
    assert show.percent(probability) == text


def test_json_is_one_line_a_photo():
    told = json.loads(show.as_json(DOG))
    assert told == {"path": "a/狗.png", "predictions": [
        {"row": 1, "id": "dog", "name": "狗 <b>", "probability": 0.75},
        {"row": 0, "id": "cat", "name": "cat", "probability": 0.25}]}
    assert json.loads(show.as_json(BAD)) == {"path": "b.png", "error": "b.png: cannot be read as an image"}
    strange = os.fsdecode(b"\xff.png")
    assert json.loads(show.as_json(BAD._replace(path=strange)))["path"] == strange


def test_csv_has_one_row_a_photo_all_as_long(tmp_path):
    show.write_csv([BAD, DOG], tmp_path / "out.csv")
    rows = list(csv.reader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert rows[0] == ["path", "error", "row1", "id1", "name1", "probability1", "row2", "id2", "name2", "probability2"]
    assert rows[1] == [BAD.path, BAD.error, *[""] * 8]
    assert rows[2] == [DOG.path, "", "1", "dog", "狗 <b>", "0.75", "0", "cat", "cat", "0.25"]


def test_the_table_has_every_class_and_names_bad_photos():
    console = Console(file=io.StringIO(), width=60)
    show.print_table([DOG, BAD], console)
    text = console.file.getvalue()
    assert re.search(r"a/狗\.png +狗 <b> +75\.00 %\n +cat +25\.00 %\n", text) and "b.png" in text
    assert "cannot be read" in text


def test_a_caption_stands_below_the_photo_and_its_bars_are_as_long_as_the_probabilities():
    photo = Image.fromarray(np.full((400, 500, 3), (200, 30, 30), "uint8"))
    font = Font(DOG.names, 15)
    picture = np.asarray(show.captioned(photo, DOG, font)).astype(int)
    assert picture.shape[1] == 500 and picture.shape[0] > 400 and (picture[:400] == (200, 30, 30)).all()
    bar = np.array([190, 218, 246])
    lengths = sorted({int(count) for count in (picture[400:] == bar).all(2).sum(1) if count > 100})
    assert max(lengths) == pytest.approx(0.75 * 480, abs=2)
    small = show.captioned(photo.resize((8, 6)), DOG, font)
    assert small.width == 320 and (np.asarray(small)[:200] == (200, 30, 30)).all()
    assert show.captioned(photo.resize((4000, 300)), DOG, font).width == 640


def test_a_picture_of_a_photo_of_the_longest_name_is_written_and_starts_as_that_does(tmp_path):
    photos = [tmp_path / "short.png", tmp_path / f"aa{'长' * 83}.png"]  # 255 bytes, as many as a file system takes
    for photo in photos:
        Image.new("RGB", (4, 4)).save(photo)
    show.save_pictures([Prediction(str(photo), ("cat",), (1.0,)) for photo in photos], tmp_path / "out", "ignore")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1_short.jpg", f"2_aa{'长' * 82}.jpg"]


def test_a_page_needs_nothing_beside_it_and_shows_text_as_text(tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), "uint8")).save(tmp_path / "<i>.png")
    page = show.page_of([DOG._replace(path=str(tmp_path / "<i>.png")), BAD], "ignore", "Predictions")
    assert "狗 &lt;b&gt;" in page and "&lt;i&gt;.png" in page and "<i>.png" not in page
    assert page.count("data:image/jpeg;base64,") == 1 and "Could not be read" in page and "75.00 %" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_the_command_goes_on_after_a_bad_photo_and_ends_with_1(folder, tiny_data, tmp_path, capsys):
    photos = [tiny_data / "val" / "class0" / "photo.0.png", tmp_path / "bad.png", tiny_data / "val" / "class1"]
    photos[1].write_bytes(b"none")
    out = tmp_path / "out"
    code = main(["predict", *map(str, photos), "--load", str(folder), "--topk", "2", "--json", "--csv",
                 str(out / "all.csv"), "--pictures", str(out / "pictures"), "--page", str(out / "page.html")])
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert code == 1 and len(lines) == 6 and [set(line) for line in lines[:2]] == [
        {"path", "predictions"}, {"path", "error"}]
    assert [line["path"] for line in lines[:2]] == [str(photos[0]), str(photos[1])]
    assert lines[2]["path"].endswith("class1/photo.0.png") and len(lines[2]["predictions"]) == 2
    assert f"error: {photos[1]}: cannot be read" in said.err and "1 of 6 photos could not be read" in said.err
    assert sorted(path.name for path in (out / "pictures").iterdir()) == [
        "1_photo.0.jpg", "3_photo.0.jpg", "4_photo.1.jpg", "5_photo.2.jpg", "6_photo.3.jpg"]
    assert (out / "page.html").read_text(encoding="utf-8").count("<figure>") == 5
    assert len((out / "all.csv").read_text(encoding="utf-8").splitlines()) == 7


def test_the_command_prints_a_table_and_nothing_else_into_a_pipe(folder, tiny_data):
    listed = "".join(f"{path}\n" for path in sorted((tiny_data / "val").glob("*/photo.0.png")))
    code = "import io, sys; sys.stdin = io.TextIOWrapper(io.BytesIO(bytes.fromhex(sys.argv.pop(1)))); " \
           "from ppim.cli import main; sys.exit(main())"
    done = run_python("-c", code, listed.encode().hex(), "predict", "-", "--load", folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["photo", "class", "probability"] and len(lines) == 1 + 3 * 3
    assert "\x1b" not in done.stdout + done.stderr and "photos" not in done.stderr


@pytest.mark.parametrize(("words", "wanted"), [
    (["predict", "--load", "w"], "PATH"), (["predict", "a.jpg"], "--load"),
    (["predict", "a.jpg", "--load", "w", "--top-k", "3"], "did you mean --topk?"),
])
def test_what_is_missing_or_misspelt_is_told(words, wanted, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2 and wanted in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["predict", "a.jpg", "--load", "w", "--topk", "0"])
    assert "argument --topk: wants at least 1; got 0" in capsys.readouterr().err
