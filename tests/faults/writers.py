"""What does ppim write, and what must be there when all went well? One `Writer` each: how it is started and started
again, and what of its folder is compared."""
from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.cli import main
from ppim.commands import guarded
from ppim.config import altered
from ppim.files import sha256

CLASSES, TRAIN, VAL = 3, 20, 12
RECIPE = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 24, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 6, NUM_WORKERS: 0, CROP_PCT: 1.0}}
MODEL:
  NAME: tiny
  NUM_CLASSES: 3
  DROPPATH: 0.1
  DROPOUT: 0.1
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 8, DEPTH: 1, NUM_HEADS: 1, MLP_RATIO: 2, QKV_BIAS: False, SKIP_LAM: 1.0,
           STEM_CHANNELS: 4}}
TRAIN: {{NUM_EPOCHS: 3, WARMUP_EPOCHS: 0, BASE_LR: 3.0e-2, MIXUP_ALPHA: 0.8, CUTMIX_ALPHA: 1.0, MODEL_EMA: True,
         MODEL_EMA_DECAY: 0.8, AUTO_AUGMENT: "", LINEAR_SCALED_LR: null}}
TOKEN_LABEL: {{ENABLE: True, PATH: {data}/maps, FRAME: whole}}
MIX: {{TOKEN_ALPHA: 1.0}}
SAVE: run
SAVE_STEPS: 3
SAVE_FREQ: 100
REPORT_FREQ: 1
VALIDATE_FREQ: 1
"""


class Writer(NamedTuple):
    """A part of ppim that writes files.

    `words`, `again`: the command and what takes it up after a fault; {base} stands for the folder of inputs, {url} for
    the address of a file. `begin(base, folder)` makes what is in the folder before the command starts.
    """

    words: tuple[str, ...]
    again: tuple[str, ...]
    begin: Callable[[Path, Path], object] = lambda base, folder: None

    def named(self, base: Path, url: str, again: bool = False) -> list[str]:
        """The words to type."""
        return [word.format(base=base, url=url) for word in (self.again if again else self.words)]


# ---- inputs --------------------------------------------------------------------------------------------------------


def draw(data: Path) -> None:
    """Training and validation pictures whose colour is their class, and maps of the former."""
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("val", VAL)):
        for number in range(count):
            label = number % CLASSES
            pixels = rng.integers(0, 160, (24, 24 + number % 3, 3))
            pixels[..., label] += 80
            path = data / split / f"class{label}" / f"{number:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype("uint8")).save(path)
            if split == "train":
                ids = np.tile(((label + np.arange(2)) % CLASSES)[:, None, None], (1, 3, 3))
                scores = rng.normal(size=(2, 3, 3)) + np.array([6.0, 2.0])[:, None, None]
                place = data / "maps" / f"class{label}" / f"{number:02d}.npy"
                place.parent.mkdir(parents=True, exist_ok=True)
                np.save(place, np.stack([scores, ids]).astype("float16"))


def archives(base: Path) -> None:
    """Two classes of ImageNet, four photos each, and three of validation."""

    def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    def picture(shade: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), shade, "uint8")).save(buffer, "JPEG")
        return buffer.getvalue()

    wnids = ("n01440764", "n02119789")
    (base / "archives").mkdir()
    classes = {f"{wnid}.tar": tar({f"{wnid}_{n}.JPEG": picture(20 * n) for n in range(4)}) for wnid in wnids}
    (base / "archives" / "ILSVRC2012_img_train.tar").write_bytes(tar(classes))
    photos = {f"ILSVRC2012_val_{n:08d}.JPEG": picture(50 * n) for n in (1, 2, 3)}
    (base / "archives" / "ILSVRC2012_img_val.tar").write_bytes(tar(photos))
    devkit = {"kit/data/ILSVRC2012_validation_ground_truth.txt": b"2\n1\n2\n", "kit/data/meta.mat": b""}
    (base / "archives" / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar(devkit, "w:gz"))
    (base / "archives" / "synsets").write_text("".join(f"{wnid}\n" for wnid in wnids))


# ---- what is compared ----------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    """A digest by path of all that lies below a folder; curves of VisualDL and the log's lines apart, see `log_of`."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files
            if path.name != "log.jsonl" and "vdlrecords" not in path.name}


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a run's configuration, sealed as it is, whatever its number of workers, which changes no
    result; none of the lock, which names its holder."""
    if path.name != "config.yaml":
        return sha256(path) if path.name != ".lock" else ""
    seal, _, text = path.read_bytes().partition(b"\n")
    sealed = b"damaged" if altered(path) else seal[:-64]
    return hashlib.sha256(sealed + re.sub(rb"NUM_WORKERS: \d", b"NUM_WORKERS: 0", text)).hexdigest()


class Log(NamedTuple):
    """`losses` by step and `top1` by step and weights, the last word on each; `torn`: lines that are no records."""

    losses: dict[int, float]
    evaluations: dict[str, float]
    torn: int


def log_of(folder: Path) -> Log:
    """What the log of the run in `folder` says."""
    path = folder / "run" / "log.jsonl"
    found = Log({}, {}, 0)
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            found = found._replace(torn=found.torn + 1)
            continue
        if record["event"] == "train":
            found.losses[record["step"]] = record["loss"]
        elif record["event"].startswith("eval_"):
            found.evaluations[f"{record['event']} {record['step']}"] = record["loss"]
    return found


# ---- the writers ---------------------------------------------------------------------------------------------------


def _stopped(base: Path, folder: Path) -> None:
    shutil.copytree(base / "stopped", folder, dirs_exist_ok=True)


def _old(base: Path, folder: Path) -> None:
    (folder / "out.pdparams").write_bytes(b"old")


_TRAIN = ("train", "-c", "{base}/tiny.yaml")
_LABELS = ("labels", "make", "-c", "{base}/tiny.yaml", "--load", "{base}/finished/run/last", "--images",
           "{base}/data/train", "--output", "maps", "--batch-size", "4", "--top-k", "2")
_CONVERT = ("convert", "{base}/finished/run/last.pdparams")
_IMAGENET = ("data", "imagenet", "{base}/archives", "--output", "imagenet", "--synsets",
             "{base}/archives/synsets")
_DOWNLOAD = ("download", "{url}")

WRITERS = {
    "training": Writer(_TRAIN, (*_TRAIN, "--resume")),
    "resuming": Writer((*_TRAIN, "--resume"), (*_TRAIN, "--resume"), _stopped),
    "label maps": Writer(_LABELS, _LABELS),
    "conversion": Writer((*_CONVERT, "out.safetensors"), (*_CONVERT, "out.safetensors")),
    "conversion over an old file": Writer((*_CONVERT, "out.pdparams"), (*_CONVERT, "out.pdparams"), _old),
    "ImageNet": Writer(_IMAGENET, _IMAGENET),
    "download": Writer(_DOWNLOAD, _DOWNLOAD),
}


def act(words: list[str]) -> int:
    """Do what `ppim WORDS` does, in this process; its exit code."""
    if words[0] == "download":
        return guarded(_download, words[1:])
    return main(words)


def _download(words: list[str]) -> None:
    from ppim.weights.read import read_state
    from ppim.zoo.download import download

    download(words[0], "cache", check=read_state)
