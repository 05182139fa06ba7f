"""What does a list of images say? One image a line, "path label" or "path class-name", in UTF-8.

A path may hold spaces. Byte order marks, the line ends of any system and Windows' backslashes are understood.
"""
from __future__ import annotations

import os
import re

MOST_CLASSES = 1_000_000  # a number from here on is no class
_LEAD = re.compile(r"^(?:\./+)+(?=.)")  # `find .` begins every path with it, and label maps have the paths' names


def read_list(list_file: str, root: str) -> tuple[list[str], list[str]]:
    """Paths with forward slashes and no `./` before them, and the label or class name of each, as written.

    Args:
        root: what the paths are relative to.

    Raises:
        ValueError: a line that is none, an encoding that is not UTF-8, no line at all; names the file and the line.
    """
    paths, names = [], []
    for number, line in enumerate(_lines(list_file), 1):
        if not line.strip():
            continue
        parts = line.strip().rsplit(maxsplit=1)
        if len(parts) != 2:
            raise ValueError(f"{list_file}:{number}: wanted 'path label', got {_cut(line.strip())!r}")
        if parts[1].isdecimal() and (len(parts[1]) > 9 or int(parts[1]) >= MOST_CLASSES):
            raise ValueError(f"{list_file}:{number}: wanted a class below {MOST_CLASSES:,}, got {_cut(parts[1])}")
        paths.append(parts[0])
        names.append(parts[1])
    if not paths:
        raise ValueError(f"{list_file}: the list is empty; write one 'path label' per line")
    return [_LEAD.sub("", path) for path in _forward(paths, root)], names


def _lines(list_file: str) -> list[str]:
    with open(list_file, "rb") as file:
        content = file.read()
    try:
        return re.split("\r\n|\r|\n", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
    encoding = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "GBK" if _is_gbk(content) else None
    seems = f"it looks like {encoding}" if encoding else "in an encoding of its own"
    raise ValueError(f"{list_file}:{number}: not UTF-8, {seems}; save it as UTF-8 in an editor, or with "
                     f"iconv -f {encoding or 'ENCODING'} -t UTF-8 {list_file} > utf8.txt")


def _is_gbk(content: bytes) -> bool:
    """Do the bytes, read in that encoding, make mostly Chinese characters?"""
    try:
        foreign = [char for char in content.decode("gb18030") if ord(char) > 127]
    except UnicodeDecodeError:
        return False
    return 2 * sum("\u4e00" <= char <= "\u9fff" for char in foreign) > len(foreign)


def _forward(paths: list[str], root: str) -> list[str]:
    """With forward slashes, unless a backslash is part of a name, as the first path that has one shows."""
    first = next((path for path in paths if "\\" in path), None)
    if first is None or os.path.exists(os.path.join(root, first)):
        return paths
    return [path.replace("\\", "/") for path in paths]


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "..."
