"""How far is a run, in one line of any width? First how far and how long still, then the rest as there is room."""
from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ppim.engine.evaluate import Evaluation
from ppim.engine.pace import time_left

_BAR = 20  # characters
# terms of the loss, of whichever task
_TERMS = {"class_loss": "class", "token_loss": "tokens", "head_loss": "head", "auxiliary_loss": "auxiliary"}


class Span(NamedTuple):
    """Steps: those that were taken before this start, the one to stop after, and those of the whole schedule."""

    first: int
    last: int
    total: int


NOWHERE = Span(0, 0, 0)


class Part(NamedTuple):
    """A piece of a line, with the space before it, and its rank: where room is short, the highest numbers go first."""

    text: str
    rank: int


def parts_of(values: Mapping[str, float], leave_out: Collection[str] = ()) -> list[Part]:
    """What a training record says, piece by piece; without `leave_out`, names of numbers that say nothing."""
    parts = [Part(f"  loss {values['loss']:.4f}", 0)]
    terms = [f"{word} {values[name]:.4f}" for name, word in _TERMS.items() if name in values and name not in leave_out]
    if terms:
        parts.append(Part(f" ({', '.join(terms)})", 5))
    return parts + [
        Part(f"  lr {values['lr']:.3g}", 2),
        Part(f"  {values['images_per_second']:.1f} images/s", 4),
        Part(f"  data wait {100 * values['data_wait']:.0f} %", 6),
        Part(f"  memory {values['peak_memory_mb']:.0f} MB", 7),
    ]


def parts_of_evaluation(result: Evaluation) -> list[Part]:
    """The same of an evaluation; all of it is what it prints as."""
    return [Part(*part) for part in result.parts()]


def fit(parts: Sequence[Part], width: int | None) -> str:
    """As many of `parts` as `width` characters hold, in their order; None: all."""
    kept = list(parts)
    while width is not None and sum(len(part.text) for part in kept) > width:
        kept.remove(max(kept, key=lambda part: part.rank))
    return "".join(part.text for part in kept)


class Bar:
    """The last line of a terminal while a run is under way; lines printed on `console` stay above it.

    It appears, and begins to count the time, with the first step it is told of: the one the run goes on from.
    """

    def __init__(self, console: Console, span: Span):
        self._console, self._span, self._step, self._parts = console, span, span.first, []
        self._began = self._reached = 0.0
        self._live = Live(get_renderable=self._line, console=console, transient=True, refresh_per_second=2)

    def at(self, step: int) -> None:
        """`step` has been taken."""
        self._step, self._reached = step, time.perf_counter()
        if not self._live.is_started:
            self._began = self._reached
            self._live.start()

    def tell(self, parts: Sequence[Part]) -> None:
        """What to say behind the time left."""
        self._parts = parts
        self._live.refresh()

    def close(self) -> None:
        """Take the line off the terminal."""
        self._live.stop()

    def _line(self) -> Text:
        first, last, _ = self._span
        seconds, left = self._reached - self._began, last - self._step
        room = self._console.width - 1  # a cursor behind the last column is on the next line for some terminals
        told = f" {self._step}/{last}  {time_left(seconds, self._step - first, left)} left"
        size = min(_BAR, max(room - len(told), 0))
        full, empty = "━━" if self._console.encoding.lower().startswith("utf") else "#-"
        done = size * self._step // max(last, 1)
        line = Text.assemble((full * done, "green"), (empty * (size - done), "bright_black"), told,
                             fit(self._parts, max(room - size - len(told), 0)))
        line.truncate(room)
        return line
