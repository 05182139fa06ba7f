"""JSON that every reader takes."""
import ast
import json
import math

import numpy as np
import pytest

from ppim.strict_json import dumps
from tests.helpers import ROOT

FILES = sorted(path for folder in ("ppim", "tools", "compat") for path in (ROOT / folder).rglob("*.py"))


def test_what_is_no_number_becomes_null_wherever_it_stands():
    value = {"a": math.nan, "b": [math.inf, {"c": (-math.inf, np.float64("nan"))}], "d": [1.5, True, None, "NaN", 3]}
    assert json.loads(dumps(value)) == {"a": None, "b": [None, {"c": [None, None]}], "d": [1.5, True, None, "NaN", 3]}
    assert math.isnan(value["a"]), "what is written stays what it was"


@pytest.mark.parametrize("indent", [None, 1])
def test_what_json_has_words_for_is_written_as_ever(indent):
    value = {"a": 0.1, "b": [1, "\u56fe", None], "c": {}}
    assert dumps(value, indent) == json.dumps(value, indent=indent)


def lax(tree: ast.AST) -> list[int]:
    """Lines that write JSON in which NaN may stand."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    writers = [call for call in calls if ast.unparse(call.func) in ("json.dump", "json.dumps")]
    return [call.lineno for call in writers if "allow_nan=False" not in map(ast.unparse, call.keywords)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_all_json_of_ours_is_strict(path):
    assert lax(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_json_that_is_not_strict_is_found():
    assert lax(ast.parse("json.dump(x, file)\njson.dumps(x, allow_nan=True)\njson.dumps(x, allow_nan=False)")) == [1, 2]
