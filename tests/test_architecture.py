"""The page that shows the house, against the code: what it names exists, every import is an arrow of it."""
from __future__ import annotations

import ast
import re

import pytest

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "ppim").rglob("*.py"))


def block_after(heading: str) -> str:
    """The first fenced block below a heading of the page."""
    return re.search(rf"^## {re.escape(heading)}$.*?^```text\n(.*?)^```$", PAGE, re.S | re.M)[1]


def room_of(module: str) -> str:
    """`ppim.data.loader` is in the room `data`; a module of the top level is a room of its own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "ppim"


def imported_rooms(path) -> set[str]:
    """Rooms that a file imports, inside functions as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "ppim":
            found.update(f"ppim.{name.name}" if is_room(name.name) else "ppim" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ppim."):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names if name.name.split(".")[0] == "ppim")
    return {room_of(module) for module in found}


def is_room(name: str) -> bool:
    return (ROOT / "ppim" / name).is_dir() or (ROOT / "ppim" / f"{name}.py").is_file()


def drawn_arrows() -> dict[str, set[str]]:
    arrows = {}
    for line in block_after("Imports run one way").splitlines():
        room, _, targets = line.partition("->")
        arrows[room.strip()] = {target.strip() for target in targets.split(",") if target.strip()}
    return arrows


def real_arrows() -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        arrows.setdefault(room_of(module), set()).update(imported_rooms(path) - {room_of(module)})
    return arrows


def test_every_import_between_rooms_is_drawn_and_every_arrow_drawn_is_an_import():
    assert drawn_arrows() == real_arrows()


def test_rooms_are_drawn_from_the_top_down_so_that_no_arrow_runs_up():
    arrows = drawn_arrows()
    order = list(arrows)
    up = [f"{room} -> {target}" for room in order for target in arrows[room] if order.index(target) < order.index(room)]
    assert not up


def test_no_module_imports_itself_by_a_circle():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: modules_imported(path, modules) for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in graph[name] - {name}:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def modules_imported(path, modules) -> set[str]:
    """Modules imported while the file itself is imported (what functions import later can close no circle)."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ppim":
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found.add(full if full in modules else node.module)
    return found & modules.keys()


@pytest.mark.parametrize("block", ["Rooms", "Where is ...?"])
def test_every_file_named_on_the_page_exists(block):
    names = re.findall(r"\b(?:ppim|compat|configs|docs|tests|tools)/[^\s`]+", block_after(block))
    paths = [path for name in names for path in expanded(name.rstrip(","))]
    assert len(paths) > 10
    assert [path for path in paths if not list(ROOT.glob(path))] == []


def expanded(name: str) -> list[str]:
    """`a/{b,c}.py` as `a/b.py`, `a/c.py`."""
    found = re.fullmatch(r"(.*?)\{(.*?)\}(.*)", name)
    return [one for part in found[2].split(",") for one in expanded(found[1] + part + found[3])] if found else [name]


def test_every_file_of_the_package_is_on_the_page():
    rooms = block_after("Rooms")
    named = {path for line in rooms.splitlines() for word in line.split() for path in expanded(word.rstrip(","))}
    missing = [str(path.relative_to(ROOT)) for path in FILES
               if path.name != "__init__.py" and str(path.relative_to(ROOT)) not in named]
    assert not missing
