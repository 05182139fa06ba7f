"""A run's folder: free or in use, and where to go on."""
import pytest

from ppim.config import get_config, save
from ppim.engine.checkpoint import save_checkpoint
from ppim.engine.run_folder import RunFolder, find_resumed, recipe_of


def test_a_used_run_folder_is_refused_unless_it_is_to_be_resumed(checkpoint, tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare()
    save_checkpoint(folder.checkpoints, checkpoint, 3, keep=2)
    with pytest.raises(ValueError, match="--resume"):
        find_resumed(folder, None)
    for resume in ("auto", str(tmp_path), str(folder.checkpoints / "step_00000003")):
        found, _ = find_resumed(folder, resume)
        assert found.state == checkpoint.state


def test_resuming_a_run_that_has_saved_nothing_yet_starts_it(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare()
    checkpoint, notes = find_resumed(folder, "auto")
    assert checkpoint is None and "starting anew" in notes[0]


def test_resuming_from_a_path_without_checkpoints_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no usable checkpoint"):
        find_resumed(RunFolder(tmp_path / "run"), str(tmp_path / "nowhere"))


def test_a_path_beside_a_run_is_one_where_nothing_is(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.neighbour() == str(tmp_path / "run_2")
    (tmp_path / "run_2").mkdir()
    (tmp_path / "run_3").touch()
    assert folder.neighbour() == str(tmp_path / "run_4")


def test_a_checkpoint_that_was_never_finished_is_named_so(checkpoint, tmp_path):
    path = save_checkpoint(tmp_path / "elsewhere", checkpoint, 3, keep=2)
    (path / "MANIFEST").unlink()
    with pytest.raises(ValueError, match="step_00000003 is no usable checkpoint: no MANIFEST in it"):
        find_resumed(RunFolder(tmp_path / "run"), str(path))


def test_weights_of_a_run_from_before_the_key_are_evaluated_on_photos_as_they_are_stored(tmp_path):
    save(get_config(), tmp_path / "config.yaml")
    (tmp_path / "log.jsonl").write_text("")
    assert recipe_of(str(tmp_path / "best"))[1] == []
    lines = (tmp_path / "config.yaml").read_text().splitlines()
    (tmp_path / "config.yaml").write_text("\n".join(line for line in lines if "EXIF" not in line))
    recipe, overrides, _ = recipe_of(str(tmp_path / "best"))
    assert get_config(recipe, overrides).DATA.EXIF == "ignore"
