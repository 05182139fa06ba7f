"""How much of the machine is this process given: cores, memory, disk, files?"""
from __future__ import annotations

import os
import shutil
from pathlib import Path

from ppim.checks.finding import Finding, fine, unknown

CGROUP = Path("/sys/fs/cgroup")
SHM = Path("/dev/shm")
GB = 1 << 30
FILES = 1024  # that loaders, logs and checkpoints keep open together, with room to spare


def granted_cores(cgroup: Path = CGROUP) -> float | None:
    """The processor time that a container is given, in cores; None where nothing bounds it."""
    # version 2: quota and period in one file, `max 100000` without a bound; version 1: a file each, -1 without
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if not quota:
        quota, period = (_read(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None
    return int(quota) / int(period)


def granted_memory(cgroup: Path = CGROUP, meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int] | None:
    """Bytes this process may use, all processes together, and bytes that are free of them now; None where unknown."""
    lines = dict(line.split(":", 1) for line in _read(meminfo).splitlines() if ":" in line)
    if not {"MemTotal", "MemAvailable"} <= set(lines):
        return None
    total, free = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    for limit, used in (("memory.max", "memory.current"),
                        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        bound, taken = _read(cgroup / limit), _read(cgroup / used)
        if bound.isdecimal() and taken.isdecimal() and int(bound) < total:
            # what a file system's cache holds counts as used, and is given back when asked for
            return int(bound), min(free, max(0, int(bound) - int(taken)))
    return total, free


def cores(usable: int, granted: float | None, threads: int) -> Finding:
    """Are there as many threads as cores that are really given?"""
    seen = f"{threads} threads on {usable} usable cores"
    if granted is not None and threads > granted + 0.5:
        return Finding("threads", "warning", f"{seen}, but this container is given the time of {granted:g}: threads "
                       f"that wait for it hold up all others; set PPIM_THREADS={max(1, int(granted))}")
    if threads < usable:
        return Finding("threads", "warning", f"{seen}: OMP_NUM_THREADS or PPIM_THREADS holds them down; unset it, or "
                       f"set PPIM_THREADS={usable}, unless other work needs the cores")
    if threads > usable:
        return Finding("threads", "warning", f"{seen}: more threads than cores slow one another; set "
                       f"PPIM_THREADS={usable}")
    return fine("threads", seen)


def memory(granted: tuple[int, int] | None) -> Finding:
    """Is there room for a small run?"""
    if granted is None:
        return unknown("memory", "how much there is is not told here")
    total, free = granted
    seen = f"{total / GB:.1f} GB, {free / GB:.1f} GB of it free"
    if free < 2 * GB:
        return Finding("memory", "warning", f"{seen}: small models alone will fit; lower DATA.BATCH_SIZE and "
                       "DATA.NUM_WORKERS, or set TRAIN.RECOMPUTE True")
    return fine("memory", seen)


def shared_memory(gpus: int, folder: Path = SHM) -> Finding:
    """/dev/shm, which loaders do without and several GPUs need."""
    if not folder.is_dir():
        return unknown("/dev/shm", "there is none")
    size = shutil.disk_usage(folder).total
    if gpus > 1 and size < GB:
        return Finding("/dev/shm", "warning", f"{size / GB:.2f} GB, through which {gpus} GPUs talk to one another; "
                       "start the container with --shm-size=1g or more")
    return fine("/dev/shm", f"{size / GB:.1f} GB; ppim's loaders need none of it")


def disk(folder: Path) -> Finding:
    """Room for checkpoints in the folder in which runs are started."""
    free = shutil.disk_usage(folder).free
    seen = f"{free / GB:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "warning", f"{folder} cannot be written; start runs in another folder, or set SAVE")
    if free < GB // 16:
        return Finding("disk", "error", f"{seen}: no run could save; free some, or set SAVE to another disk")
    if free < 2 * GB:
        return Finding("disk", "warning", f"{seen}: a checkpoint has five times the size of the weights; set SAVE to "
                       "another disk for all but small models")
    return fine("disk", seen)


def open_files(soft: int) -> Finding:
    """How many files may be open at a time?"""
    if soft < FILES:
        return Finding("open files", "warning", f"at most {soft}; loader processes may need more: ulimit -n 4096")
    return fine("open files", f"at most {soft:,}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
