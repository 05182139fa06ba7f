"""`ppim visualize` on a run's folder: pictures, a page that works by itself, and what it says to mistakes."""
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.cli import main
from ppim.config import get_config, save
from ppim.engine.looking import load_subject
from ppim.look.photo import see
from ppim.models import build_model
from ppim.weights import save_state
from tests.helpers import spread_weights, write_tiny_recipe

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NAMES = ["</script><b>", "猫", "class2"]


@pytest.fixture(scope="module")
def run(tiny_data, tmp_path_factory):
    """What a run leaves, without having trained: configuration, log, weights that name their classes."""
    root = tmp_path_factory.mktemp("looked")
    config = get_config(str(write_tiny_recipe(root, tiny_data)))
    paddle.seed(0)
    model = build_model(config)
    spread_weights(model)
    folder = root / "run"
    folder.mkdir()
    save(config, folder / "config.yaml")
    (folder / "log.jsonl").write_text("{}\n")
    save_state(model.state_dict(), folder / "best.pdparams")
    (folder / "best.card.json").write_text('{"form": 1, "num_classes": 3, "classes": ["</script><b>", "猫", "class2"]}')
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two photos of one name, upright and lying."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for folder, size in (("a", (60, 90)), ("b", (90, 60))):
        (root / folder).mkdir()
        Image.fromarray(rng.integers(0, 255, (*size, 3)).astype("uint8")).save(root / folder / "it.v1.png")
    return [str(root / folder / "it.v1.png") for folder in "ab"]


@pytest.fixture(scope="module")
def looked(run, photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "deep"
    words = ["visualize", *photos, "--load", str(run / "best.pdparams"), "--output", str(output)]
    assert main([*words, "--layers", "0", "-1", "--heads", "1", "--class", "猫", "--token", "1", "2"]) == 0
    return output


def test_every_photo_has_its_pictures_in_its_own_size(looked, photos):
    for folder, photo in zip(("it.v1", "it.v1_2"), photos):
        names = {path.name for path in (looked / folder).iterdir()}
        assert names == {f"{name}.png" for name in (
            "attention_block0_head1", "attention_block0_mean", "attention_block1_head1", "attention_block1_mean",
            "rollout", "relevance", "tokens", "sheet")}
        for name in names - {"sheet.png"}:
            assert Image.open(looked / folder / name).size == Image.open(photo).size
        assert Image.open(looked / folder / "sheet.png").width > 500


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_looked_at(run, photos, tmp_path, capsys):
    folder, output = tmp_path / "photos", tmp_path / "looked"
    shutil.copytree(Path(photos[0]).parent, folder)
    (folder / "a_bad.png").write_bytes(b"no photo")
    words = ["visualize", str(folder), "--load", str(run / "best.pdparams"), "--output"]
    assert main([*words, str(output)]) == 1
    assert sorted(path.name for path in output.iterdir()) == ["index.html", "it.v1"]
    told = capsys.readouterr()
    assert f"left out: {folder / 'a_bad.png'}: cannot be read as an image" in told.out
    assert told.err == "error: 1 of 2 photos could not be read, they are named above\n"
    (folder / "it.v1.png").unlink()
    assert main([*words, str(tmp_path / "nothing")]) == 1 and not (tmp_path / "nothing").exists()


def dom(page, fragment: str, tmp_path) -> str:
    """What a browser makes of the page."""
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
         f"file://{page}{fragment}"], capture_output=True, text=True, timeout=120)
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page with")
def test_the_page_shows_what_its_address_asks_for(looked, run, photos, tmp_path):
    subject, _ = load_subject(str(run / "best.pdparams"))
    seen = see(subject.model, Image.open(photos[1]), subject.view, asked=[1], top=3, token=(1, 2))
    for fragment, map_of, called in (
        ("#photo=1&method=attention&layer=0&head=1", seen.attention[0, 1], "block 0, head 1"),
        ("#photo=1&method=rollout&layer=0", seen.rollout[0], "rolled out through blocks 0 to 0"),
        ("#photo=1&method=relevance", seen.relevance[1], "what made it say 猫"),
    ):
        row, column = np.unravel_index(map_of.argmax(), map_of.shape)
        found = re.search(r'id="said"[^>]*>([^<]*)<', dom(looked / "index.html", fragment, tmp_path))[1]
        assert found.startswith(called) and found.endswith(f": most at row {row}, column {column}")
    shown = dom(looked / "index.html", "#method=tokens", tmp_path)
    assert "what each token says it sees" in shown and 'width="' in re.search("<canvas[^>]*>", shown)[0]
    assert re.search(r"(&lt;/script&gt;&lt;b&gt;|猫|class2): \d+ token", shown) and "<b>:" not in shown


def test_the_page_needs_nothing_beside_it(looked):
    text = (looked / "index.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 1  # a class of that name ends no script
    assert not re.search(r'(src|href)="(?!data:)|https?://|@import|url\(', text)


@pytest.mark.parametrize(("words", "says"), [
    (["--class", "dog"], r"--class dog: no such class; wanted a name \(.*猫, class2, ...\) or a number 0 .. 2"),
    (["--layers", "2"], r"blocks 0 .. 1 \(or -2 .. -1\), got 2"),
    (["--heads", "-3"], r"heads 0 .. 1 \(or -2 .. -1\), got -3"),
    (["--token", "0", "4"], r"got 0 4"),
])
def test_a_mistake_is_one_line(words, says, run, photos, tmp_path, capsys):
    line = ["visualize", photos[0], "--load", str(run / "best.pdparams"), "--output", str(tmp_path / "out"), *words]
    assert main(line) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(rf"error: .*{says}.*\n", error), error
    assert not (tmp_path / "out").exists()


def test_photos_of_a_folder_are_looked_at_and_one_without_any_is_named(run, photos, tmp_path, capsys):
    folder, empty = Path(photos[0]).parents[1], tmp_path / "empty"
    empty.mkdir()
    words = ["--load", str(run / "best.pdparams"), "--output", str(tmp_path / "out")]
    assert main(["visualize", str(folder), *words]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"it.v1", "it.v1_2", "index.html"}
    capsys.readouterr()
    assert main(["visualize", photos[0], str(empty), *words]) == 1
    assert f"error: {empty}: no image in this folder or below" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--load", "x"], ["a.png", "--sample", "1", "--load", "x"], ["--sample", "1"]])
def test_what_does_not_go_together_is_said_before_paddle_is_waited_for(words, capsys):
    with pytest.raises(SystemExit):
        main(["visualize", "--output", "x", *words])
    assert "visualize: error: " in capsys.readouterr().err


def test_samples_of_a_run_are_drawn(run, tmp_path, capsys):
    words = ["visualize", "--load", str(run), "--output", str(tmp_path), "--sample"]
    assert main([*words, "0", "23", "--epoch", "1"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample0_epoch1.png", "sample23_epoch1.png"]
    assert main([*words, "24"]) == 1
    assert "0 .. 23, got 24" in capsys.readouterr().err
