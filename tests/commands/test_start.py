"""Before a command does anything: which is meant, what all have in common, and that none waits for Paddle."""
import os
import platform
import re
import subprocess
import sys
from importlib import metadata

import pytest
from PIL import Image

import ppim
from ppim.cli import COMMANDS, main
from ppim.commands import guarded
from ppim.commands.finetune import finetune_parser
from tests.helpers import ROOT, records, run_python

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


@pytest.mark.parametrize("words", [["--help"], ["models"]])
def test_what_lists_waits_for_nothing_that_computes(words):
    done = run_python("-c", "import sys; sys.modules['numpy'] = None; " + PPIM, *words)
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_name_that_is_no_text_is_printed_all_the_same(encoding, tmp_path):
    for name in ("fine.png", os.fsdecode(b"caf\xe9.png")):
        (tmp_path / "猫").mkdir(exist_ok=True)
        (tmp_path / "猫" / name).write_bytes(b"")
    done = run_python("-m", "ppim", "data", "check", tmp_path, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    faults = [line for line in done.stdout.splitlines() if line.startswith("fault: ")]
    assert sum("caf\\udce9.png" in line for line in faults) == 1 and sum("fine.png" in line for line in faults) == 1
    assert "2 faults in " in done.stderr


def test_a_command_without_an_output_does_what_it_does():
    closed = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-m', 'ppim', 'models']).returncode)"
    done = run_python("-c", f"import os; os.close(1); {closed}")
    assert done.returncode == 0 and done.stderr == ""


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
        (["train", "-c", "lvvit_s", "--nonsense"], 2, "unknown: --nonsense\n"),
        (["train", "-c", "lvvit_s", "--epoch", "3"], 2, "unknown: --epoch 3; did you mean --epochs?"),
        (["train", "-c", "lvvit_s", "--evaluate_onyl"], 2, "did you mean --evaluate-only?"),
        (["train", "-c", "lvvit_s", "--model-emma=x"], 2, "did you mean --model-ema?"),
        (["train", "-c", "lvvit_s", "stray"], 2, "unknown: stray\n"),
        (["convert", "a", "b", "--witch", "raw"], 2, "unknown: --witch raw; did you mean --which?"),
        (["finetune", "photos", "-o", "SEED=1", "SAVE"], 2, "'SAVE' has no value"),
        (["finetune", "photos", "--epoch", "1", "--lod", "x"], 2, "did you mean --load?"),
        (["evaluat"], 2, "no command is called evaluat; did you mean evaluate?"),
        (["convert", "a", "b.pth"], 1, "ending in .pdparams or .safetensors"),
        (["labels", "make", "-c", "a.yaml"], 2, "--load"),
        (["visualize", "--load", "w", "--output", "o", "--sample", "1", "--layers", "2"], 2,
         "--layers says how photos are looked into, which --sample does not do; leave it out"),
        (["visualize", "--load", "w", "--output", "o", "--sample", "1", "--class", "cat"], 2, "--class says how"),
        (["visualize", "--load", "w", "--output", "o", "--sample", "1", "--token", "0", "0"], 2, "--token says how"),
        (["visualize", "a.jpg", "--load", "w", "--output", "o", "--epoch", "0"], 2,
         "--epoch says in which epoch --sample is drawn; leave it out, or give --sample"),
    ],
)
def test_what_the_words_alone_show_to_be_wrong_is_told_without_paddle(words, code, said):
    done = run_python("-c", PPIM, *words)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def nobody_reads(*args):
    """Exit code and errors of this interpreter with a standard output that is closed at its other end."""
    ears, mouth = os.pipe()
    os.close(ears)
    try:
        done = subprocess.run([sys.executable, *map(str, args)], stdout=mouth, stderr=subprocess.PIPE, text=True,
                              cwd=ROOT, timeout=120, env={**os.environ, "PPIM_THREADS": "2"})
    finally:
        os.close(mouth)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [[], ["--version"], ["models", "--json"], ["models"]])
def test_a_command_whose_lines_nobody_reads_ends_without_a_word(words):
    code, said = nobody_reads("-c", PPIM, *words)
    assert said == "" and code == 141


def test_a_run_whose_lines_nobody_reads_goes_on(tiny_config, tmp_path):
    code, said = nobody_reads("-m", "ppim", "train", "-c", tiny_config, "-o", "TOKEN_LABEL.ENABLE", "False",
                              "TRAIN.MAX_STEPS", "3", "REPORT_FREQ", "1")
    assert (code, said) == (0, "")
    assert [line["step"] for line in records(tmp_path / "run") if line["event"] == "train"] == [1, 2, 3]
    assert (tmp_path / "run" / "best.json").is_file()


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--help"], 0), (["labels", "-h"], 0), (["labels"], 2),
                                             (["labels", "break"], 2), (["trian", "-c", "lvvit_s"], 2)])
def test_without_a_command_there_is_a_list_of_them(words, code, capsys):
    assert main(words) == code
    listed = re.findall(r"^  (\w+(?: \w+)?)  +[A-Z]", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_progress_of_what_needs_no_paddle_is_told_without_it(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (40, 30), (number, 9, ord(name[0]))).save(tmp_path / name / f"{number}.png")
    done = run_python("-c", PPIM, "data", "check", tmp_path, "--jobs", "1")
    assert done.returncode == 0 and "16/16 photos\n" in done.stdout, done.stdout + done.stderr


def test_the_version_is_told_with_that_of_paddle_and_without_importing_it():
    done = run_python("-c", PPIM, "--version")
    (build,) = [name for name in ("paddlepaddle", "paddlepaddle-gpu") if _installed(name)]
    assert done.returncode == 0 and not done.stderr
    assert done.stdout == (f"ppim {ppim.__version__}, {build} {metadata.version(build)}, "
                           f"Python {platform.python_version()}\n")


def _installed(name: str) -> bool:
    return any(found.metadata["Name"] == name for found in metadata.distributions())


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


def test_keys_and_values_of_every_o_come_as_one_list():
    words = ["photos", "-o", "SEED=1", "SAVE", "a=b", "-o", "TRAIN.BASE_LR=1e-3"]
    assert finetune_parser().parse_args(words).override == ["SEED", "1", "SAVE", "a=b", "TRAIN.BASE_LR", "1e-3"]
