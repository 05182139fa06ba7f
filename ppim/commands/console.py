"""How are tables shown? By rich, but for how it ends a program whose lines nobody reads: see `ppim.unread`."""
from __future__ import annotations

from rich import console


class Console(console.Console):
    """Raises BrokenPipeError, as `print` does, where nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """Where rich's would exit with code 1."""
        raise BrokenPipeError
