"""How long will the rest take, at the pace so far? Without Paddle: commands that need none tell it too."""
from __future__ import annotations


def time_left(seconds: float, done: int, left: int) -> str:
    """H:MM:SS that `left` steps will take, if `done` of them took `seconds`."""
    if not done:
        return "-:--:--"
    minutes, seconds = divmod(round(seconds * left / done), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
