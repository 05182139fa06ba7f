"""Other projects' command lines and the shell scripts, as real processes on small pictures."""
import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from ppim.config import get_config
from ppim.weights import save_state
from tests.helpers import ROOT, records, result_of, run_python

TINY_T2T = """
DATA: {IMAGE_SIZE: 32, CROP_PCT: 1.0, NUM_WORKERS: 0}
MODEL:
    TYPE: T2T-ViT
    NAME: t2t-vit-tiny
    NUM_CLASSES: 3
    TRANS: {TOKEN_TYPE: performer, EMBED_DIM: 16, DEPTH: 1, NUM_HEADS: 2, MLP_RATIO: 2, QKV_BIAS: False, QK_SCALE: None}
TRAIN: {NUM_EPOCHS: 3, WARMUP_EPOCHS: 1, BASE_LR: 1e-3, ACCUM_ITER: 1}
"""


def run_script(script, *args, cwd, **env):
    """A shell script under the system's sh, from a folder that is not the repository."""
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    own = {"PPIM_THREADS": "1", "PYTHON": sys.executable, **env}
    return subprocess.run(["sh", ROOT / script, *map(str, args)], cwd=cwd, env={**inherited, **own}, text=True,
                          capture_output=True, timeout=180)


@pytest.fixture
def trained(tiny_config, tmp_path):
    """The folder of a run of two steps."""
    assert run_python("tools/train.py", "-c", tiny_config, "-o", "TRAIN.MAX_STEPS", 2).returncode == 0
    return tmp_path / "run"


@pytest.mark.smoke
def test_paddlevits_training_and_evaluation_as_its_page_has_them(tiny_data, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY_T2T)
    done = run_python("tools/train.py", f"-cfg={tmp_path / 'tiny.yaml'}", "-dataset=imagenet2012", "-batch_size=8",
                      f"-data_path={tiny_data / 'train'}", f"-output={tmp_path / 'out'}", "-o", "TRAIN.MAX_STEPS", 2)
    assert result_of(done)["count"] == 11  # val/ beside train/
    done = run_python("tools/train.py", f"-cfg={tmp_path / 'tiny.yaml'}", "-dataset=imagenet2012", "-batch_size=4",
                      f"-data_path={tiny_data / 'val'}", "-eval", f"-pretrained={tmp_path / 'out' / 'last'}")
    assert result_of(done)["count"] == 11


def test_tl_aligns_training_and_evaluation_as_its_page_has_them(tiny_data, tmp_path):
    small = ["--input-size", 32, "--num-classes", 3, "--num_workers", 0]
    done = run_python(
        "tools/train.py", "--model", "deit_tiny_patch16_224", "--batch-size", 8, "--mixup", 0.0, "--tl-align",
        "--data-path", tiny_data, "--output_dir", tmp_path / "out", *small, "--device", "cuda",
        "-o", "TRAIN.MAX_STEPS", 1,
    )
    assert result_of(done)["count"] == 11
    assert "shared by alignment" in done.stdout and "note: --device" in done.stdout
    shutil.copy(tmp_path / "out" / "last.pdparams", tmp_path / "checkpoint.pth")
    line = ["tools/train.py", "--eval", "--resume", tmp_path / "checkpoint.pth", "--model", "deit_tiny_patch16_224",
            "--data-path", tiny_data, *small]
    assert result_of(run_python(*line))["count"] == 11
    line.remove("--eval")
    done = run_python(*line)
    assert done.returncode == 1 and "checkpoint.pth is a file of weights" in done.stderr and "--load" in done.stderr


def test_deits_evaluation_takes_the_raw_weights_of_a_file_and_ours_the_average(tiny_data, tmp_path):
    from ppim.models import create_model

    parts = {}
    for part in ("model", "model_ema"):
        state = create_model("deit_tiny", num_classes=3, image_size=32, depth=2).state_dict()
        parts[part] = {name: value.numpy() for name, value in state.items()}
        save_state(state, tmp_path / f"{part}.pdparams")
    (tmp_path / "checkpoint.pth").write_bytes(pickle.dumps({**parts, "epoch": 3}, 2))
    ours = ["--model", "deit_tiny", "--data-path", tiny_data, "--input-size", 32, "--num-classes", 3, "-j", 0,
            "-o", "MODEL.TRANS.DEPTH", 2]
    alone = {part: result_of(run_python("tools/train.py", "-eval", "--load", tmp_path / part, *ours)) for part in parts}
    assert alone["model"]["loss"] != alone["model_ema"]["loss"]
    done = run_python("tools/train.py", "--eval", "--resume", tmp_path / "checkpoint.pth", *ours)
    assert result_of(done) == alone["model"] and "evaluating the weights on" in done.stdout
    done = run_python("tools/train.py", "--evaluate-only", "--load", tmp_path / "checkpoint.pth", *ours)
    assert result_of(done) == alone["model_ema"] and "evaluating the running average on" in done.stdout


def test_token_labelings_fine_tuning_on_data_without_maps(tiny_data, tmp_path):
    from ppim.models import create_model

    save_state(create_model("lvvit_demo").state_dict(), tmp_path / "checkpoint.pdparams")  # of 10 classes, 48 pixels
    done = run_python(
        "tools/train.py", tiny_data, "--model", "lvvit_demo", "-b", 4, "--apex-amp", "--img-size", 64, "--drop-path",
        0.1, "--token-label", "--token-label-size", 8, "--dense-weight", 0.0, "--num-classes", 3, "--lr", 1e-3,
        "--finetune", tmp_path / "checkpoint", "--output", tmp_path / "out", "-j", 0,
        "-o", "TRAIN.MAX_STEPS", 2, "TRAIN.WARMUP_EPOCHS", 0, "TOKEN_LABEL.VAL_PATH", "",
    )
    assert result_of(done)["count"] == 11
    assert "teaching   plain labels" in done.stdout and "rate       0.001, cosine" in done.stdout
    assert "pos_embed" in done.stdout and "head.weight" in done.stdout  # resized; started afresh
    left = get_config(tmp_path / "out" / "config.yaml").MODEL  # a recipe, whatever this run began with
    assert (left.PRETRAINED, left.NEW_HEADS, left.NUM_CLASSES) == (None, "never", 3)
    first = records(tmp_path / "out")[0]
    assert first["token_loss"] == 0 and first["lr"] == pytest.approx(1e-3, rel=0.1)


def test_weights_under_another_heads_number_of_classes_are_fine_tuned_unasked(tiny_config, trained, tmp_path):
    done = run_python("tools/train.py", "-c", tiny_config, "--finetune", trained / "last", "--output_dir",
                      tmp_path / "next", "-num_classes=4", "-o", "TRAIN.MAX_STEPS", 1, "TOKEN_LABEL.ENABLE", False)
    assert result_of(done)["count"] == 11
    assert "head.weight" in done.stdout and "head.weight" not in run_python(
        "tools/train.py", "-c", tiny_config, "--finetune", trained / "last", "--output_dir", tmp_path / "same",
        "-o", "TRAIN.MAX_STEPS", 1).stdout


def test_two_sources_of_weights_are_an_error_that_names_them(tiny_config):
    done = run_python("tools/train.py", "-c", tiny_config, "-eval", "--finetune", "a", "-pretrained=b")
    assert done.returncode == 1 and "--finetune a and -pretrained b contradict" in done.stderr


def test_there_is_nothing_to_evaluate_of_heads_that_start_afresh(tiny_config):
    done = run_python("tools/train.py", "-c", tiny_config, "--evaluate-only", "--load", "w", "--new-heads")
    assert done.returncode == 1 and "--new-heads" in done.stderr and "train first" in done.stderr


def test_without_a_recipe_only_evaluation_knows_what_to_do(tiny_data):
    done = run_python("tools/train.py", "--load", "w")
    assert done.returncode == 2 and "--model NAME" in done.stderr
    for weights in ("--load", "--finetune", "--resume"):
        done = run_python("tools/train.py", "--evaluate-only", weights, "gone")
        assert done.returncode == 1 and "gone" in done.stderr


def test_help_names_our_spelling_and_says_that_others_are_understood():
    text = run_python("tools/train.py", "--help").stdout
    assert "flags of PaddleViT" in text and "-cfg" not in text
    assert "--evaluate-only" in text and "--tl-align" in text


def test_visible_gpus_that_one_process_leaves_idle_are_told(tiny_config):
    done = run_python("tools/train.py", "-c", tiny_config, "-eval", "--load", "nowhere",
                      env={"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    assert "names 4 GPUs" in done.stdout and "paddle.distributed.launch" in done.stdout


# ---- scripts -------------------------------------------------------------------------------------------------------


def test_the_scripts_for_one_device_train_and_evaluate_from_anywhere(tiny_config, tiny_data, tmp_path):
    elsewhere = tmp_path / "a folder"
    elsewhere.mkdir()
    done = run_script("run_train.sh", tiny_config, tiny_data, "-o", "TRAIN.MAX_STEPS", 1, cwd=elsewhere)
    assert result_of(done)["count"] == 11
    (elsewhere / "tiny.pdparams").symlink_to(tmp_path / "run" / "last.pdparams")
    done = run_script("run_eval.sh", cwd=elsewhere, CONFIG=str(tiny_config), DATA=str(tiny_data / "val"))
    assert result_of(done)["count"] == 11
    done = run_script("run_eval.sh", tiny_config, tiny_data, tmp_path / "run", "-o", "EVAL.WEIGHTS", "raw",
                      cwd=elsewhere)
    assert result_of(done)["count"] == 11 and "evaluating the weights on" in done.stdout


@pytest.mark.smoke
def test_the_scripts_for_several_devices_start_several_processes(tiny_config, tiny_data, tmp_path):
    done = run_script("run_train_multi.sh", tiny_config, tiny_data, "-o", "TRAIN.MAX_STEPS", 1, cwd=tmp_path)
    assert result_of(done)["count"] == 11 and "2 processes x 4" in done.stdout
    done = run_script("run_eval_multi.sh", tiny_config, tiny_data / "val", tmp_path / "run", cwd=tmp_path)
    assert result_of(done)["count"] == 11


def test_the_scripts_for_several_devices_hand_over_to_the_program_for_them(tmp_path):
    done = run_script("run_eval_multi.sh", "lvvit_s", "/data", "w", "-amp", cwd=tmp_path, PYTHON="echo")
    assert done.stdout.split() == [str(ROOT / "main_multi_gpu.py"), *"-c lvvit_s --data-path /data".split(),
                                   *"--evaluate-only --load w -amp".split()]


def test_the_script_of_tl_align_starts_its_recipe(tmp_path):
    done = run_script("train_deit_small_tla.sh", "/data", "-o", "SEED", 1, cwd=tmp_path, PYTHON="echo")
    assert done.stdout.split() == [str(ROOT / "main_multi_gpu.py"), *"-c deit_small_tla".split(),
                                   *"--data-path /data -o SEED 1".split()]
    assert (ROOT / "configs" / "deit" / "deit_small_tla.yaml").is_file()


@pytest.mark.parametrize(
    ("script", "word"),
    [("run_train.sh", "CONFIG"), ("run_train_multi.sh", "GPUS"), ("run_eval.sh", "WEIGHTS"),
     ("run_eval_multi.sh", "GPUS"), ("eval.sh", "CHECKPOINT"), ("train_deit_small_tla.sh", "GPUS")],
)
def test_every_script_explains_itself(script, word, tmp_path):
    done = run_script(script, "--help", cwd=tmp_path)
    assert done.returncode == 0 and word in done.stdout
    assert "here=" not in done.stdout and not done.stderr


class TestEvalScript:
    def test_the_folder_of_a_run_is_evaluated_with_its_own_recipe(self, trained, tiny_data, tmp_path):
        done = run_script("eval.sh", tiny_data / "val", trained, cwd=tmp_path)
        assert result_of(done)["count"] == 11 and str(trained / "config.yaml") in done.stdout

    def test_a_file_is_recognised_by_its_contents(self, tiny_data, tmp_path):
        self.write_deit(tmp_path / "best_checkpoint.pth")
        done = run_script("eval.sh", tiny_data / "val", tmp_path / "best_checkpoint.pth", "-o", "DATA.NUM_WORKERS", 0,
                          cwd=tmp_path)
        assert result_of(done)["count"] == 11
        assert "recipe: deit_tiny, recognised" in done.stdout

    def test_every_file_of_a_folder_is_evaluated(self, tiny_data, tmp_path):
        folder = tmp_path / "weights of two"
        folder.mkdir()
        self.write_deit(folder / "a.pth")
        (folder / "b.pdparams").write_text("<html>")
        done = run_script("eval.sh", tiny_data, folder, "deit_tiny", "-num_classes=3", "-j", 0, cwd=tmp_path)
        assert done.returncode == 1 and "b.pdparams" in done.stderr
        assert json.loads(done.stdout.strip().splitlines()[-1])["count"] == 11

    def test_what_is_missing_is_told(self, tmp_path):
        assert run_script("eval.sh", cwd=tmp_path).returncode == 2
        done = run_script("eval.sh", "/data", tmp_path, cwd=tmp_path)
        assert done.returncode == 1 and f"no weights in {tmp_path}" in done.stderr

    @staticmethod
    def write_deit(path):
        import pickle

        from ppim.models import create_model

        state = create_model("deit_tiny", num_classes=3).state_dict()
        path.write_bytes(pickle.dumps({name: value.numpy() for name, value in state.items()}, 2))
