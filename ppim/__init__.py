"""ppim: vision transformers supervised by tokens, on PaddlePaddle.

The names below, and every vision transformer's (`from ppim import lvvit_s`), are imported on first use, so that
`import ppim` costs nothing and the thread count is set before Paddle, which would otherwise fix it at one, is imported.
"""
from __future__ import annotations

import importlib
import os

from ppim import mkl, threads

__version__ = "0.1.0"

threads.set_before_paddle()
mkl.set_before_products(os.environ, mkl.describe_processor())

_LAZY = {
    "create_model": "ppim.models",
    "list_models": "ppim.models",
    "load_weights": "ppim.weights.load",
    "get_config": "ppim.config",
}


_MODELS = ("lvvit_", "t2t_vit_", "deit_")  # functions of ppim.hub


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name.startswith(_MODELS):
        hub = importlib.import_module("ppim.hub")
        if name in hub.NAMES:
            return getattr(hub, name)
    known = ", ".join(sorted(_LAZY))
    raise AttributeError(f"module 'ppim' has no attribute {name!r}; it offers {known} and the models of list_models()")


def __dir__():
    from ppim import zoo

    return sorted([*globals(), *_LAZY, *(name for row in zoo.ROWS for name in {row.name, row.alias or row.name})])
