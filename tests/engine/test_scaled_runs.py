"""A run is the same, bit for bit, whether its data are listed or mapped from an index; on tar shards it goes on where
it stopped."""
from __future__ import annotations

import shutil

import pytest

from ppim import cli
from ppim.data.datasets import find_images
from ppim.engine.command import run
from ppim.index import Index
from tests.helpers import losses, write_tiny_recipe

OPTIONS = ["TRAIN.MAX_STEPS", "4", "SAVE_STEPS", "2", "KEEP_CHECKPOINTS", "3"]
FILES = ("last.pdparams", "last_ema.pdparams", "best.json")


def trained(folder, data, *options):
    """The folder of a run on `data`, from its recipe in `folder`."""
    folder.mkdir()
    run(str(write_tiny_recipe(folder, data)), [*OPTIONS, *options])
    return folder / "run"


def assert_goes_on_to_the_same_end(whole, *options):
    """A copy of a run of which only the checkpoint of step 2 is left, gone on with."""
    copy = shutil.copytree(whole, whole.parent / "copy")
    shutil.rmtree(copy / "checkpoints" / "step_00000004")
    for name in FILES:
        (copy / name).unlink()
    run(str(whole.parent / "tiny.yaml"), [*OPTIONS, *options, "SAVE", str(copy), "MODEL.RESUME", "auto"])
    assert losses(copy) == losses(whole) and len(losses(whole)) == 4
    for name in FILES:
        assert (copy / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory):
    """A copy to put an index beside."""
    return shutil.copytree(tiny_data, tmp_path_factory.mktemp("scaled") / "data")


def test_an_index_that_comes_in_the_middle_of_a_run_changes_nothing(data, tmp_path):
    listed = trained(tmp_path / "listed", data)
    assert cli.main(["data", "index", str(data)]) == 0
    assert isinstance(find_images(data).paths, Index)
    assert_goes_on_to_the_same_end(listed)


def test_a_run_on_shards_that_was_stopped_ends_as_if_it_never_was(data, tmp_path):
    shards = tmp_path / "shards"
    assert cli.main(["data", "shards", str(data), str(shards), "--labels", str(data / "maps")]) == 0
    options = ["TOKEN_LABEL.PATH", str(shards / "train")]
    assert_goes_on_to_the_same_end(trained(tmp_path / "whole", shards, *options), *options, "DATA.NUM_WORKERS", "2")
