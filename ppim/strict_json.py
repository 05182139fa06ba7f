"""How is JSON written that every reader takes? Numbers that are not finite, for which it has no word, become null."""
from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    """`value` as `json.dumps` would have it, with null for NaN and the infinities."""
    return json.dumps(_told(value), indent=indent, allow_nan=False)


def _told(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _told(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told(entry) for entry in value]
    return value
