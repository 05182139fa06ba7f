"""Weight files: read safely, convert by layer type, load strictly with a report, save whole or not at all."""
from __future__ import annotations

from ppim.weights.load import LoadReport, load_weights
from ppim.weights.read import read_state
from ppim.weights.write import save_state

__all__ = ["LoadReport", "load_weights", "read_state", "save_state"]
