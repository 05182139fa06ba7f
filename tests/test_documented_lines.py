"""What the pages of other projects tell their readers to type, typed as written in a copy of the repository.

Only what stands for something of the reader's own is replaced (PLACEHOLDERS), and launchers that need eight GPUs or
another framework (LAUNCHERS). Training lines get more words of the kind their programs take, so that they end after a
step. What cannot be typed here stands in NOT_TYPED with the reason.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import paddle.vision.transforms as T  # noqa: F401  (the name a page's code uses)
import pytest
from PIL import Image

import ppim
from ppim.zoo.hub import evaluation_transforms
from tests.helpers import ROOT, load_script, records, result_of, run_python


class Line(NamedTuple):
    """A line of a page: as written, words added, the model whose random weights must lie at `weights`."""

    project: str
    written: str
    more: str = ""
    model: str = ""
    weights: str = ""


LABEL_DATA = """\
cat label_top5_train_nfnet.tgz.0* > label_top5_train_nfnet.tgz
tar -zxvf label_top5_train_nfnet.tgz
cd data
ln -s /path/to/label_top5_train_nfnet/ label_top5_train_nfnet"""

LABEL_TRAINING = Line(
    "PASSL",
    'python -m paddle.distributed.launch --gpus="0,1,2,3,4,5,6,7" tools/train.py -c configs/lvvit/lvvit_tiny.yaml',
    more="-o TRAIN.MAX_STEPS 1 DATA.BATCH_SIZE 2 DATA.NUM_WORKERS 0 DATA.IMAGE_SIZE 64 MODEL.NUM_CLASSES 3",
)

EVALUATION = [
    Line("TokenLabeling", "CUDA_VISIBLE_DEVICES=0 bash eval.sh /path/to/imagenet/val /path/to/checkpoint",
         model="lvvit_s", weights="elsewhere/checkpoint"),
    Line("PASSL",
         "python tools/train.py -c configs/lvvit/lvvit_tiny.yaml --load ${LVViT_WEGHT_FILE} --evaluate-only",
         model="lvvit_t", weights="elsewhere/lvvit_tiny.pdparams"),
    Line("TL-Align",
         "python main_tla.py --eval --resume checkpoint.pth --model deit_small_patch16_224 "
         "--data-path /path/to/imagenet",
         model="deit_small_patch16_224", weights="checkpoint.pth"),
    Line("PaddleViT", "sh run_eval.sh", model="t2t_vit_7", weights="t2t_vit_7.pdparams"),
    Line("PaddleViT", "sh run_eval_multi.sh", model="t2t_vit_7", weights="t2t_vit_7.pdparams"),
    Line("PaddleViT", """\
CUDA_VISIBLE_DEVICES=0 \\
python main_single_gpu.py \\
    -cfg=./configs/t2t_vit_7.yaml \\
    -dataset=imagenet2012 \\
    -batch_size=16 \\
    -data_path=/path/to/dataset/imagenet/val \\
    -eval \\
    -pretrained=/path/to/pretrained/model/t2t_vit_7  # .pdparams is NOT needed""",
         model="t2t_vit_7", weights="elsewhere/t2t_vit_7.pdparams"),
    Line("PaddleViT", """\
CUDA_VISIBLE_DEVICES=0,1,2,3 \\
python main_multi_gpu.py \\
    -cfg=./configs/t2t_vit_7.yaml \\
    -dataset=imagenet2012 \\
    -batch_size=16 \\
    -data_path=/path/to/dataset/imagenet/val \\
    -eval \\
    -pretrained=/path/to/pretrained/model/t2t_vit_7  # .pdparams is NOT needed""",
         model="t2t_vit_7", weights="elsewhere/t2t_vit_7.pdparams"),
]

SHORT = "-o TRAIN.MAX_STEPS 1 DATA.NUM_WORKERS 0 TRAIN.MODEL_EMA False"
TRAINING = [
    Line("TL-Align", """\
python3 -m torch.distributed.launch --nproc_per_node=8 --use_env main_tla.py \\
--model deit_small_patch16_224 \\
--batch-size 128    \\
--mixup 0.0 \\
--tl-align \\
--data-path /path/to/imagenet  \\
--output_dir /path/to/output  \\
""",
         more=f"--input-size 32 --num-classes 3 {SHORT}"),
    Line("TL-Align", "bash train_deit_small_tla.sh",
         more=f"--input-size 64 --num-classes 3 {SHORT} DATA.BATCH_SIZE 2"),
    Line("PaddleViT", "sh run_train.sh", more=f"-num_classes=3 -image_size=64 {SHORT} DATA.BATCH_SIZE 2"),
    Line("PaddleViT", "sh run_train_multi.sh", more=f"-num_classes=3 -image_size=64 {SHORT} DATA.BATCH_SIZE 2"),
    Line("PaddleViT", """\
CUDA_VISIBLE_DEVICES=0 \\
python main_single_gpu.py \\
  -cfg=./configs/t2t_vit_7.yaml \\
  -dataset=imagenet2012 \\
  -batch_size=16 \\
  -data_path=/path/to/dataset/imagenet/train""",
         more=f"-num_classes=3 -image_size=64 {SHORT}"),
    Line("PaddleViT", """\
CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 \\
python main_multi_gpu.py \\
    -cfg=./configs/t2t_vit_7.yaml \\
    -dataset=imagenet2012 \\
    -batch_size=32 \\
    -data_path=/path/to/dataset/imagenet/train""",
         more=f"-num_classes=3 -image_size=64 {SHORT}"),
]

BUILDING = """\
from config import get_config
from t2t_vit import build_t2t_vit as build_model
# config files in ./configs/
config = get_config('./configs/t2t_vit_7.yaml')
# build model
model = build_model(config)
# load pretrained weights
model_state_dict = paddle.load('./t2t_vit_7.pdparams')
model.set_dict(model_state_dict)"""

# PPIM's page, by size; spaces at the beginning of lines are the page's
VIEWS = {
    size: f"""transforms = T.Compose([
        T.Resize({short}, interpolation='bicubic'),
        T.CenterCrop({size}),
        T.ToTensor(),
        T.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    ])"""
    for size, short in ((224, 248), (384, 384), (448, 448))
}

NOT_TYPED = {
    **{f"wget https://passl.bj.bcebos.com/vision_transformers/TokenLabeling/label_top5_train_nfnet.tgz.0{part}":
       "downloads six gigabytes in all; the archive of LABEL_DATA is made here" for part in range(7)},
    "conda install -c pytorch pytorch torchvision": "another framework; here: pip install -e .",
    "pip install timm==0.3.2": "another framework; here: pip install -e .",
}

PLACEHOLDERS = {
    "/path/to/dataset/imagenet": "{data}",
    "/path/to/imagenet": "{data}",
    "/path/to/checkpoint": "{root}/elsewhere/checkpoint",
    "/path/to/pretrained/model": "{root}/elsewhere",
    "/path/to/output": "{root}/output/theirs",
    "/path/to/label_top5_train_nfnet/": "{root}/label_top5_train_nfnet/",
}

# Paddle's launcher takes no list of devices on a CPU, and torch's wants torch
LAUNCHERS = {
    'python -m paddle.distributed.launch --gpus="0,1,2,3,4,5,6,7"':
        "python -m paddle.distributed.launch --nproc_per_node 2",
    "python3 -m torch.distributed.launch --nproc_per_node=8": "python3 -m paddle.distributed.launch --nproc_per_node=2",
}


def names(lines: list[Line]) -> dict:
    return {"ids": [f"{line.project}: {' '.join(line.written.replace(chr(92), ' ').split())[:60]}" for line in lines]}


# ---- a reader's machine --------------------------------------------------------------------------------------------


def photo(path: Path, size: tuple, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), shade, "uint8")).save(path)


@pytest.fixture(scope="module")
def validation(tmp_path_factory) -> Path:
    """Four pictures of 1,000 classes: lists say which."""
    root = tmp_path_factory.mktemp("validation")
    labels = (0, 250, 500, 999)
    for number in range(4):
        photo(root / "val" / f"{number}.png", (40, 50), 60 * number)
    (root / "val_list.txt").write_text("".join(f"val/{n}.png {label}\n" for n, label in enumerate(labels)))
    (root / "val" / "val_list.txt").write_text("".join(f"{n}.png {label}\n" for n, label in enumerate(labels)))
    return root


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> Path:
    """270 pictures of three classes to train on, which is more than TL-Align's 2 x 128, and six for validation."""
    root = tmp_path_factory.mktemp("training")
    for label in range(3):
        for number in range(90):
            photo(root / "train" / f"class{label}" / f"{number}.png", (36, 40), 70 * label + number // 2)
        for number in range(2):
            photo(root / "val" / f"class{label}" / f"{number}.png", (36, 40), 70 * label + number)
    return root


@pytest.fixture
def repository(tmp_path) -> Iterator[Path]:
    """What a clone has in its root, as far as it is typed; links stay links."""
    root = tmp_path / "repository"
    for path in (ROOT / name for name in ("ppim", "configs", "tools", "compat")):
        shutil.copytree(path, root / path.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".sh"):
            shutil.copy(path, root / path.name, follow_symlinks=False)
    (root / "data").mkdir()
    (root / "elsewhere").mkdir()
    yield root
    shutil.rmtree(root)  # weights of whole models


def write_weights(model: str, path: Path) -> None:
    paddle.save(ppim.create_model(model).state_dict(), str(path))


def typed(written: str, more: str, repository: Path, data: Path) -> str:
    """The line with what is replaced in it, and the words added behind."""
    for before, after in {**LAUNCHERS, **PLACEHOLDERS}.items():
        written = written.replace(before, after.format(root=repository, data=data))
    return f"{written}{more}" if written.endswith("\\\n") else f"{written} {more}".rstrip()


def shell(text: str, repository: Path, data: Path, **env) -> subprocess.CompletedProcess:
    """A new shell in the root of the repository, whose recipes find `data` where they look for it."""
    place = repository / "data" / "ILSVRC2012"
    if not place.is_symlink():
        place.symlink_to(data)
    inherited = {name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", "PYTHON")}
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PPIM_THREADS": "1", **env}
    return subprocess.run(["bash", "-c", text], cwd=repository, env={**inherited, **own}, text=True,
                          capture_output=True, timeout=280)


# ---- the lines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", EVALUATION, **names(EVALUATION))
def test_weights_are_evaluated_by_the_line_as_it_stands(line, repository, validation):
    write_weights(line.model, repository / line.weights)
    done = shell(typed(line.written, line.more, repository, validation), repository, validation,
                 LVViT_WEGHT_FILE=str(repository / line.weights))
    assert result_of(done, launched=True)["count"] == 4


@pytest.mark.parametrize("line", TRAINING, **names(TRAINING))
def test_a_model_is_trained_by_the_line_with_what_keeps_it_short(line, repository, training):
    done = shell(typed(line.written, line.more, repository, training), repository, training)
    result = result_of(done, launched=True)
    assert result["count"] == 6
    folder = "theirs" if "--output_dir" in line.written else "deit_small_tla" if "tla" in line.written else "t2t_vit_7"
    assert (repository / "output" / folder / "last.pdparams").is_file()
    if "tla" in line.written:
        assert "shared by alignment" in done.stdout


def test_label_maps_are_joined_unpacked_linked_and_trained_with(repository, training):
    archive = repository / "whole.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for image in sorted((training / "train").rglob("*.png")):
            label = int(image.parent.name[-1])
            scores = np.stack([np.full((2, 6, 6), 4.0), np.full((2, 6, 6), 0.0)])
            scores[0, 1], scores[1, 0], scores[1, 1] = 1.0, label, (label + 1) % 3
            inside = Path("label_top5_train_nfnet") / image.parent.name / f"{image.stem}.npy"
            np.save(repository / "map.npy", scores.astype("float16"))
            tar.add(repository / "map.npy", inside)
    content = archive.read_bytes()
    share = -(-len(content) // 7)
    for part in range(7):
        path = repository / f"label_top5_train_nfnet.tgz.0{part}"
        path.write_bytes(content[part * share:(part + 1) * share])

    done = shell(typed(f"set -e\n{LABEL_DATA}", "", repository, training), repository, training)
    assert done.returncode == 0, done.stderr
    assert len(list((repository / "data" / "label_top5_train_nfnet").rglob("*.npy"))) == 270
    done = shell(typed(LABEL_TRAINING.written, LABEL_TRAINING.more, repository, training), repository, training)
    assert result_of(done, launched=True)["count"] == 6
    assert records(repository / "output" / "lvvit_tiny")[0]["token_loss"] > 0


def test_a_model_is_built_by_paddlevits_imports(repository, validation):
    """`paddle` is used but not imported on the page."""
    write_weights("t2t_vit_7", repository / "t2t_vit_7.pdparams")
    checks = "print(type(model).__name__, abs(model.head.weight - model_state_dict['head.weight']).max().item())"
    (repository / "page.py").write_text(f"import paddle\n{BUILDING}\n{checks}\n")
    done = shell("export PYTHONPATH=compat\npython page.py", repository, validation)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["T2TViT", "0.0"]


def test_the_folder_on_the_path_changes_nothing_for_the_package():
    env = {"PYTHONPATH": str(ROOT / "compat")}
    done = run_python("-c", "import config, t2t_vit, ppim.config, ppim.models.t2t_vit\n"
                      "print(ppim.config.get_config is config.get_config, ppim.config.__file__)", env=env)
    assert done.stdout.split() == ["True", str(ROOT / "ppim" / "config" / "__init__.py")], done.stderr
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/config", env=env)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("size", VIEWS)
def test_ppims_view_is_the_one_its_models_bring(size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (470, 520, 3)).astype("uint8"))
    theirs = eval(VIEWS[size].removeprefix("transforms = "))(picture)  # noqa: S307
    assert np.array_equal(evaluation_transforms((size, size))(picture).numpy(), theirs.numpy())


# ---- what is behind the names --------------------------------------------------------------------------------------


def test_every_name_in_the_root_leads_to_the_folder_that_says_what_it_is():
    page = (ROOT / "compat" / "README.md").read_text(encoding="utf-8")
    folder = {path.name for path in (ROOT / "compat").iterdir() if path.suffix in (".py", ".sh")}
    assert {name for name in folder if f"`{name}`" not in page} == set()
    for name in folder - {"config.py", "t2t_vit.py"}:
        assert os.readlink(ROOT / name) == f"compat/{name}"
    assert {path.name for path in ROOT.glob("*.sh")} <= folder


@pytest.mark.parametrize(
    ("env", "gpus", "words"),
    [
        ({}, 8, []),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, 2, []),
        ({"GPUS": "0,1"}, 8, ["--gpus=0,1"]),
        ({"NPROC": "4"}, 8, ["--nproc_per_node=4"]),
        ({"NPROC": "4"}, 0, ["--nproc_per_node=4"]),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, 0, ["--nproc_per_node=2"]),
    ],
)
def test_what_the_program_for_several_gpus_asks_of_the_launcher(env, gpus, words):
    assert load_script(ROOT / "compat" / "main_multi_gpu.py").launcher_words(env, gpus) == words


def test_the_program_for_several_gpus_says_that_there_are_none(repository, validation):
    if paddle.device.cuda.device_count():
        pytest.skip("there are GPUs here")
    done = shell("NPROC=1 python main_multi_gpu.py --evaluate-only --load gone", repository, validation)
    assert done.returncode == 1
    assert "note: Paddle sees no GPU here; on the CPU: --nproc_per_node=1 (NPROC sets the number)" in done.stdout


# ---- the pages -----------------------------------------------------------------------------------------------------


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_the_table_holds_every_command_and_import_of_the_pages(published_pages):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted(published_pages.glob("*.txt")))
    written = [*(line.written for line in [*EVALUATION, *TRAINING, LABEL_TRAINING]), *LABEL_DATA.splitlines(), BUILDING,
               *VIEWS.values(), *NOT_TYPED]
    for text in written:
        assert squeezed(text) in squeezed(pages), text
    table = [squeezed(line) for text in written for line in text.splitlines()]
    first_words = r"\s*(?:python3?|bash|sh|cat|tar|cd|ln|wget|conda|pip|from|import|CUDA_VISIBLE_DEVICES=\S+) .*"
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", pages, re.MULTILINE | re.DOTALL)
    missing = [line for block in blocks for line in block.splitlines()
               if re.fullmatch(first_words, line) and squeezed(line) not in table]
    assert missing == []
