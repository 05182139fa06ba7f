"""Weight files: read safely, convert by layer type, load strictly with a report, save whole or not at all.

The names below are imported on first use, since much of this room works without Paddle, and Paddle takes seconds.
"""
from __future__ import annotations

import importlib

_LAZY = {"LoadReport": "load", "load_weights": "load", "read_state": "read", "save_state": "write"}
__all__ = [*_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
