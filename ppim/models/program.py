"""How does a network become a program? Traced as it evaluates, for batches of any size."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paddle
from paddle import nn
from paddle.static import InputSpec

from ppim.models.base import TokenModel, evaluating
from ppim.stopping import put_off


class _Evaluation(nn.Layer):
    """What is traced: logits (B, K), or with `tokens` those and (B, N, K), as tensors, which is all a program can give.
    """

    def __init__(self, model: TokenModel, tokens: bool):
        super().__init__()
        self.model, self.tokens = model, tokens

    def forward(self, image):
        if self.tokens:
            output = self.model.evaluate_tokens(image)
            return output.class_logits, output.token_logits
        return self.model(image)


@contextmanager
def _forwards_kept(model: nn.Layer) -> Iterator[None]:
    """Tracing by Paddle 2.6 leaves its own translation of `forward` in layers, by which they are several times as slow
    from then on."""
    own = {id(layer) for layer in model.sublayers(include_self=True) if "forward" in vars(layer)}
    try:
        yield
    finally:
        for layer in model.sublayers(include_self=True):
            if id(layer) not in own:
                vars(layer).pop("forward", None)


def write_program(model: TokenModel, folder: Path, tokens: bool) -> tuple[Path, Path]:
    """Write model.json (model.pdmodel of Paddle 2.6) and model.pdiparams into `folder`; their paths.

    Args:
        tokens: give the logits of the tokens, (B, N, K), besides those of the class, (B, K).
    """
    spec = InputSpec([None, 3, *model.image_size], "float32", "image")
    layer = _Evaluation(model, tokens)
    # Paddle makes other exceptions of signals that come while it traces
    with evaluating(model), put_off(), _forwards_kept(model):
        layer.eval()
        paddle.jit.save(layer, str(folder / "model"), input_spec=[spec])
    (folder / "model.pdiparams.info").unlink(missing_ok=True)  # of Paddle 2.6, for training on
    program = next(path for path in (folder / "model.json", folder / "model.pdmodel") if path.is_file())
    return program, folder / "model.pdiparams"
