"""One handwriting: hints say what is in a container, and whatever is public says what it is for."""
import ast

import pytest

from tests.helpers import ROOT

FILES = sorted((ROOT / "ppim").rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CONTAINERS = {"tuple", "list", "dict", "set", "frozenset"}


def bare(hint: ast.expr) -> bool:
    """Does a hint name a container, itself or within another hint, without saying what is in it?"""
    if isinstance(hint, ast.Subscript):
        return bare(hint.slice)
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        return bare(ast.parse(hint.value, mode="eval").body)
    if isinstance(hint, ast.Name):
        return hint.id in CONTAINERS
    return any(bare(part) for part in ast.iter_child_nodes(hint))


def bare_hints(tree: ast.Module) -> list[str]:
    """`line: hint` of every argument, result and variable, public or not."""
    hints = [getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns")]
    return [f"{hint.lineno}: {ast.unparse(hint)}" for hint in hints if hint is not None and bare(hint)]


def undocumented(tree: ast.AST, names: tuple[str, ...] = ()) -> list[str]:
    """Public classes, functions and methods without a docstring; what is inside a function is not public."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(".".join((*names, node.name)))
            if isinstance(node, ast.ClassDef):
                found += undocumented(node, (*names, node.name))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_containers_say_what_is_in_them_and_what_is_public_what_it_is_for(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert bare_hints(tree) == []
    assert undocumented(tree) == []


def test_formatters_are_told_to_skip_nothing():
    mark = "# fmt" + ": "
    places = [path for folder in ("ppim", "tools", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in places if mark in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("hint", ["tuple", "list | None", "Sequence[dict]", "dict[str, set]", "'tuple'"])
def test_a_bare_container_is_found_wherever_it_stands(hint):
    assert bare_hints(ast.parse(f"def f(*rest: {hint}) -> int: ...")) == [f"1: {hint}"]
    assert bare_hints(ast.parse(f"def f() -> {hint}: ...")) == bare_hints(ast.parse(f"x: {hint}")) == [f"1: {hint}"]
    assert bare_hints(ast.parse("x: dict[str, tuple[int, ...]] | None = dict()")) == []


def test_a_method_without_a_docstring_is_found_where_it_is_public():
    text = "class A:\n 'Doc.'\n def b(self):\n  def c(): ...\n def _d(self): ...\nclass _E:\n def f(self): ...\n"
    assert undocumented(ast.parse(text)) == ["A.b"]
