"""What does timm compute, on weights that follow from names and shapes? Run by a Python that has torch and timm (1.0).

    PYTHON tools/timm_side.py FOLDER        of the rows that FOLDER/rows.json asks for
    PYTHON tools/timm_side.py --volo FILE   what tests/models/test_volo.py compares with

tools/compare_with_timm.py starts it. timm draws nothing, and nothing of anybody's weights or code is kept. A row is
saved as training saves it, NAME.pth with `state_dict` and every name behind `module.`; what timm computes of two
pictures lies in NAME.npz.
"""
from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import vision_transformer, volo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.models.original_weights import original_array, original_images, original_state  # noqa: E402

IMAGES = 2

# VOLO: two small twins of the published shapes, one of them for wide images
VOLO_TWINS = {
    "d1": {"layers": (2, 1, 2, 1), "embed_dims": (24, 48, 48, 48), "num_heads": (3, 6, 6, 6), "stem_hidden_dim": 8,
           "img_size": (64, 64)},
    "d5": {"layers": (1, 2, 1, 1), "embed_dims": (16, 32, 32, 32), "num_heads": (2, 4, 4, 4), "stem_hidden_dim": 12,
           "img_size": (64, 96), "mlp_ratio": 4.0},
}
VOLO_BOX = (1, 0, 3, 2)  # of MixToken; rows, columns of cells: top, left, bottom, right
VOLO_CLASSES = 7


# ---- rows ----------------------------------------------------------------------------------------------------------


def built(row: dict) -> torch.nn.Module:
    """timm's network of a row, in evaluation mode, with drawn weights."""
    is_volo_twin = "layers" in row["arguments"]  # timm's functions of VOLO let nobody change their sizes
    net = volo.VOLO(**row["arguments"]) if is_volo_twin else timm.create_model(row["theirs"], **row["arguments"])
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(original_array(name, value.shape)))
    return net.eval()


@torch.no_grad()
def computed(net: torch.nn.Module, row: dict) -> dict[str, np.ndarray]:
    """Logits (2, K) and features (2, 1 + N, C), all tokens behind the last norm; of a row that is `wide` besides those
    with a table of positions that was resized without smoothing, `_plain`."""
    found, images = {}, torch.from_numpy(original_images(IMAGES, *row["hw"]))
    for antialias in (True, False) if row.get("wide") else (True,):
        vision_transformer.resample_abs_pos_embed = partial(resample_abs_pos_embed, antialias=antialias)
        features = net.forward_features(images)
        kind = "" if antialias else "_plain"
        found[f"logits{kind}"], found[f"features{kind}"] = net.forward_head(features).numpy(), features.numpy()
    return found


def compute_rows(folder: Path) -> None:
    """NAME.pth and NAME.npz of every row."""
    for row in json.loads((folder / "rows.json").read_text()):
        net = built(row)
        found, state = computed(net, row), net.state_dict()
        shapes = json.dumps({name: list(value.shape) for name, value in state.items()}, allow_nan=False)
        np.savez(folder / f"{row['name']}.npz", timm=np.array(timm.__version__), shapes=np.array(shapes), **found)
        state = {f"module.{name}": value for name, value in state.items()}
        torch.save({"epoch": 1, "arch": row["name"], "state_dict": state}, folder / f"{row['name']}.pth")


# ---- VOLO in training ----------------------------------------------------------------------------------------------


@torch.no_grad()
def of_volo_twin(twin: dict) -> dict[str, np.ndarray]:
    """Names and shapes, evaluation logits, class and token logits, maps behind every stage, and logits of a training
    step with a box of MixToken."""
    model = volo.VOLO(**twin, num_classes=VOLO_CLASSES, use_mix_token=True)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items() if value.dim() or "num" not in name}
    state = {name: torch.from_numpy(array) for name, array in original_state(shapes).items()}
    model.load_state_dict(state, strict=False)
    model.eval()
    pictures = np.random.RandomState(11).standard_normal((4, 3, *twin["img_size"])).astype(np.float32)
    images = torch.from_numpy(pictures)
    encoded = model.forward_features(images)
    found = {"logits": model(images), "class_logits": model.head(encoded[:, 0]),
             "token_logits": model.aux_head(encoded[:, 1:])}
    for at, one in enumerate(model.forward_intermediates(images, intermediates_only=True, norm=True)):
        found[f"map{at}"] = one
    # a training step: the statistics of BatchNorm stay, the box is given
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    volo.rand_bbox = lambda *_, **__: VOLO_BOX
    first, found["mixed_token_logits"], _ = model.forward_train(images)
    found["mixed_class_logits"] = model.head(first)
    about = {"shapes": np.array(json.dumps(shapes, allow_nan=False))}
    return {**about, **{name: value.numpy() for name, value in found.items()}}


def compute_volo(target: Path) -> None:
    """Everything that is kept of the two twins, as one file."""
    kept = {"box": np.array(VOLO_BOX)}
    for name, twin in VOLO_TWINS.items():
        kept.update({f"{name}/{part}": value for part, value in of_volo_twin(twin).items()})
    np.savez_compressed(target, **kept)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--volo":
        compute_volo(Path(sys.argv[2]))
    else:
        compute_rows(Path(sys.argv[1]))
