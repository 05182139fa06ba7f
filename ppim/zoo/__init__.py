"""The models others have published: accuracy, cost, weights. Only `hub` and `macs` need Paddle."""
from __future__ import annotations

from ppim.zoo.rows import CLASSES, NOTE, ROWS, Accuracy, File, Macs, Row, counts, find, ppim_resize

__all__ = ["CLASSES", "NOTE", "ROWS", "Accuracy", "File", "Macs", "Row", "counts", "find", "ppim_resize"]
