"""What tests have in common stands in files that are no tests, and is imported from there in one way."""
from __future__ import annotations

import ast

import pytest

from tests.helpers import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))
OURS = {path.stem for path in FILES} | {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} | {"tests"}


def faults(text: str) -> list[str]:
    """The imports of a test that it should not have, as they stand."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            parts = [part for name in node.names for part in (*(node.module or "").split("."), name.name)]
            spelt_another_way = node.level > 0 or parts[0] in OURS - {"tests"}
        elif isinstance(node, ast.Import):
            parts = [part for name in node.names for part in name.name.split(".")]
            spelt_another_way = any(name.name.partition(".")[0] in OURS for name in node.names)
        else:
            continue
        from_a_test = any(part in OURS and (part.startswith("test_") or part == "conftest") for part in parts)
        if spelt_another_way or from_a_test:
            found.append(ast.unparse(node))
    return found


def test_no_test_imports_a_test_or_spells_our_modules_another_way():
    found = {path.relative_to(ROOT).as_posix(): faults(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("line", [
    "from tests.engine.test_train import losses", "from tests import test_docs", "from tests.conftest import tiny_data",
    "import tests.test_docs", "import tests.helpers", "from .helpers import ROOT", "from . import helpers",
    "from original_weights import original_state", "from conftest import tiny_data",
    "def test_it():\n    from tests.engine.test_train import losses",
])
def test_such_an_import_is_found(line):
    assert len(faults(line)) == 1


def test_what_is_shared_may_be_imported():
    assert faults("import json\nfrom ppim.weights.load import load_state\nfrom tests.helpers import ROOT\n"
                  "from tests.models.original_weights import original_state") == []
