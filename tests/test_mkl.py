"""Paddle's old MKL takes its slow path on processors that are not Intel's, unless told which kernels they can run."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppim import mkl

AVX512 = "fpu sse4_2 avx fma avx2 avx512f avx512cd avx512bw avx512dq avx512vl"


def cpuinfo(vendor: str, flags: str) -> str:
    return "".join(f"processor\t: {n}\nvendor_id\t: {vendor}\nmodel name\t: of a kind\nflags\t\t: {flags}\n\n"
                   for n in range(2))


@pytest.mark.parametrize(("vendor", "flags", "kernels"), [
    ("AuthenticAMD", "fpu sse4_2 avx fma avx2", "5"),
    ("HygonGenuine", "fpu sse4_2 avx fma avx2", "5"),
    ("AuthenticAMD", AVX512, "7"),
    ("AuthenticAMD", AVX512.replace("avx512dq", ""), "5"),
    ("AuthenticAMD", "fpu sse4_2 avx", None),
    ("AuthenticAMD", "fpu sse4_2 avx avx2", None),
    ("GenuineIntel", AVX512, None),
])
def test_only_processors_mkl_mistrusts_are_told_and_only_what_they_can_run(vendor, flags, kernels):
    assert mkl.kernels(cpuinfo(vendor, flags)) == kernels


def test_a_machine_of_another_kind_is_left_alone():
    assert mkl.kernels("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n") is None
    assert mkl.kernels("") is None


@pytest.mark.parametrize("own", ["4", "0", ""])
def test_a_value_of_the_users_own_is_never_replaced(own):
    env = {mkl.VARIABLE: own}
    mkl.set_before_products(env, cpuinfo("AuthenticAMD", AVX512))
    assert env == {mkl.VARIABLE: own}


def test_what_is_not_needed_is_not_set():
    env = {}
    mkl.set_before_products(env, cpuinfo("GenuineIntel", AVX512))
    assert env == {}


PRODUCT = """
import ctypes, os, subprocess, sys
if len(sys.argv) > 1:
    import paddle
import ppim
import paddle
paddle.ones([4, 4]).matmul(paddle.ones([4, 4]))
library = [line.split()[-1] for line in open("/proc/self/maps") if "libmklml_intel" in line]
print(ctypes.CDLL(library[0]).mkl_serv_cpu_detect() if library else "no MKL", flush=True)
subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('MKL_DEBUG_CPU_TYPE'))"])
"""


@pytest.mark.parametrize("order", [[], ["paddle first"]])
def test_mkl_detects_what_it_was_told_and_child_processes_are_told_the_same(order):
    path = Path("/proc/cpuinfo")
    told = mkl.kernels(path.read_text()) if path.is_file() else None
    if told is None:
        pytest.skip("MKL judges this processor by itself")
    env = {name: value for name, value in os.environ.items() if name != mkl.VARIABLE}
    done = subprocess.run([sys.executable, "-c", PRODUCT, *order], env=env, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    detected, inherited = done.stdout.split()[-2:]
    assert (detected, inherited) == (told, told)




def test_results_that_are_kept_ask_for_the_same_bits_whatever_the_threads_and_leave_a_users_word():
    env: dict[str, str] = {}
    mkl.answer_alike(env)
    assert env == {"MKL_CBWR": "AUTO,STRICT"}
    env = {"MKL_CBWR": "AVX2"}
    mkl.answer_alike(env)
    assert env == {"MKL_CBWR": "AVX2"}
