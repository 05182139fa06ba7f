"""A bundle, written by the command and used as whoever gets it: in another place, by its own program, without ppim."""
from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim import stopping
from ppim.commands import guarded
from ppim.commands.export import export
from ppim.config import get_config
from ppim.config import save as save_config
from ppim.data import preprocess
from ppim.data.photos import read_photo
from ppim.data.shapes import draw_picture
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.export import bundle, compare, source
from ppim.export.compare import Agreement
from ppim.export.engines import FORMATS
from ppim.models import create_model
from ppim.models.lvvit import LVViT
from ppim.objective.pixels import normalise
from ppim.weights import save_state
from tests.helpers import ROOT, SMALL, small_lvvit, spread_weights, wait_until

NAMES = ["猫", "dog", "a b", "käse", "ship"]
VIEW = {"image_size": 64, "crop_pct": 0.8, "interpolation": "bilinear", "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3], "exif": "apply"}  # not the recipe's
CARD = {"form": 1, "model": "lvvit_demo", "num_classes": 7, "classes": NAMES, **VIEW}
READY = [name for name in FORMATS if all(find_spec(package) for package in FORMATS[name].needs)]
each_engine = pytest.mark.parametrize("engine", [
    pytest.param(name, marks=pytest.mark.skipif(name not in READY, reason=f"{FORMATS[name].needs} not installed"))
    for name in FORMATS])

# Runs a program in this interpreter as if ppim were not installed.
ALONE = ("import runpy, sys; sys.modules['ppim'] = None; sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[2:]; "
         "runpy.run_path(sys.argv[0], run_name='__main__')")


def infer(folder: Path, *words, without: str = "", stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess:
    """The bundle's program, in another folder than ours."""
    code = (f"import sys; sys.modules[{without!r}] = None; " if without else "") + ALONE
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-c", code, str(folder), str(folder / "infer.py"), *map(str, words)],
                          cwd=folder.parent, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True,
                          encoding="utf-8", timeout=120)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of a small LV-ViT with a card, as a run writes them, and no run around them."""
    paddle.seed(0)
    model = create_model("lvvit_demo", num_classes=7, image_size=64)
    spread_weights(model)
    path = tmp_path_factory.mktemp("weights") / "best.pdparams"
    save_state(model.state_dict(), path, card=CARD)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos of every kind: turned by EXIF, for print, grey of 8 and 16 bits, with a palette, with transparency."""
    folder = tmp_path_factory.mktemp("photos")
    picture = draw_picture(np.random.default_rng(1), (90, 61))[0]
    note = Image.Exif()
    note[0x0112] = 6
    picture.save(folder / "plain.jpg")
    picture.save(folder / "turned.jpg", exif=note)
    picture.convert("CMYK").save(folder / "print.jpg")
    picture.convert("L").save(folder / "grey.jpg")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("RGBA").save(folder / "见 a.png")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    return folder


@pytest.fixture(scope="module")
def made(weights, photos, tmp_path_factory) -> tuple[Path, str]:
    """A bundle for every engine that is installed, moved elsewhere, and what the command said."""
    folder, told = tmp_path_factory.mktemp("bundle"), io.StringIO()
    with contextlib.redirect_stdout(told):
        code = guarded(export, ["--load", str(weights), "--output", str(folder / "first"), "--photos", str(photos),
                                "--formats", *READY])
    assert code == 0
    assert [path.name for path in folder.iterdir()] == ["first"]
    return Path(shutil.move(folder / "first", folder / "moved")), told.getvalue()


def by_hand(weights: Path, path: Path) -> np.ndarray:
    """Probabilities of a photo as `ppim evaluate` would see it, from the card's own words."""
    model = create_model("lvvit_demo", num_classes=7, image_size=64)
    model.set_state_dict(paddle.load(str(weights)))
    model.eval()
    pixels = to_array(apply_all(eval_view((64, 64), 0.8, "bilinear"), read_photo(path, "apply")))
    with paddle.no_grad():
        logits = model(normalise(paddle.to_tensor(pixels[None]), VIEW["mean"], VIEW["std"])).numpy()[0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


# ---- the bundle as it is used --------------------------------------------------------------------------------------


@pytest.mark.smoke
@each_engine
def test_the_program_predicts_without_ppim_what_the_model_predicts(engine, made, weights, photos):
    done = infer(made[0], photos, "--json", "--topk", 9, "--engine", engine, "--batch-size", 3, "--threads", 2)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == sorted(map(str, photos.iterdir()))
    for line in lines:
        wanted = by_hand(weights, Path(line["path"]))
        assert [entry["row"] for entry in line["predictions"]] == np.argsort(-wanted).tolist()
        assert all(entry["id"] == [*NAMES, "5", "6"][entry["row"]] for entry in line["predictions"])
        assert all(entry["name"] == [*NAMES, "class 5", "class 6"][entry["row"]] for entry in line["predictions"])
        shares = [entry["probability"] for entry in line["predictions"]]
        np.testing.assert_allclose(shares, np.sort(wanted)[::-1], atol=1e-5)


def test_a_photo_is_shown_as_a_table_and_one_that_cannot_be_read_is_a_line(made, photos, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    done = infer(made[0], photos / "plain.jpg", tmp_path / "bad.jpg", tmp_path / "none.jpg", "--topk", 2)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    head, *rows = done.stdout.splitlines()
    assert head == str(photos / "plain.jpg") and len(rows) == 2 and " %  " in rows[0]
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {tmp_path / 'bad.jpg'}: cannot be read as an image (")
    assert second == f"error: {tmp_path / 'none.jpg'}: no such photo"


def test_a_program_whose_lines_nobody_reads_ends_without_a_word(made, photos):
    ears, mouth = os.pipe()
    os.close(ears)
    done = infer(made[0], photos, stdout=mouth)
    os.close(mouth)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_list_of_photos_may_have_the_line_ends_of_windows_and_arrays_get_their_folder(made, photos, tmp_path):
    named, arrays = tmp_path / "photos.txt", tmp_path / "new" / "sub" / "x.npz"
    named.write_bytes(os.fsencode(f"{photos / 'plain.jpg'}\r\n{photos / 'grey.jpg'}\r\n\r\n"))
    done = infer(made[0], "--list", named, "--logits", arrays)
    assert done.returncode == 0, done.stderr
    with np.load(arrays) as found:
        assert found["photos"].tolist() == [str(photos / "plain.jpg"), str(photos / "grey.jpg")]
    done = infer(made[0], "--list", tmp_path / "none.txt")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and "none.txt" in done.stderr
    done = infer(made[0], photos / "plain.jpg", "--logits", named / "x.npz")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_what_lies_in_a_bundle(made):
    folder, told = made
    assert (folder / "preprocess.py").read_bytes() == Path(preprocess.__file__).read_bytes()
    assert (folder / "infer.py").read_bytes() == (ROOT / "ppim" / "export" / "infer.py").read_bytes()
    assert (folder / "classes.txt").read_text(encoding="utf-8").split("\n") == [*NAMES, "5\tclass 5", "6\tclass 6", ""]
    assert json.loads((folder / "preprocess.json").read_text()) == {**VIEW, "image_size": [64, 64]}
    card = json.loads((folder / "card.json").read_text())
    assert card["classes"] == NAMES and [check["engine"] for check in card["checked"]] == READY
    assert all(check["photos"] == check["same"] == 7 for check in card["checked"])
    names = {"README.md", "card.json", "classes.txt", "infer.py", "preprocess.json", "preprocess.py",
             *(name for name in card["files"])}
    assert {path.name for path in folder.iterdir()} == names
    for name in READY:
        assert f"{name:<9} top-1 the same on 7 of 7 photos; largest difference of a logit " in told
    assert ("INFERENCE_PRECISION_HINT f32" in told) == ("openvino" in READY)


@pytest.mark.parametrize("wanted", [("paddle", "onnx"), ("paddle", "openvino")])
def test_the_page_of_a_bundle_tells_what_an_engine_has_to_be_asked_for(wanted, tmp_path):
    bundle._write_program(of_small(small_lvvit(depth=1)), tmp_path, wanted, tokens=False)
    rows = [line for line in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
            if "INFERENCE_PRECISION_HINT f32" in line]
    assert [row.startswith("| `model.xml`, `model.bin` |") for row in rows] == [True] * ("openvino" in wanted)


@pytest.mark.parametrize(("engine", "without", "said"), [
    ("paddle", "paddle", "the package paddle is not installed; pip install paddlepaddle"),
    ("openvino", "", "this bundle has files for paddle; take one of these, or export it again with --formats openvino"),
])
def test_an_engine_that_is_not_there_is_told_in_a_line(engine, without, said, made, photos, tmp_path):
    folder = Path(shutil.copytree(made[0], tmp_path / "copy"))
    for name in ("model.onnx", "model.xml"):
        (folder / name).unlink(missing_ok=True)
    done = infer(folder, photos, "--engine", engine, without=without)
    assert (done.returncode, done.stderr) == (1, f"error: --engine {engine}: {said}\n" if not without else
                                              f"error: {said}\n")


# ---- whole and checked, or not at all ------------------------------------------------------------------------------


class _TracedOtherwise(LVViT):
    """A network whose traced program is another function, by a little and for one class."""

    def forward(self, x):
        logits = super().forward(x)
        return logits if paddle.in_dynamic_mode() else logits + 1e-3 * paddle.arange(5, dtype="float32")


def of_small(model) -> source.Source:
    spread_weights(model)
    model.eval()
    view = {**VIEW, "image_size": [32, 32]}
    return source.Source(model, view, tuple("abcde"), tuple("abcde"), {"form": 1, "model": "small", "classes": []}, ())


def test_a_program_that_is_not_the_model_is_refused_and_nothing_is_left(tmp_path):
    changed = _TracedOtherwise(**SMALL, patch_size=8, skip_lam=1.0, stem_channels=8)
    with pytest.raises(ValueError, match=r"the exported model is not the model: paddle .*; nothing is written"):
        bundle.export(of_small(changed), tmp_path / "new", ["paddle"])
    assert list(tmp_path.iterdir()) == []


def test_a_photo_that_cannot_be_read_ends_the_export_and_nothing_is_left(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(ValueError, match="bad.jpg: cannot be read as an image"):
        bundle.export(of_small(small_lvvit(depth=1)), tmp_path / "new", ["paddle"], [str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]


class _StoppedMeanwhile(LVViT):
    """A network that is asked to stop while it is traced."""

    def forward(self, x):
        if not paddle.in_dynamic_mode():
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(x)


def test_a_signal_while_a_network_is_traced_ends_the_export_and_nothing_is_left(tmp_path):
    model = _StoppedMeanwhile(**{**SMALL, "depth": 1}, patch_size=8, skip_lam=1.0, stem_channels=8)
    with stopping.handled_by(stopping.stop), pytest.raises(stopping.Stopped) as stopped:
        bundle.export(of_small(model), tmp_path / "new", ["paddle"])
    assert stopped.value.exit_code == 143 and list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_told_as_such(tmp_path):
    broken = of_small(small_lvvit(depth=1))
    broken.model.head.bias.set_value(np.full(5, np.nan, "float32"))
    with pytest.raises(ValueError, match="0.jpg or of the photos behind it are not finite; are its weights whole"):
        bundle.export(broken, tmp_path / "new", ["paddle"])


def test_what_lies_at_the_path_already_is_left_alone(weights, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    bundle.check_free(tmp_path / "new")  # an empty folder is no bundle
    (tmp_path / "new" / "mine.txt").write_text("mine")
    for words in (["--output", str(tmp_path / "new")], ["--output", str(tmp_path / "new" / "mine.txt")]):
        assert guarded(export, ["--load", str(weights), *words]) == 1
        assert "exists already; remove it, or name another folder" in capsys.readouterr().err
    assert (tmp_path / "new" / "mine.txt").read_text() == "mine"


def test_what_has_come_to_lie_there_while_a_bundle_was_made_is_left_alone(tmp_path):
    def settle():
        wait_until(lambda: any(tmp_path.glob(".new.*")))
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine.txt").write_text("mine")

    other = threading.Thread(target=settle)
    other.start()
    with pytest.raises(ValueError, match="new exists already; remove it, or name another folder"):
        bundle.export(of_small(small_lvvit(depth=1)), tmp_path / "new", ["paddle"])
    other.join()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "mine.txt"]


def test_a_folder_that_cannot_be_put_in_place_is_refused_at_once(weights, tmp_path, capsys, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for output in (".", str(tmp_path / "here"), str(tmp_path / "link")):
        assert guarded(export, ["--load", str(weights), "--output", output]) == 1
        assert "is the folder this was started in" in capsys.readouterr().err
    assert not any((tmp_path / "here").iterdir())


@pytest.mark.parametrize(("change", "holds", "same"), [
    (lambda logits: logits, True, 3),
    (lambda logits: logits + [[0, 9e-4], [0, 0], [0, 0]], True, 2),  # a tie: the first photo's logits are 1e-4 apart
    (lambda logits: logits + [[0, 0], [0, 0], [2e-3, 0]], False, 3),
    (lambda logits: logits * [[1, 1], [np.nan, 1], [1, 1]], False, 0),
    (lambda logits: logits[:2], False, 0),
])
def test_what_counts_as_the_same(change, holds, same):
    wanted = np.array([[1.0, 0.9999], [-4.0, 5.0], [6.0, 0.0]])
    found = compare._agreement("onnx", [wanted], [change(wanted)])
    assert (found.holds, found.same, found.range) == (holds, same, 10.0)


def test_one_photo_of_one_class_has_a_range_by_its_size():
    wanted = np.array([[-4.0]])
    found = compare._agreement("onnx", [wanted], [wanted + 3.6e-8])
    assert found.holds and found.range == 4.0 and found.same == 1
    assert not compare._agreement("onnx", [wanted], [wanted + 1e-3]).holds


def test_pixels_are_counted_where_they_are_what_is_named():
    wanted = np.zeros((2, 3, 4, 5), np.float32)
    wanted[:, 1] = 1.0
    got = wanted.copy()
    got[1, 2, 0, :2] = 1.5  # two pixels of the second photo are of another class
    found = compare._agreement("onnx", [wanted], [got])
    assert (found.photos, found.pixels, found.same, found.largest, found.holds) == (2, 40, 38, 1.5, False)
    assert compare._all([found, found]).as_dict() == {
        "engine": "onnx", "photos": 4, "pixels": 80, "same": 76, "largest": 1.5, "limit": 1e-4, "range": 1.0}
    assert "76 of 80 pixels of 4 photos" in str(compare._all([found, found]))


def test_photos_in_parts_are_judged_by_the_strictest():
    parts = [Agreement("onnx", 4, 1e-6, 1e-3, 10.0, 4), Agreement("onnx", 2, 1e-5, 1e-4, 1.0, 1)]
    assert compare._all(parts) == Agreement("onnx", 6, 1e-5, 1e-4, 1.0, 5)
    assert "pixels" not in compare._all(parts).as_dict()


# ---- what is exported ----------------------------------------------------------------------------------------------


def test_the_recipe_of_the_user_counts_more_than_the_card(weights):
    found = source.load(str(weights), overrides=["DATA.CROP_PCT", "1.0", "MODEL.EVAL_TOKENS", "never"])
    assert found.preprocess == {**VIEW, "image_size": [64, 64], "crop_pct": 1.0}
    assert found.model.eval_token_weight == 0.0 and not found.model.training
    assert source.load(str(weights)).model.eval_token_weight == 0.5
    with pytest.raises(ValueError, match="EVAL.KEEP 0.5 merges patches .* -o EVAL.KEEP 1"):
        source.load(str(weights), overrides=["EVAL.KEEP", "0.5"])
    # photos are shown as the card of a model says, whoever names it
    assert source.load(str(weights), "lvvit_demo").preprocess == {**VIEW, "image_size": [64, 64]}


def test_classes_without_names_are_numbers_and_a_list_gives_them(tmp_path):
    save_state(small_weights(), tmp_path / "a.pdparams")
    found = source.load(str(tmp_path / "a"), "lvvit_demo")
    assert found.ids == ("0", "1", "2") and found.names[1] == "class 1"
    assert "give them with --classes FILE" in "".join(found.told)
    (tmp_path / "names.txt").write_text("x\ny\nz\n")
    listed = str(tmp_path / "names.txt")
    assert source.load(str(tmp_path / "a"), "lvvit_demo", listed).names == ("x", "y", "z")
    with pytest.raises(ValueError, match="names 2 classes, the head of .* has 3 rows"):
        (tmp_path / "names.txt").write_text("x\ny\n")
        source.load(str(tmp_path / "a"), "lvvit_demo", listed)
    assert source.lines_of(["n01440764", "cat"], ["tench", "cat"]) == "n01440764\ttench\ncat\n"


def small_weights():
    return create_model("lvvit_demo", num_classes=3).state_dict()


def test_a_card_of_other_weights_is_named(tmp_path):
    save_state(small_weights(), tmp_path / "a.pdparams", card={**CARD, "image_size": 48})
    with pytest.raises(ValueError, match="card of .* is of other weights: it has 7 classes, their head 3"):
        source.load(str(tmp_path / "a"), "lvvit_demo", overrides=["MODEL.NUM_CLASSES", "3"])


def test_the_model_of_a_run_is_the_one_that_is_evaluated(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    said = ["TOKEN_LABEL.ENABLE", "False", "DATA.EXIF", "ignore", "MODEL.NUM_CLASSES", "3"]
    save_config(get_config("lvvit_demo", said), run / "config.yaml")
    (run / "log.jsonl").touch()
    save_state(small_weights(), run / "best.pdparams", card={**CARD, "num_classes": 3, "classes": ["x", "y", "z"]})
    found = source.load(str(run / "best.pdparams"))
    # its configuration counts: the view, and that its token head was not taught
    assert found.preprocess["exif"] == "ignore" and found.names == ("x", "y", "z")
    assert found.model.eval_token_weight == 0.0
