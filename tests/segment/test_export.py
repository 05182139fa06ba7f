"""A bundle of a segmenter: its program against evaluation, function by function, and as a whole with every engine."""
import importlib.util
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

import ppim.export
from ppim.cli import main
from ppim.data import preprocess
from ppim.data.masks import read_mask
from ppim.data.paths import meant
from ppim.export import segmenter
from ppim.export.engines import FORMATS
from ppim.models.program import write_program
from ppim.segment.heads import POOLED, Pool, resized
from ppim.segment.sliding import best_class, slid
from ppim.segment.view import fitted
from ppim.strict_json import dumps
from ppim.trained.masks import reader_of, write_masks
from tests.helpers import run_python
from tests.segment.painted import painted, some_mask

OURS = Path(ppim.export.__file__).parent
READY = [name for name in FORMATS if all(find_spec(package) for package in FORMATS[name].needs)]


@pytest.fixture(scope="module")
def source(whole):
    return segmenter.load(str(whole[1]))


@pytest.fixture(scope="module")
def program(source, tmp_path_factory):
    """The program of a bundle as a module, in a bundle that has no network yet."""
    folder = tmp_path_factory.mktemp("program")
    for name, ours in source.kind.program.items():
        shutil.copyfile(OURS / ours, folder / name)
    shutil.copyfile(preprocess.__file__, folder / "preprocess.py")
    (folder / "preprocess.json").write_text(dumps(source.preprocess))
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("infer", folder / "infer.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(folder))
        for name in ("engines", "preprocess"):
            sys.modules.pop(name, None)


def asked(model):
    """A network as engines give it."""
    def run(batch):
        with paddle.no_grad():
            return [model(paddle.to_tensor(batch)).numpy()]

    return run


def test_the_program_slides_and_averages_as_evaluation_does(source, program, ade, tmp_path):
    painted(some_mask(np.random.default_rng(1), 9, 60)).save(tmp_path / "low.png")  # 40 x 6 pixels once resized
    for path in [tmp_path / "low.png", *sorted((ade / "images" / "validation").iterdir())]:
        photo = program.decoded(str(path))
        found = program.logits_of(asked(source.model), photo, at_once=3)
        np.testing.assert_allclose(found, segmenter.logits_of(source.model, source.preprocess, str(path)), atol=1e-5)
        if min(fitted(photo.size, source.preprocess["scale"])) >= 16:  # no window is filled up, so it is evaluation
            shown = np.asarray(photo.resize(fitted(photo.size, source.preprocess["scale"]), Image.Resampling.BILINEAR))
            picture = program.normalised(shown.transpose(2, 0, 1), source.preprocess["mean"], source.preprocess["std"])
            with paddle.no_grad():
                theirs = slid(source.model, paddle.to_tensor(picture[None]), 16, 11, 4)
            np.testing.assert_allclose(found, theirs[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("hw", [(9, 14), (40, 23), (13, 17)])
def test_the_program_resizes_and_chooses_as_evaluation_does(program, hw):
    logits = np.random.default_rng(0).standard_normal((20, 13, 17)).astype("float32")
    theirs = paddle.nn.functional.interpolate(paddle.to_tensor(logits[None]), size=list(hw), mode="bilinear",
                                              align_corners=False)[0].numpy()
    np.testing.assert_allclose(program.resized(logits, hw), theirs, atol=1e-5)
    found = program.classes_of(logits, hw)
    second, first = np.sort(theirs, axis=0)[-2:]
    clear = first - second > 1e-4
    np.testing.assert_array_equal(found[clear], best_class(paddle.to_tensor(logits[None]), hw).numpy()[clear])
    assert clear.mean() > 0.99 and program.classes_of(np.zeros((3, 2, 2), "float32"), (4, 4)).max() == 0


@pytest.mark.smoke
def test_maps_are_pooled_and_resized_alike_in_a_program(tmp_path):
    class Alone(paddle.nn.Layer):
        image_size = (8, 7)

        def __init__(self):
            super().__init__()
            self.pools, self.tint = paddle.nn.LayerList(map(Pool, POOLED)), paddle.nn.Conv2D(3, 3, 1)

        def forward(self, x):
            maps = [*(pool(x) for pool in self.pools), x, resized(x, (3, 4))]
            return self.tint(paddle.concat([resized(one, (5, 9)) for one in maps], axis=0))

    model, x = Alone(), paddle.randn([2, 3, 8, 7])
    write_program(model, tmp_path, tokens=False)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), atol=1e-5)


@pytest.mark.runs
def test_a_bundle_writes_the_masks_of_the_segmenter_with_every_engine(whole, ade, tmp_path, capsys):
    photos, folder = ade / "images" / "validation", tmp_path / "bundle"
    assert main(["export", "--load", str(whole[1]), "--output", str(folder), "--formats", *READY, "--photos",
                 str(photos)]) == 0
    told = capsys.readouterr().out
    card = json.loads((folder / "card.json").read_text())
    assert card["task"] == "segment" and [check["engine"] for check in card["checked"]] == READY
    assert all(check["photos"] == 5 and check["largest"] <= check["limit"] for check in card["checked"])
    assert told.count(" of 5 photos; largest difference of a logit") == len(READY)
    named = meant([str(photos)])
    ours = list(write_masks(reader_of(str(whole[1])), named, tmp_path / "ours"))
    before = {path: path.read_bytes() for path in photos.iterdir()}
    done = run_python(folder / "infer.py", photos, "--masks", photos, cwd=tmp_path)
    assert done.returncode == 2 and "would be written over; give another --masks DIR" in done.stderr
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
    for words in (["--list", tmp_path / "none.txt"], [photos, "--masks", folder / "card.json"],
                  [photos, "--logits", folder / "card.json" / "x.npz"]):
        done = run_python(folder / "infer.py", *words, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    for engine in READY:
        done = run_python(folder / "infer.py", photos, "--engine", engine, "--masks", tmp_path / engine, "--json",
                          cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["path"] for line in lines] == [photo.path for photo in named]
        for line, one in zip(lines, ours):
            theirs, mine = read_mask(line["mask"], 3), read_mask(one.mask, 3)
            assert theirs.shape == mine.shape and np.mean(theirs != mine) < 0.01
            assert sum(seen["share"] for seen in line["classes"]) == pytest.approx(1)
