"""ppim: vision transformers supervised by tokens, on PaddlePaddle.

The names below, and every vision transformer's (`from ppim import lvvit_s`), are imported on first use, so that
`import ppim` costs nothing and the thread count is set before Paddle, which would otherwise fix it at one, is imported.
"""
from __future__ import annotations

import importlib
import os

from ppim import mkl, threads

__version__ = "0.1.0"

threads.settle()
mkl.set_before_products(os.environ, mkl.describe_processor())

_LAZY = {
    "create_model": "ppim.trained.models",
    "predict": "ppim.trained.predict",
    "list_models": "ppim.models",
    "load_weights": "ppim.weights.load",
    "get_config": "ppim.config",
}


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if not name.startswith("_"):  # Python itself asks for names of that kind
        from ppim.families import names

        if name in names():
            return getattr(importlib.import_module("ppim.zoo.hub"), name)
    known = ", ".join(sorted(_LAZY))
    raise AttributeError(f"module 'ppim' has no attribute {name!r}; it offers {known} and the models of list_models()")


def __dir__():
    from ppim.families import names

    return sorted([*globals(), *_LAZY, *names()])
