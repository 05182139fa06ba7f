"""A user's mistake: one line that names the file or key and says what to do, exit code 1, no traceback."""
import os
import pickle
import shutil

import numpy as np
import pytest

from tests.helpers import run_python


@pytest.fixture
def spoilt(tiny_data, tmp_path):
    """A copy of the tiny data set that a test may spoil."""
    return shutil.copytree(tiny_data, tmp_path / "data")


def fails(config, *args) -> str:
    """The one line that a failing command prints."""
    done = run_python("tools/train.py", "-c", config, *args)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


def with_data(root) -> list:
    return ["-o", "DATA.DATA_PATH", root, "TOKEN_LABEL.PATH", root / "maps"]


def first_map(root):
    return root / "maps" / "class0" / "photo.0.npy"


def test_a_missing_map_is_found_before_training_starts(tiny_config, spoilt):
    first_map(spoilt).unlink()
    line = fails(tiny_config, *with_data(spoilt))
    assert "1 of 24 images have no label map" in line and "class0/photo.0.png" in line and "ppim labels make" in line


def test_a_missing_map_folder_says_how_to_train_without(tiny_config, spoilt):
    shutil.rmtree(spoilt / "maps")
    line = fails(tiny_config, *with_data(spoilt))
    assert str(spoilt / "maps") in line and "TOKEN_LABEL.ENABLE False" in line


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 6, 8), "float16"), "got shape [2, 6, 8]"),
        (np.full((2, 2, 6, 8), np.nan, "float16"), "not finite"),
        (np.full((2, 2, 6, 8), 3, "float16"), "3"),
        (np.full((2, 2, 6, 8), 0.5, "float16"), "whole"),
        (b"", ""),
        (b"\x93NUMPY\x01\x00\x10", ""),
    ],
    ids=["shape", "nan", "id out of range", "fractional id", "empty", "truncated"],
)
def test_a_bad_map_is_named(tiny_config, spoilt, array, words):
    for path in (spoilt / "maps" / "class0").iterdir():
        if isinstance(array, bytes):
            path.write_bytes(array)
        else:
            np.save(path, array)
    line = fails(tiny_config, *with_data(spoilt))
    assert str(spoilt / "maps" / "class0" / "photo.") in line and words in line


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_truncated_image_is_named_from_any_process(tiny_config, spoilt, workers):
    for image in (spoilt / "train" / "class1").iterdir():
        image.write_bytes(image.read_bytes()[:300])
    line = fails(tiny_config, *with_data(spoilt), "DATA.NUM_WORKERS", workers)
    assert str(spoilt / "train" / "class1" / "photo.") in line


def test_an_empty_class_folder_is_named(tiny_config, spoilt):
    (spoilt / "train" / "class9").mkdir()
    assert "class9" in fails(tiny_config, *with_data(spoilt))


def test_splits_with_other_classes_are_refused(tiny_config, spoilt):
    (spoilt / "val" / "class2").rename(spoilt / "val" / "class3")
    line = fails(tiny_config, *with_data(spoilt))
    assert "class2" in line and "class3" in line


def test_an_unknown_key_is_answered_with_the_nearest(tiny_config):
    line = fails(tiny_config, "-o", "TRAIN.NUM_EPOCH", "3")
    assert "TRAIN.NUM_EPOCH" in line and "did you mean TRAIN.NUM_EPOCHS" in line


def test_a_data_path_that_is_not_there_is_named(tiny_config):
    assert "/no/such/folder" in fails(tiny_config, "-o", "DATA.DATA_PATH", "/no/such/folder")


def test_more_classes_than_the_model_has_are_refused(tiny_config):
    assert "MODEL.NUM_CLASSES 3" in fails(tiny_config, "-o", "MODEL.NUM_CLASSES", "2")


def test_fewer_images_than_a_batch_are_refused(tiny_config):
    assert "DATA.BATCH_SIZE" in fails(tiny_config, "-o", "DATA.BATCH_SIZE", "100")


def test_a_used_run_folder_is_refused_with_what_to_type(tiny_config):
    assert run_python("tools/train.py", "-c", tiny_config, "-o", "TRAIN.MAX_STEPS", "1").returncode == 0
    assert "--resume" in fails(tiny_config)


def test_a_run_folder_that_cannot_be_written_is_named(tiny_config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in fails(tiny_config, "-o", "SAVE", tmp_path / "file" / "run")


class TestWeights:
    def test_none_are_named(self, tiny_config):
        assert "exactly one of --load" in fails(tiny_config, "--evaluate-only")

    def test_two_are_named(self, tiny_config):
        line = fails(tiny_config, "--evaluate-only", "--load", "a.pdparams", "--resume", "b")
        assert "a.pdparams" in line and "exactly one" in line

    def test_the_file_is_not_there(self, tiny_config):
        assert "nowhere.pdparams" in fails(tiny_config, "--evaluate-only", "--load", "nowhere.pdparams")

    def test_the_file_is_of_another_model(self, tiny_config, tmp_path):
        path = tmp_path / "other.pdparams"
        path.write_bytes(pickle.dumps({"head.weight": np.zeros((4, 3), "float32"), "neck": np.zeros(3, "float32")}))
        line = fails(tiny_config, "--evaluate-only", "--load", path)
        assert str(path) in line and "neck" in line and "head.weight [4, 3] for [16, 3]" in line

    def test_the_file_is_no_weights_file(self, tiny_config, tmp_path):
        path = tmp_path / "page.pdparams"
        path.write_text("<html>404</html>")
        assert str(path) in fails(tiny_config, "--evaluate-only", "--load", path)

    def test_the_file_would_run_code(self, tiny_config, tmp_path):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path / 'ran'}",)

        path = tmp_path / "evil.pdparams"
        path.write_bytes(pickle.dumps({"head.weight": Evil()}))
        assert str(path) in fails(tiny_config, "--evaluate-only", "--load", path)
        assert not (tmp_path / "ran").exists()


def test_debug_shows_where_it_happened(tiny_config):
    done = run_python("tools/train.py", "-c", tiny_config, "--debug", "-o", "DATA.DATA_PATH", "/no/such/folder")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_a_loss_that_is_no_number_stops_the_run_and_spoils_no_checkpoint(tiny_config, tmp_path):
    options = ["-o", "TRAIN.BASE_LR", "1e30", "TRAIN.OPTIMIZER.NAME", "SGD", "SAVE_STEPS", "1",
               "TRAIN.MODEL_EMA", "False"]
    line = fails(tiny_config, *options)
    assert "error: step 2 " in line and "not finite" in line and "TRAIN.GRAD_CLIP" in line
    from ppim.engine.checkpoint import load_checkpoint
    from ppim.weights.checkpoints import newest_valid

    newest, _ = newest_valid(tmp_path / "run" / "checkpoints")
    assert all(np.isfinite(value).all() for value in load_checkpoint(newest).tensors["model"].values())
