"""Draw docs/images/terminal.png: what a terminal of 80 columns shows while a model trains.

    python tools/draw_terminal_figure.py -- ppim train -c lvvit_demo -o SAVE output/figure REPORT_FREQ 20

The command behind `--` is run in a terminal of its own, whose screen is drawn as it was when `--share` of the output
had been written. Needs matplotlib, for its font.
"""
from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

_WORD = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
_COLOURS = {"32": "#7EC07E", "90": "#6E7681"}
_PAPER, _INK = "#16191F", "#D6DAE0"
_FONT, _LINE = 15, 20  # pixels


class Cell(NamedTuple):
    """A character of the screen and its colour, as a number of SGR; "" for the usual one."""

    character: str = " "
    colour: str = ""


class Screen:
    """What a terminal shows of what is written to it; `lines` has all since the start, scrolled away or not.

    Understood are the sequences that a line which is written over needs; of others ValueError is raised.
    """

    def __init__(self, columns: int):
        self.columns, self.lines, self.row, self.column, self._colour = columns, [[]], 0, 0, ""

    def feed(self, text: str) -> None:
        """Show what a program has written; a newline goes to the first column, as terminals have it."""
        end = 0
        for word in _WORD.finditer(text):
            if word.start() != end:
                break
            end = word.end()
            self._take(word[0], word[1], word[2])
        if end != len(text):
            raise ValueError(f"no such sequence is known: {text[end:end + 10]!r}")

    def text(self) -> list[str]:
        """The lines without colours and trailing spaces."""
        return ["".join(cell.character for cell in line).rstrip() for line in self.lines]

    def _take(self, word: str, numbers: str | None, command: str | None) -> None:
        if word == "\r":
            self.column = 0
        elif word == "\n":
            self._next_line()
        elif command is None:
            for character in word:
                self._put(character)
        elif command == "A":
            self.row = max(self.row - int(numbers or 1), 0)
        elif command == "K":
            self.lines[self.row] = self.lines[self.row][: self.column] if numbers in ("", "0") else []
        elif command == "m":
            self._colour = numbers if numbers in _COLOURS else ""
        elif command not in "hl":
            raise ValueError(f"no such sequence is known: {word!r}")

    def _next_line(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._next_line()
        line = self.lines[self.row]
        line += [Cell()] * (self.column + 1 - len(line))
        line[self.column] = Cell(character, self._colour)
        self.column += 1


def run_in_terminal(command: Sequence[str], columns: int, rows: int = 24, **how) -> str:
    """What a command writes to a terminal of this size; `how` as for subprocess.Popen.

    Raises:
        ValueError: it failed.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(list(command), stdin=its, stdout=its, stderr=its, start_new_session=True, **how)
    os.close(its)
    written = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # nobody is left at the other end
            break
        written += block
    os.close(ours)
    text = written.decode().replace("\r\n", "\n")
    if process.wait():
        raise ValueError(f"{' '.join(command)} ended with exit code {process.returncode}: {text[-500:]}")
    return text


def draw(lines: Sequence[Sequence[Cell]], columns: int) -> Image.Image:
    """Lines of a screen as a picture."""
    from matplotlib import get_data_path

    font = ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf", _FONT)
    width = font.getlength("M")
    image = Image.new("RGB", (round(columns * width) + 24, len(lines) * _LINE + 24), _PAPER)
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        for column, (character, colour) in enumerate(line):
            pen.text((12 + column * width, 12 + row * _LINE), character, _COLOURS.get(colour, _INK), font)
    return image


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--share", type=float, default=0.7, help="how much of the output is shown (0.7)")
    parser.add_argument("--output", default="docs/images/terminal.png")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND")
    args = parser.parse_args(argv)
    written = run_in_terminal(args.command, args.columns, args.rows)
    # a bar is whole right before the next line is written over it
    end = written.find("\r\x1b[2K", int(len(written) * args.share))
    screen = Screen(args.columns)
    screen.feed(f"$ {' '.join(args.command)}\n" + written[: end if end >= 0 else None])
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    draw(screen.lines[-args.rows:], args.columns).save(args.output, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
