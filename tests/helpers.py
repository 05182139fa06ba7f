"""What several tests start from: processes, a toy recipe and what its runs leave, small models and pictures."""
from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import paddle
from yacs.config import CfgNode

from ppim.data import shapes
from ppim.engine.optimizer import state_by_structured_names
from ppim.engine.train_state import TrainState
from ppim.mixing import Mixed
from ppim.models.lvvit import LVViT
from ppim.models.t2t_vit import T2TViT
from ppim.models.volo import VOLO
from ppim.seeds import picture_rng
from ppim.token_labels.card import WHOLE, save_card
from ppim.weights.checkpoints import write_manifest

ROOT = Path(__file__).resolve().parent.parent
# small models of our own, of which nobody has published anything
OWN_MODELS = {"lvvit_demo", "lvvit_cifar10", "lvvit_cifar10_small", "lvvit_collage", "deit_cifar10"}


# ---- processes -----------------------------------------------------------------------------------------------------


def run_python(*args, timeout: float = 120, env: dict | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run this interpreter with `args` from the repository root, on two threads a process."""
    own = {"PPIM_THREADS": "2", **(env or {})}
    return subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, timeout=timeout, env={**os.environ, **own}, text=True,
        capture_output=True,
    )


def launch(
    processes: int, *args, log_dir: Path, timeout: float = 180, env: dict | None = None
) -> subprocess.CompletedProcess:
    """The same through Paddle's launcher; on CPU it takes a number of processes, device lists crash it."""
    return run_python(
        "-m", "paddle.distributed.launch", "--nproc_per_node", processes, "--log_dir", log_dir, *args, timeout=timeout,
        env=env,
    )


def result_of(done: subprocess.CompletedProcess, launched: bool = False) -> dict:
    """The JSON that a command ends with if it succeeded; a launcher says more behind it."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{") or not launched][-1])


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def processes_marked(mark: str = "") -> dict[int, str]:
    """Command lines of the living processes whose environment has `mark`, NAME=value, from their start; by number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (b"", *(folder / "environ").read_bytes().split(b"\0")):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if words:  # else it has ended, and waits for its parent to notice
                    found[int(folder.name)] = words.strip()
    return found


def children_of(pid: int) -> list[int]:
    """The living processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def wait_until(is_so, seconds: float = 60) -> None:
    """Wait for something to become true; fail if it does not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def load_script(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- recipes and runs ----------------------------------------------------------------------------------------------

TINY = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 0, CROP_PCT: 1.0,
       EXIF: ignore}}
MODEL:
  NAME: tiny
  NUM_CLASSES: 3
  DROPPATH: 0.0
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: False, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0, MODEL_EMA_DECAY: 0.9}}
TOKEN_LABEL: {{ENABLE: True, PATH: {data}/maps, FRAME: whole}}
MIX: {{TOKEN_ALPHA: 1.0}}
SAVE: {save}
REPORT_FREQ: 1
VALIDATE_FREQ: 100
"""

# The demo into data/demo and output/demo, of seed 3, on few pictures and for one step.
SMALL_DEMO = """
from pathlib import Path
from ppim.commands.demo import compare
compare(Path("data/demo").resolve(), Path("output/demo").resolve(), 3, (40, 20), ["TRAIN.MAX_STEPS", "1"])
"""


def write_tiny_recipe(folder: Path, data: Path) -> Path:
    """`folder`/tiny.yaml, a recipe that trains a toy LV-ViT on `data` into `folder`/run."""
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(data=data, save=folder / "run"))
    return path


def flat(node: CfgNode, prefix: str = "") -> dict[str, object]:
    """The values of a configuration by their whole keys, such as TRAIN.BASE_LR."""
    found = {}
    for name, value in node.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, CfgNode) else {f"{prefix}{name}": value})
    return found


def records(run: Path) -> list[dict]:
    """What a run has logged, in order."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def put_best(run: Path, figures: dict, number: int = 6) -> None:
    """Have a checkpoint of a run speak of such a best, beside what best.json says."""
    checkpoint = run / "checkpoints" / f"step_{number:08d}"
    state = json.loads((checkpoint / "state.json").read_text())
    best = {**json.loads((run / "best.json").read_text()), **figures}
    (checkpoint / "state.json").write_text(json.dumps({**state, "best": best}))
    (checkpoint / "MANIFEST").unlink()
    write_manifest(checkpoint)


def losses(run: Path) -> dict[int, float]:
    """Loss by step, as logged; a resumed run repeats steps, the last word counts."""
    return {record["step"]: record["loss"] for record in records(run) if record["event"] == "train"}


def curves(run: Path) -> dict[str, list]:
    """{tag: points} as VisualDL reads them in a run folder, tags in the order of their first points."""
    from visualdl import LogReader

    (file,) = run.glob("*vdlrecords*")
    reader = LogReader(file_path=str(file))
    tags = [tag.replace("%", "/") for tag in reader.get_tags().get("scalar", [])]
    return {tag: reader.get_data("scalar", tag) for tag in tags}


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in paddle.load(str(path)).items()}


def assert_same_weights(one: Path, other: Path) -> None:
    """Two files have the same weights under the same names, bit for bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def everything(state: TrainState) -> dict[str, np.ndarray]:
    """All that a training step changes, by name."""
    optimizer = state_by_structured_names(state.optimizer, state.model)
    found = {"model": state.model.state_dict(), "optimizer": optimizer, "average": state.ema.state_dict()}
    values = {f"{part}: {name}": value.numpy() for part, values in found.items() for name, value in values.items()}
    return {**values, "updates": np.array(state.ema.updates)}


def spoilt(batch: dict[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
    """The batch with targets that are no numbers, so that its loss is none."""
    return {**batch, "class_const": batch["class_const"] * math.nan}


# ---- models and pictures -------------------------------------------------------------------------------------------

SMALL = {
    "image_size": 32, "num_classes": 5, "embed_dim": 24, "depth": 2, "num_heads": 3, "mlp_ratio": 3.0,
    "qkv_bias": False,
}


def small_lvvit(**overrides) -> LVViT:
    return LVViT(**{**SMALL, "patch_size": 8, "skip_lam": 1.0, "stem_channels": 8, **overrides})


def small_t2t_vit(**overrides) -> T2TViT:
    return T2TViT(**{**SMALL, "token_type": "performer", "token_dim": 16, **overrides})


def small_volo(**overrides) -> VOLO:
    size = {name: value for name, value in SMALL.items() if name != "depth"}
    return VOLO(**{**size, "layers": [1, 1, 1, 1], "outlook_heads": 3, "stem_channels": 8, **overrides})


def spread_weights(layer: paddle.nn.Layer, gain: float = 1.0) -> None:
    """Fresh weights are so small that logits are nearly equal and attention even; spread them as training does.

    Every trained weight of two or more axes becomes normal: of deviation `gain` / sqrt(inputs of one output), and
    embeddings of a length around `gain`.
    """
    rng = np.random.RandomState(0)
    for p in layer.parameters():
        if len(p.shape) > 1 and not p.stop_gradient:
            # (inputs, outputs) of a linear layer, (outputs, inputs, height, width) of a convolution, (1, tokens, width)
            inputs = {2: p.shape[0], 3: p.shape[-1], 4: np.prod(p.shape[1:])}[len(p.shape)]
            p.set_value((gain * rng.standard_normal(p.shape) / np.sqrt(inputs)).astype("float32"))


def draw_labelled(root: Path, count: int, seed: int, wh: tuple[int, int], cells: tuple[int, int]) -> Path:
    """Drawn pictures of `wh` pixels in photos/ and their exact maps of (H, W) `cells`, with a card, in maps/."""
    for index in range(count):
        photo, _, owner = shapes.draw_picture(picture_rng(seed, "train", index), wh, class_id=index % 10)
        name = f"class{index % 10}/{index:02d}"
        for kind in ("photos", "maps"):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(root / "photos" / f"{name}.png")
        scores, ids, _ = shapes.label_map_of(owner, cells)
        np.save(root / "maps" / f"{name}.npy", np.stack([scores, ids]).astype("float16"))
    save_card(root / "maps", WHOLE._replace(log_z=False), {})
    return root


def images(batch: int, height: int = 32, width: int = 32) -> paddle.Tensor:
    """(batch, 3, height, width) float32 of unit variance, always the same."""
    return paddle.to_tensor(np.random.RandomState(3).standard_normal((batch, 3, height, width)).astype("float32"))


def as_tensors(mixed: Mixed) -> Mixed:
    """A mix as it comes out of the loader."""
    return Mixed.of_batch({name: paddle.to_tensor(value) for name, value in mixed.as_fields().items()})
