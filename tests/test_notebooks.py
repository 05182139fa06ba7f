"""The notebooks as they are committed: without results, in both languages, of names that exist. `make notebooks` runs
them."""
import ast
import importlib
import json
import re

import pytest

from ppim.cli import COMMANDS
from tests.helpers import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def python_of(path) -> str:
    """The code of all cells but those that are a command."""
    return "\n".join(text for text in map("".join, (cell["source"] for cell in cells(path, "code")))
                     if not text.startswith("%%bash"))


def test_there_are_four_and_each_says_where_it_goes_on():
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "2", "3", "4"]
    assert [path.name for path in (ROOT / "notebooks").iterdir() if path.suffix != ".ipynb"] == []


@each_notebook
def test_a_notebook_is_committed_without_results(path):
    for cell in cells(path, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None), "clear all outputs before committing"
    assert re.search(r"/(?:home|root|work|tmp|Users)/", path.read_text(encoding="utf-8")) is None


@each_notebook
def test_every_text_is_in_english_then_in_chinese(path):
    for cell in cells(path, "markdown"):
        parts = "".join(cell["source"]).split("\n\n")
        chinese = [bool(re.search("[\u4e00-\u9fff]", part)) for part in parts]
        assert chinese == sorted(chinese) and 2 * sum(chinese) == len(parts), parts


@each_notebook
def test_what_a_notebook_links_to_is_there(path):
    texts = ["".join(cell["source"]) for cell in cells(path, "markdown")]
    links = [link for text in texts for link in re.findall(r"\]\(([^)\s#]+)", text)]
    assert [link for link in links if not (path.parent / link).is_file()] == []


@each_notebook
def test_what_a_notebook_imports_from_ppim_is_there(path):
    tree = ast.parse(python_of(path))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("ppim")]
    missing = [f"{node.module}.{name.name}" for node in imports for name in node.names
               if not hasattr(importlib.import_module(node.module), name.name)]
    assert imports and missing == []
    names = re.findall(r"^(?:import|from) (paddle|ppim)\b", python_of(path), re.MULTILINE)
    assert names[0] == "ppim", "paddle imported first computes on one thread"


@each_notebook
def test_commands_stand_in_cells_that_fail_with_them(path):
    """`!` goes on after a failure, and draws bars as in a terminal."""
    code = ["".join(cell["source"]) for cell in cells(path, "code")]
    assert [text for text in code if re.search("^!", text, re.MULTILINE)] == []
    typed = [text.splitlines()[1].split() for text in code if text.startswith("%%bash")]
    assert [words for words in typed
            if words[0] != "ppim" or not {words[1], " ".join(words[1:3])} & set(COMMANDS)] == []


@each_notebook
def test_a_notebook_that_writes_does_so_in_a_folder_of_its_own(path):
    code = ["".join(cell["source"]) for cell in cells(path, "code")]
    writes = re.compile(r"^%%bash|write_dataset\(|mkdir\(", re.MULTILINE)
    writing = [number for number, text in enumerate(code) if writes.search(text)]
    moved = [number for number, text in enumerate(code) if "os.chdir(folder.name)" in text]
    assert not writing or moved and moved[0] <= writing[0]
    assert not re.search(r"\b(?:wget|curl|pretrained=True|urlopen)\b", "".join(code))
