"""The doctor as typed: with the Paddle that is there, without one, and with one that is broken in several ways."""
import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.helpers import ROOT

# a card of a generation that the installed Paddle, which is the CPU's, does not know
NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA GeForce RTX 5090, 12.0, 32607, 575.57.08'\n"


def typed(folder, *words, path=(), programs=None, limit="") -> subprocess.CompletedProcess:
    """`ppim doctor` in a folder of its own; `path`: what Python looks into first."""
    env = {**os.environ, "PPIM_THREADS": "2", "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    if programs:
        env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    command = ["sh", "-c", f'{limit} exec "$@"', "sh", sys.executable, "-m", "ppim", "doctor", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200)


def test_this_machine_can_train_and_is_told_what_would_help(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(NVIDIA_SMI)
    (programs / "nvidia-smi").chmod(0o755)
    done = typed(tmp_path, "--json", programs=programs, limit="ulimit -Sn 300;")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    found = {finding["check"]: finding for finding in told["findings"]}
    assert told["can_train"] is True and found["Paddle"]["level"] == "fine"
    assert "GFLOP/s" in found["matrix products"]["text"]
    assert found["GPU"]["level"] == "warning" and "Paddle 3.2 or later for CUDA 12.9" in found["GPU"]["text"]
    assert found["open files"]["level"] == "warning" and "300" in found["open files"]["text"]
    assert str(tmp_path) in found["disk"]["text"]


@pytest.mark.parametrize(("body", "words"), [
    ("raise ModuleNotFoundError(\"No module named 'paddle'\")", "BAD   Paddle          not installed; the page https://"),
    ("raise ImportError('libcudart.so.11.0: cannot open shared object file')",
     "cannot be imported (ImportError: libcudart.so.11.0: cannot open shared object file); remove it and install"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "want a processor with AVX"),
])
def test_without_a_paddle_that_lives_it_says_why_and_fails(tmp_path, body, words):
    package = tmp_path / "first" / "paddle"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(textwrap.dedent(body))
    done = typed(tmp_path, path=[tmp_path / "first"])
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stdout and done.stderr.strip() == (
        "error: training cannot work here; lines marked BAD say what to do")
    assert len([line for line in done.stdout.splitlines() if line.startswith("BAD")]) == 1
