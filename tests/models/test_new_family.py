"""A family is one file and one yaml: with the pair in toy_family/ everything knows it, no other file is touched."""
from __future__ import annotations

import json
import shutil

import pytest

from tests.helpers import ROOT, run_python

TOY = ROOT / "tests" / "models" / "toy_family"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package with the pair and a recipe added, and how to run Python in it."""
    tree = tmp_path_factory.mktemp("tree")
    for part in ("ppim", "configs", "tools"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, place in (("toy.py", "ppim/models"), ("toy.yaml", "ppim/models"), ("toy_s.yaml", "configs/toy")):
        (tree / place).mkdir(exist_ok=True)
        shutil.copy(TOY / name, tree / place / name)

    def run(*args) -> str:
        done = run_python(*args, cwd=tree, env={"PYTHONPATH": str(tree)})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def weights(tree, tiny_data, tmp_path_factory):
    """Weights of a run of two steps, away from the folder that knows what they are."""
    folder = tmp_path_factory.mktemp("toy")
    said = tree("tools/train.py", "--model", "Toy-Small", "-o", "DATA.DATA_PATH", tiny_data, "TOKEN_LABEL.PATH",
                tiny_data / "maps", "SAVE", folder / "run")
    assert "model      toy_s" in said and json.loads(said.splitlines()[-1])["count"] == 11
    return shutil.copy(folder / "run" / "last.pdparams", folder / "elsewhere.pdparams")


def test_its_weights_are_recognised_and_converted(tree, weights, tmp_path):
    said = tree("tools/convert_weights.py", weights, tmp_path / "a.safetensors", "--to", "torch")
    assert "recipe: toy_s, recognised by the weights" in said and "everything matched" in said
    said = tree("tools/convert_weights.py", tmp_path / "a.safetensors", tmp_path / "b.pdparams")
    assert "recipe: toy_s" in said and "paddle layout" in said


def test_it_is_listed_and_built_by_its_names(tree):
    said = tree("-c", """if True:
        import ppim
        assert "toy_small" in dir(ppim) and {"toy_m", "toy_s"} <= set(ppim.list_models())
        model = ppim.toy_small(class_dim=5)
        print(type(model).__name__, len(model.blocks), model.image_size, model.num_classes)
    """)
    assert said.splitlines()[-1] == "Toy 1 (32, 32) 5"


def test_it_is_a_row_of_the_zoo(tree):
    command = ("-c", "import sys; from ppim.cli import main; sys.exit(main())", "models", "toy")
    assert "70.1" in next(line for line in tree(*command).splitlines() if line.startswith("toy_s"))
    row, = json.loads(tree(*command, "--json"))
    assert (row["name"], row["family"], row["parameters"]) == ("toy_s", "Toy", None)
    assert row["weights"][0]["name"] == "toy_s.pth"
