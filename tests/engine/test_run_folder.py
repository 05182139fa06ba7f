"""A run's folder: free or in use, and where to go on."""
import pytest

from ppim.config import get_config, save
from ppim.engine.checkpoint import Checkpoint, save_checkpoint
from ppim.engine.run_folder import RunFolder, find_resumed, recipe_of, weights_file


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


def test_a_folder_with_nothing_but_a_record_is_in_use(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare()
    folder.log.touch()
    folder.check_free()  # a start that failed before its first record
    folder.log.write_text("{}\n")
    with pytest.raises(ValueError, match="holds a run already"):
        folder.check_free()


@pytest.mark.parametrize(("name", "card", "kind"), [
    ("best.pdparams", '{"weights": "ema"}', "ema"), ("best.pdparams", '{"weights": "raw"}', ""),
    ("best.pdparams", None, ""), ("last_ema.pdparams", None, "ema"), ("last.pdparams", '{"weights": "ema"}', ""),
])
def test_a_file_of_weights_is_averaged_where_its_name_or_its_card_says_so(name, card, kind, tmp_path):
    if card:
        (tmp_path / "best.json").write_text(card)
    path = str(tmp_path / name)
    assert weights_file(path, "elsewhere", "auto") == (path, kind)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b'{"weights"', b"\xff\xfe"])
def test_a_damaged_card_of_the_best_weights_is_named(content, tmp_path):
    (tmp_path / "best.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"{tmp_path / 'best.json'} does not say which weights best.pdparams are"):
        weights_file(str(tmp_path / "best.pdparams"), "elsewhere", "auto")


def test_without_checkpoints_a_run_folder_means_the_weights_beside_them(tmp_path):
    for name in ("last.pdparams", "last_ema.pdparams"):
        (tmp_path / name).touch()
    assert weights_file(str(tmp_path), "", "auto") == (str(tmp_path / "last_ema.pdparams"), "ema")
    assert weights_file(str(tmp_path), "", "raw") == (str(tmp_path / "last.pdparams"), "raw")
    (tmp_path / "last_ema.pdparams").unlink()
    assert weights_file(str(tmp_path), "", "auto") == (str(tmp_path / "last.pdparams"), "raw")


def test_averaged_weights_are_taken_of_a_run_unless_it_has_none(checkpoint, tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare()
    with_average = save_checkpoint(folder.checkpoints, checkpoint, 3, keep=2)
    assert weights_file("auto", str(tmp_path), "auto") == (str(with_average / "ema.safetensors"), "ema")
    assert weights_file(str(tmp_path), "", "raw") == (str(with_average / "model.safetensors"), "raw")
    tensors = {name: value for name, value in checkpoint.tensors.items() if name != "ema"}
    without = Checkpoint(tensors, checkpoint.state._replace(step=4, ema_updates=0))
    save_checkpoint(folder.checkpoints, without, 4, keep=2)
    newest = folder.checkpoints / "step_00000004"
    assert weights_file("auto", str(tmp_path), "auto") == (str(newest / "model.safetensors"), "raw")
    with pytest.raises(ValueError, match="has no averaged weights; .*EVAL.WEIGHTS raw"):
        weights_file("auto", str(tmp_path), "ema")
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        weights_file(str(tmp_path / "checkpoints"), "", "auto")
