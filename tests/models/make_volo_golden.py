"""What does timm's VOLO compute? Writes tests/models/volo_golden.npz, by a Python that has torch and timm (1.0).

    PYTHON tests/models/make_volo_golden.py

Two small twins of the published shapes, one of them for wide images, with weights that follow from names and shapes
(original_weights.py): nobody's weights are stored, and none of timm's code. Kept are names and shapes, evaluation
logits, class and token logits, maps behind every stage, and logits of a training step with a box of MixToken.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from timm.models import volo

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.models.original_weights import original_state  # noqa: E402

TWINS = {
    "d1": {"layers": (2, 1, 2, 1), "embed_dims": (24, 48, 48, 48), "num_heads": (3, 6, 6, 6), "stem_hidden_dim": 8,
           "img_size": (64, 64)},
    "d5": {"layers": (1, 2, 1, 1), "embed_dims": (16, 32, 32, 32), "num_heads": (2, 4, 4, 4), "stem_hidden_dim": 12,
           "img_size": (64, 96), "mlp_ratio": 4.0},
}
BOX = (1, 0, 3, 2)  # rows, columns of cells: top, left, bottom, right
CLASSES = 7


@torch.no_grad()
def computed(twin: dict) -> dict[str, np.ndarray]:
    """Everything that is kept of a twin, as arrays."""
    model = volo.VOLO(**twin, num_classes=CLASSES, use_mix_token=True)
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
    volo.rand_bbox = lambda *_, **__: BOX
    first, found["mixed_token_logits"], _ = model.forward_train(images)
    found["mixed_class_logits"] = model.head(first)
    return {"shapes": np.array(json.dumps(shapes)), **{name: value.numpy() for name, value in found.items()}}


def main() -> None:
    kept = {"box": np.array(BOX)}
    for name, twin in TWINS.items():
        kept.update({f"{name}/{part}": value for part, value in computed(twin).items()})
    np.savez_compressed(Path(__file__).with_name("volo_golden.npz"), **kept)


if __name__ == "__main__":
    main()
