"""What the doctor makes of what machines say: processors, GPUs, containers, answers of Paddle; texts as they are."""
import shutil
from types import SimpleNamespace

import pytest

from ppim.doctor import graphics, installed, limits, processor
from ppim.doctor.ask import Answers, understood
from tests.helpers import ROOT

GB = 1 << 30

# ---- processors ----------------------------------------------------------------------------------------------------

AVX2 = "fpu sse2 avx fma avx2"


def cpuinfo(cores: int, siblings: int, flags: str, megahertz: float = 3000.0) -> str:
    return "".join(f"processor\t: {n}\nmodel name\t: Of A Kind\ncpu MHz\t\t: {megahertz - n}\nphysical id\t: 0\n"
                   f"core id\t\t: {n % cores}\nflags\t\t: {flags}\n\n" for n in range(siblings))


@pytest.mark.parametrize(("flags", "vector", "per_cycle"), [
    (AVX2 + " avx512f", "AVX-512", 64), (AVX2, "AVX2", 32), ("fpu sse2 avx avx2", "AVX", 16), ("fpu sse2", "SSE", 8),
])
def test_the_peak_is_cores_times_clock_times_width(flags, vector, per_cycle):
    found = processor.described(cpuinfo(4, 8, flags))
    assert (found.model, found.vector, found.cores, found.processors) == ("Of A Kind", vector, 4, 8)
    # two threads of a core share its units
    assert [found.peak(threads) for threads in (1, 4, 8)] == pytest.approx([3 * per_cycle, 12 * per_cycle,
                                                                            12 * per_cycle])


def test_of_other_machines_no_peak_is_claimed():
    assert processor.described("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n") is None
    assert processor.described("") is None
    assert processor.speed(None, 40.0, 2, 0.0, None).level == "unknown"
    assert processor.speed(None, None, 2, 0.0, None).level == "unknown"


@pytest.mark.parametrize(("gigaflops", "load", "level", "word"), [
    (100.0, 9.0, "fine", "52 % of 192"), (12.0, 0.5, "warning", "MKL_DEBUG_CPU_TYPE is 5"),
    (12.0, 9.0, "warning", "load"),
])
def test_a_slow_processor_is_told_with_the_likely_reason(gigaflops, load, level, word):
    found = processor.speed(processor.described(cpuinfo(2, 2, AVX2)), gigaflops, 2, load, "5")
    assert found.level == level and word in found.text and "2 cores x 3.0 GHz x 32, AVX2" in found.text


# ---- GPUs ----------------------------------------------------------------------------------------------------------

LISTED = """NVIDIA GeForce RTX 5090, 12.0, 32607, 575.57.08
NVIDIA H100 80GB HBM3, 9.0, 81559, 550.54.15
Tesla V100-SXM2-16GB, 7.0, 16384, 535.104.05
NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.
"""


def test_cards_are_read_and_other_lines_passed_over():
    found = graphics.read_cards(LISTED)
    assert [(card.capability, card.megabytes, card.driver) for card in found] == [
        ((12, 0), 32607, "575.57.08"), ((9, 0), 81559, "550.54.15"), ((7, 0), 16384, "535.104.05")]
    assert str(found[0]) == "NVIDIA GeForce RTX 5090 (12.0, 32 GB)"


@pytest.mark.parametrize(("capability", "cuda", "paddle"), [
    ((12, 0), (12, 9), (3, 2)), ((10, 0), (12, 9), (3, 2)), ((9, 0), (12, 6), (3, 0)), ((8, 9), (12, 6), (3, 0)),
    ((8, 0), (12, 6), (3, 0)), ((7, 5), (12, 6), (3, 0)), ((7, 0), (11, 8), (2, 6)), ((6, 1), (11, 8), (2, 6)),
    ((6, 0), (11, 8), (3, 0)),
])
def test_a_card_is_told_the_build_that_has_its_code(capability, cuda, paddle):
    assert graphics.builds_for(capability)[0] == (cuda, paddle)


def card(capability=(8, 6), driver="550.54.15") -> graphics.Card:
    return graphics.Card("A Card", capability, 24576, driver)


def answers(died="", **known) -> Answers:
    return Answers({"version": "3.0.0", "cuda": None, **known}, died)


@pytest.mark.parametrize(("own", "said", "level", "words"), [
    (card(), answers(cuda="12.6", gpus=1, computes_on_gpu=True), "fine", "computes, with Paddle 3.0.0 for CUDA 12.6"),
    (card(), answers(), "warning", "lies idle: the installed Paddle 3.0.0 is the CPU's"),
    (card((12, 0)), answers("SIGABRT (no kernel image)", cuda="12.6", gpus=1), "error",
     "whose build has no code for it (SIGABRT (no kernel image)); install Paddle 3.2 or later for CUDA 12.9"),
    (card((9, 0)), answers("it ended", cuda="12.6", gpus=1), "error",
     "a product fails with Paddle 3.0.0 for CUDA 12.6 (it ended)"),
    (card(), answers(cuda="11.8", gpus=0), "error", "sees no GPU; look at CUDA_VISIBLE_DEVICES"),
    (card((5, 2)), answers(), "warning", "too old for today's builds"),
    (card(driver="470.57"), answers(), "warning", "driver 470.57 is too old for CUDA 12.6; bring it to 525"),
    (card(), Answers({}, "gone"), "unknown", "it wants Paddle 3.0 or later for CUDA 12.6"),
])
def test_what_becomes_of_a_card_with_the_paddle_there_is(own, said, level, words):
    found = graphics.fits(own, said)
    assert found.level == level and words in found.text and "\n" not in found.text
    if level == "error":
        assert "https://www.paddlepaddle.org.cn/install/quick" in found.text


def test_no_card_is_fine_but_for_a_paddle_that_wants_one():
    assert graphics.none_found(answers()).level == graphics.none_found(Answers({}, "gone")).level == "fine"
    assert graphics.none_found(answers(cuda="12.6")).level == "warning"


# ---- what a process is given ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "granted"), [
    ({"cpu.max": "200000 100000"}, 2.0), ({"cpu.max": "50000 100000"}, 0.5), ({"cpu.max": "max 100000"}, None),
    ({"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1.5),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None), ({}, None),
])
def test_a_containers_share_of_the_processors_is_read(tmp_path, files, granted):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert limits.granted_cores(tmp_path) == granted


@pytest.mark.parametrize(("usable", "granted", "threads", "words"), [
    (8, None, 8, None), (8, 8.0, 8, None), (64, 2.0, 64, "PPIM_THREADS=2"), (4, 0.5, 4, "PPIM_THREADS=1"),
    (8, None, 1, "PPIM_THREADS=8"), (2, None, 16, "PPIM_THREADS=2"),
])
def test_threads_are_held_against_the_cores_that_are_given(usable, granted, threads, words):
    found = limits.cores(usable, granted, threads)
    assert (found.level == "fine") == (words is None) and (words or "") in found.text


MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n"


@pytest.mark.parametrize(("files", "granted"), [
    ({}, (16, 8)), ({"memory.max": 4 * GB, "memory.current": GB}, (4, 3)), ({"memory.max": "max"}, (16, 8)),
    ({"memory/memory.limit_in_bytes": 2 * GB, "memory/memory.usage_in_bytes": 3 * GB}, (2, 0)),
    ({"memory/memory.limit_in_bytes": 1 << 62, "memory/memory.usage_in_bytes": GB}, (16, 8)),
])
def test_a_containers_share_of_the_memory_is_read(tmp_path, files, granted):
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    found = limits.granted_memory(tmp_path, tmp_path / "meminfo")
    assert found == (granted[0] * GB, granted[1] * GB)
    assert limits.memory(found).level == ("fine" if granted[1] >= 2 else "warning")
    assert limits.granted_memory(tmp_path, tmp_path / "nowhere") is None


@pytest.mark.parametrize(("free", "level"), [(100 * GB, "fine"), (GB, "warning"), (GB // 100, "error")])
def test_a_full_disk_is_the_end_of_training(tmp_path, monkeypatch, free, level):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=200 * GB, free=free))
    assert limits.disk(tmp_path).level == level


def test_a_small_dev_shm_counts_for_several_gpus_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=64 << 20, free=64 << 20))
    assert [limits.shared_memory(gpus, tmp_path).level for gpus in (0, 1, 8)] == ["fine", "fine", "warning"]
    assert limits.shared_memory(8, tmp_path / "none").level == "unknown"
    assert [limits.open_files(soft).level for soft in (256, 1024)] == ["warning", "fine"]


# ---- what is installed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "level", "words"), [
    (answers(gigaflops=90.0), "fine", "3.0.0, for CPUs"),
    (answers(version="2.6.1", gigaflops=90.0), "error", "wanted at least 2.6.2"),
    (answers(version="0.0.0", gigaflops=90.0), "fine", "0.0.0"),
    (answers("SIGILL"), "error", "a product of matrices ends it (SIGILL)"),
    # the GPU's part of the talk is told of the GPU
    (answers("SIGABRT", gigaflops=90.0, gpus=1, cuda="12.6"), "fine", "3.0.0, for CUDA 12.6"),
])
def test_a_paddle_that_answers_is_judged_by_its_answers(said, level, words):
    (found,) = installed.paddle(said, {"paddlepaddle": "3.0.0"})
    assert found.level == level and words in found.text


def test_two_builds_at_once_and_packages_that_lack_are_named():
    both = installed.paddle(answers(gigaflops=1.0), {"paddlepaddle": "3.0.0", "paddlepaddle-gpu": "2.6.2"})
    assert both[0].level == "warning" and "paddlepaddle and paddlepaddle-gpu are both installed" in both[0].text
    there = {name: "1.0" for name in installed.NEEDED if name != "safetensors"}
    needed, optional = installed.others({**there, "scipy": "1.11"})
    assert needed.level == "error" and "pip install safetensors" in needed.text
    assert "scipy installed; not matplotlib" in optional.text


def test_the_packages_that_are_needed_are_those_that_come_with_the_package():
    wanted = (ROOT / "setup.py").read_text().split("install_requires=[")[1].split("]")[0]
    assert {name.lower() for name in installed.NEEDED} == {
        word.strip(' "\n').split(">")[0].lower() for word in wanted.split(",")}


def test_how_a_process_ended_is_one_line():
    assert understood('{"a": 1}\nnoise\n{"a": 2, "b": 3}\n', "", 0) == Answers({"a": 2, "b": 3}, "")
    assert understood("", "first\n  last words\n\n", 1).died == "last words"
    assert understood("", "", 3).died == "exit code 3"
    assert understood('{"a": 1}', "why\n", -4) == Answers({"a": 1}, "SIGILL (why)")
