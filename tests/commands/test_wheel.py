"""Installed from a wheel, far from the repository, every command works: nothing is looked for beside the package."""
import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.helpers import ROOT, SMALL_DEMO, run_python


def python_in(folder, *words) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the package was installed, without a network.

    Where there is nothing to make a wheel with (neither `wheel` nor setuptools 70.1), setuptools lays out what it would
    have packed.
    """
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("ppim", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = python_in(source, *"-m pip wheel --no-deps --no-build-isolation --no-index -w out .".split())
    if pip.returncode == 0:
        (wheel,) = (source / "out").glob("ppim-*.whl")
        zipfile.ZipFile(wheel).extractall(target)
        return target
    lib, info = (("install_lib", "--install-dir", target), ("install_egg_info", "--install-dir", target))
    setup = python_in(source, "setup.py", "-q", *lib, *info)
    if setup.returncode:
        pytest.skip(f"no wheel can be built here ({pip.stderr[-200:]}), nor laid out ({setup.stderr[-200:]})")
    return target


@pytest.fixture
def run(installed, tmp_path):
    """A function that runs Python in a folder of its own, the package being the installed one."""

    def run(*words) -> str:
        done = run_python(*words, cwd=tmp_path, env={"PYTHONPATH": str(installed)}, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_command_works_in_another_folder(run, installed, tmp_path):
    before = sorted(installed.rglob("*.*"))
    assert run("-c", "import ppim; print(ppim.__file__)").startswith(str(installed))
    assert "lvvit_s" in run("-m", "ppim", "models")
    assert (installed / "ppim" / "export" / "bundle_readme.md").is_file()
    assert "golden retriever" in run("-c", "from ppim.data.classes import in_words; print(in_words('n02099601'))")

    # before there is anything: the recipes that travel inside, under the names of a clone, and where data come from
    named = "from ppim.config import get_config; print(get_config('configs/lvvit/lvvit_tiny.yaml').MODEL.NAME)"
    assert run("-c", named) == "lvvit_tiny\n"
    missing = run_python("-m", "ppim", "train", "--model", "lvvit_demo", cwd=tmp_path,
                         env={"PYTHONPATH": str(installed)})
    assert missing.returncode == 1 and "data/demo/data: no such folder; `ppim demo` draws it" in missing.stderr

    run("-c", SMALL_DEMO)  # it trains and evaluates by commands of its own
    recipe = ["-c", "lvvit_demo", "-o", "DATA.NUM_WORKERS", 0, "TRAIN.MAX_STEPS", 1, "SAVE", "run"]
    run("-m", "ppim", "train", *recipe)
    result = run("-m", "ppim", "evaluate", "--load", "run/last", *recipe).splitlines()[-1]
    assert json.loads(result)["count"] == 20

    run("-m", "ppim", "convert", "run/last", "torch.safetensors", "--to", "torch")
    run("-m", "ppim", "convert", "torch.safetensors", "back.pdparams", "-c", "lvvit_demo")
    assert run("-m", "ppim", "evaluate", "--load", "back", *recipe).splitlines()[-1] == result

    run("-m", "ppim", "labels", "make", "-c", "lvvit_demo", "--load", "run/last", "--images", "data/demo/data/val",
        "--output", "maps")
    assert len(list((tmp_path / "maps").glob("*/*.npy"))) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "back.card.json", "back.pdparams", "data", "maps", "output", "run", "torch.safetensors"]
    written = {path for path in installed.rglob("*.*") if "__pycache__" not in path.parts} - set(before)
    assert written == set()


def test_whatever_lies_in_the_package_travels_with_it(installed):
    lying = {path.relative_to(ROOT) for path in (ROOT / "ppim").rglob("*.*") if "__pycache__" not in path.parts}
    assert sorted(path for path in lying if not (installed / path).is_file()) == []


def _messages(path):
    """The texts in a module but for its docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said]


def test_no_message_names_a_file_that_is_not_in_the_wheel():
    named = [(path.name, text) for path in (ROOT / "ppim").rglob("*.py") for text in _messages(path)
             if re.search(r"\b(docs|tools|compat|tests)/|README", text)
             and text != "README.md"]  # the page of an exported bundle
    assert named == []


def test_the_command_ppim_is_declared(installed):
    (declared,) = installed.glob("ppim*-info/entry_points.txt")
    assert "ppim=ppim.__main__:start" in declared.read_text().replace(" ", "")
