"""What a Mac has not is done without, to the last bit; on Windows a command says what to do there."""
from __future__ import annotations

from ppim.cli import main
from tests.helpers import losses, run_python

# Without what Python has on Linux and not on a Mac, and without the fork, which Macs do not let live beside threads;
# Paddle and urllib ask for the system while they are imported.
AS_ON_A_MAC = """
import ppim, paddle, urllib.request
import os, sys

sys.platform = "darwin"
for name in ("fork", "memfd_create", "posix_fallocate", "posix_fadvise", "sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
from ppim.__main__ import start
sys.exit(start())
"""
AS_ON_WINDOWS = """
import signal, sys
for module in ("fcntl", "resource"):
    sys.modules[module] = None
for name in ("SIGHUP", "siginterrupt", "set_wakeup_fd", "pthread_sigmask"):
    delattr(signal, name)
sys.platform = "win32"
from ppim.__main__ import start
sys.exit(start())
"""


def test_a_run_on_a_mac_is_the_run_on_linux_bit_for_bit(tiny_data, tiny_config, tmp_path):
    assert main(["labels", "pack", str(tiny_data / "maps"), str(tmp_path / "pack"), "--jobs", "1"]) == 0
    for name, how in (("linux", ["-m", "ppim"]), ("mac", ["-c", AS_ON_A_MAC])):
        done = run_python(*how, "train", "-c", tiny_config, "-o", "TRAIN.MAX_STEPS", "2", "SAVE", tmp_path / name,
                          "TOKEN_LABEL.PATH", tmp_path / "pack", "DATA.NUM_WORKERS", "2")
        assert done.returncode == 0, done.stderr
    one, other = tmp_path / "linux", tmp_path / "mac"
    assert losses(one) == losses(other) and len(losses(one)) == 2
    assert (one / "last.pdparams").read_bytes() == (other / "last.pdparams").read_bytes()


def test_windows_is_told_of_wsl():
    for words in (["--help"], ["predict", "cat.jpg"]):
        done = run_python("-c", AS_ON_WINDOWS, *words)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("error: wanted Linux") and "wsl --install" in done.stderr
        assert done.stderr.count("\n") == 1
