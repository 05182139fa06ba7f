"""The messages that pages explain are those that the code says."""
import ast
import functools
import re

import pytest

from tests.helpers import ROOT
from tests.pages import prose, tables_below

PAGES = ("trouble.md", "label_maps.md")
NOT_OURS = ("Messages of Paddle", "Nothing fails, but the result is wrong", "Paddle 的信息", "没有报错，结果却不对")
EXPLAINING = ("What the errors say", "报错的含义")


def said(node: ast.AST) -> str | None:
    """The text of a string in the code, NUL where a value is put in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@functools.cache
def messages() -> tuple[str, ...]:
    """Every string of the package, NUL where a value is put in."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "ppim").rglob("*.py"))]
    texts = [said(node) for tree in trees for node in ast.walk(tree)]
    return tuple(text for text in texts if text and " " in text)


def is_said(quoted: str) -> bool:
    """Is there a string with these words in this order? `...`, letters such as N, and numbers stand for anything."""
    pieces = [piece.strip() for piece in re.split(r"\.{3,4}(?:/\S+)?|\b[A-Z] - 1\b|\b[A-Z]\b|\b\d+\b", quoted)]
    pattern = re.compile(".*".join(re.escape(piece) for piece in pieces if piece), re.DOTALL)
    return any(pattern.search(text) for text in messages())


def quoted_messages(page) -> list[str]:
    """What the first cells of the tables of messages quote."""
    found = []
    for heading, rows in tables_below(page):
        if heading in EXPLAINING or (page.name == "trouble.md" and heading not in NOT_OURS):
            found += [text for row in rows[2:] for text in re.findall(r"`([^`]+)`", row[0])]
    return found


@pytest.mark.parametrize("language", ["en", "cn"])
@pytest.mark.parametrize("name", PAGES)
def test_a_message_that_is_explained_is_one_that_the_code_says(language, name):
    quoted = quoted_messages(ROOT / "docs" / language / name)
    assert len(quoted) > 20
    assert [text for text in quoted if not is_said(text)] == []


def test_a_message_of_no_code_is_noticed():
    assert is_said("training images do not fill one batch of ...")
    assert not is_said("training photos do not fill one batch of ...")
    assert not is_said("one batch of ... training images do not fill")


@pytest.mark.parametrize("language", ["en", "cn"])
def test_messages_of_paddle_stand_apart(language):
    text = prose(ROOT / "docs" / language / "trouble.md")
    assert [heading in text for heading in NOT_OURS].count(True) == 2
