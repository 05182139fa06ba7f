"""Run under the launcher: this process's rows of a batch through a toy segmenter and back, and what came of it.

    share_rank.py OUTPUT
"""
from __future__ import annotations

import sys

import ppim  # noqa: F401  (sets the thread count before Paddle is imported)

# isort: split
import numpy as np
import paddle

from ppim.engine.distributed import join_world
from ppim.segment.network import Segmenter
from ppim.segment.objective import SegmentObjective
from tests.helpers import small_lvvit

ROWS = 4
CUTS = (2, 1)  # rows of process 0


def drawn_batch() -> dict[str, paddle.Tensor]:
    """Photos of unlike brightness, so that parts of the batch have other statistics than the whole."""
    rng = np.random.default_rng(7)
    image = rng.integers(0, 60, (ROWS, 3, 32, 32)) + np.array([0, 180, 20, 90]).reshape([-1, 1, 1, 1])
    return {"image": paddle.to_tensor(image.astype("uint8")),
            "mask": paddle.to_tensor(rng.choice([0, 1, 2, 255], (ROWS, 32, 32)).astype("uint8"))}


def walked(rows: slice, world: int = 1) -> dict[str, np.ndarray]:
    """Logits of some rows of the batch, gradients as the optimizer of `world` processes gets them, statistics."""
    paddle.seed(3)
    model = Segmenter(small_lvvit(depth=4), 3, layers=(0, 1, 2, 3), channels=6, top_channels=10, dropout=0.0)
    batch = {name: value[rows] for name, value in drawn_batch().items()}
    forward = SegmentObjective(model, 0.4, (0.5,) * 3, (0.25,) * 3)
    forward = paddle.DataParallel(forward) if world > 1 else forward
    seen = []
    hook = model.decode_head.register_forward_post_hook(lambda _, inputs, logits: seen.append(logits))
    terms = forward(batch)
    (terms.total * (len(batch["image"]) * world / ROWS)).backward()
    hook.remove()
    found = {f"gradient {name}": p.grad.numpy() for name, p in model.named_parameters() if not p.stop_gradient}
    found.update({name: value.numpy() for name, value in model.state_dict().items()
                  if name.endswith(("_mean", "_variance"))})
    return {**found, "logits": seen[0].numpy()}


if __name__ == "__main__":
    world = join_world()
    for first in CUTS:
        rows = slice(0, first) if world.is_main else slice(first, ROWS)
        np.savez(f"{sys.argv[1]}/rank{world.rank}_{first}.npz", **walked(rows, world.size))
