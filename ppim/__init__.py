"""ppim: vision transformers supervised by tokens, on PaddlePaddle.

The names below are imported on first use, so that `import ppim` costs nothing and the thread count is set before
Paddle, which would otherwise fix it at one, is imported.
"""
from __future__ import annotations

import importlib

from ppim import threads

__version__ = "0.1.0"

threads.set_before_paddle()

_LAZY = {
    "create_model": "ppim.models",
    "list_models": "ppim.models",
    "load_weights": "ppim.weights.load",
    "get_config": "ppim.config",
}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'ppim' has no attribute {name!r}; it offers {', '.join(sorted(_LAZY))}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted([*globals(), *_LAZY])
