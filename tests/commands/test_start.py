"""Before a command does anything: which is meant, what all have in common, and that none waits for Paddle."""
import re

import pytest

from ppim.cli import COMMANDS, main
from ppim.commands import guarded
from tests.helpers import ROOT, run_python

# Importing Paddle fails in these processes.
WITHOUT_PADDLE = "import sys; sys.modules['paddle'] = None; "
PPIM = WITHOUT_PADDLE + "from ppim.cli import main; sys.exit(main())"
TOOL = WITHOUT_PADDLE + "import runpy; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
TWINS = {"train.py": "train", "generate_labels.py": "labels make", "convert_weights.py": "convert", "demo.py": "demo",
         "prepare_imagenet.py": "data imagenet"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_comes_without_paddle(name):
    done = run_python("-c", PPIM, *name.split(), "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: ppim {name} "), done.stderr
    assert "--debug" in done.stdout


@pytest.mark.parametrize(("tool", "name"), TWINS.items())
def test_a_tool_of_a_clone_is_the_command(tool, name, tmp_path):
    done = run_python("-c", TOOL, ROOT / "tools" / tool, "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: ppim {name} "), done.stderr


@pytest.mark.parametrize("words", [["models"], ["models", "--json", "lvvit"]])
def test_the_models_are_listed_without_paddle(words):
    done = run_python("-c", PPIM, *words)
    assert done.returncode == 0 and "lvvit_s" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "-c", "lvvit_s", "--lr"], 1, "--lr wants a value"),
        (["train", "--load", "w"], 2, "give a recipe"),
        (["evaluate"], 2, "give a recipe"),
        (["train", "-c", "lvvit_s", "--nonsense"], 2, "--nonsense"),
        (["convert", "a", "b.pth"], 1, "ending in .pdparams or .safetensors"),
        (["labels", "make", "-c", "a.yaml"], 2, "--load"),
    ],
)
def test_what_the_words_alone_show_to_be_wrong_is_told_without_paddle(words, code, said):
    done = run_python("-c", PPIM, *words)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--help"], 0), (["labels", "-h"], 0), (["labels"], 2),
                                             (["labels", "break"], 2), (["trian", "-c", "lvvit_s"], 2)])
def test_without_a_command_there_is_a_list_of_them(words, code, capsys):
    assert main(words) == code
    listed = re.findall(r"^  (\w+(?: \w+)?)  +[A-Z]", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_the_words_reach_a_command_in_their_order_and_without_what_is_for_all():
    words = ["-dataset=x", "DIR", "-b", "64", "--debug", "--mixup", "-1", "-o", "A", "-1e-3", "", "a b", "--resume="]
    seen = []
    assert guarded(seen.extend, words) == 0
    assert seen == [word for word in words if word != "--debug"]


def test_mistakes_are_one_line_and_whole_with_debug(capsys):
    def mistaken(words):
        raise FileNotFoundError("no such thing")

    assert guarded(mistaken, ["x"]) == 1
    assert capsys.readouterr().err == "error: no such thing\n"
    with pytest.raises(FileNotFoundError):
        guarded(mistaken, ["x", "--debug"])
    with pytest.raises(KeyError):
        guarded(lambda words: {}["a bug"], [])


def test_debug_is_for_every_command():
    done = run_python("-m", "ppim", "models", "nothing", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr
    done = run_python("-m", "ppim", "models", "nothing")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
