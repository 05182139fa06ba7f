"""Where are faults injected, and did anything get lost? The inputs of all writers, what each leaves when nothing goes
wrong, and the comparison with it."""
from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ppim.files import sha256
from ppim.weights.checkpoints import list_checkpoints, newest_valid
from ppim.weights.read import read_state
from tests.faults import process, shim
from tests.faults.process import Ended, Running
from tests.faults.shim import Fault
from tests.faults.writers import RECIPE, WRITERS, Log, act, archives, contents, digest_of, draw, log_of

WEIGHTS = ("last.pdparams", "last_ema.pdparams", "best.pdparams")


class Good(NamedTuple):
    """What a writer leaves when nothing goes wrong, and the operations it does on the way."""

    contents: dict[str, str]
    log: Log
    operations: list[str]


class Stage:
    """Folders below `home`: `base` of inputs, `work` where writers run, `scratch` for what they say.

    Attributes:
        good: what each writer leaves.
        states: of every step of training, the digests its weights may have.
    """

    def __init__(self, home: Path, library: Path):
        self.base, self.work, self.scratch = home / "base", home / "work", home / "scratch"
        self.library, self.url = library, ""
        self.good: dict[str, Good] = {}
        self.states: set[str] = set()
        self.files: dict[str, set[str]] = {}  # digests that a checkpoint's file may have, by its path

    def __enter__(self) -> Stage:
        """Draw, train, and run every writer once."""
        draw(self.base / "data")
        archives(self.base)
        (self.base / "tiny.yaml").write_text(RECIPE.format(data=self.base / "data"))
        self.good["training"] = self._undisturbed("training")
        shutil.copytree(self.work, self.base / "finished")
        self._note_every_step()
        struck = self.run("training", fault=Fault("kill", "rename run/last.pdparams 3"))
        if struck.code != -9:
            raise RuntimeError(f"training was to die writing its third last.pdparams, it ends with {struck.code}")
        shutil.copytree(self.work, self.base / "stopped")
        self.url = self._serve(self.base / "finished" / "run" / "last.pdparams")
        for name in WRITERS:
            if name not in self.good:
                self.good[name] = self._undisturbed(name)
                shutil.copytree(self.work, self.base / "left by" / name)
        return self

    def __exit__(self, *_) -> None:
        self.server.terminate()
        self.server.wait()

    def _undisturbed(self, name: str) -> Good:
        ended = self.run(name)
        if ended.code != 0:
            raise RuntimeError(f"{name} ends with {ended.code} when nothing goes wrong:\n{ended.out}{ended.err}")
        done = shim.read_list(self.scratch / "list")
        return Good(contents(self.work), log_of(self.work), [one.name for one in done])

    def _note_every_step(self) -> None:
        self.clear()
        words = [*WRITERS["training"].named(self.base, ""), "-o", "SAVE_STEPS", "1", "KEEP_CHECKPOINTS", "1000"]
        process.fork(partial(act, words), self.work, self.scratch).wait()
        for folder in list_checkpoints(self.work / "run" / "checkpoints"):
            for file in folder.iterdir():
                self.files.setdefault(f"{folder.name}/{file.name}", set()).add(sha256(file))
                if file.suffix == ".safetensors":
                    self.states.add(digest(read_state(file).state))

    def _serve(self, file: Path) -> str:
        self.server = subprocess.Popen([sys.executable, Path(__file__).with_name("server.py"), file],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return f"http://127.0.0.1:{int(self.server.stdout.readline())}/weights.pdparams"

    def clear(self) -> None:
        """An empty `work`, where nothing has run."""
        self.met: set[int] = set()
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)

    def begin(self, name: str) -> None:
        """Lay out in `work` what is there before a writer starts."""
        WRITERS[name].begin(self.base, self.work)

    def start(self, name: str, again: bool = False, fault: Fault | None = None, fresh: bool = False,
              more: tuple[str, ...] = ()) -> Running:
        """Start a writer in `work`, as it is there; `fresh`: in a new process, not in a fork of this one."""
        words = [*WRITERS[name].named(self.base, self.url, again), *more]
        if fresh:
            return process.spawn(words, self.work, self.scratch, self.library, fault)
        return process.fork(partial(act, words), self.work, self.scratch, fault)

    def start_two(self, again: bool, more: tuple[str, ...]) -> Running:
        """Start training by two processes, through Paddle's launcher."""
        launcher = ("-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir",
                    str(self.scratch / "ranks"), str(process.ROOT / "tools" / "train.py"))
        _, *words = WRITERS["training"].named(self.base, self.url, again)
        return process.spawn([*words, *more], self.work, self.scratch, self.library, launcher=launcher)

    def learn_two(self, more: tuple[str, ...]) -> None:
        """What two processes leave when nothing goes wrong."""
        if "two processes" not in self.good:
            self.clear()
            ended = self.start_two(False, more).wait()
            if ended.code != 0:
                raise RuntimeError(f"two processes end with {ended.code}:\n{ended.out}{ended.err}")
            self.good["two processes"] = Good(contents(self.work), log_of(self.work), [])

    def run(self, name: str, fault: Fault | None = None, fresh: bool = False) -> Ended:
        """A writer from its beginning to its end."""
        self.clear()
        self.begin(name)
        return self.start(name, fault=fault, fresh=fresh).wait()

    def left_by(self, run: Running) -> int:
        """How many processes a run that has ended left behind; they are killed."""
        left = process.end_of_orphans(run, {self.server.pid})
        self.met |= {run.pid, *run.met}
        return left

    def segments(self) -> int:
        """How many segments of shared memory all runs since `clear` have left behind; they are removed."""
        return process.segments_of(self.met)

    # ---- what is found ---------------------------------------------------------------------------------------------

    def torn(self) -> list[str]:
        """Files of the run in `work` that stand under their final name and are not what training ever wrote there."""
        run, found = self.work / "run", []
        for name in WEIGHTS:
            if (run / name).exists() and not self._is_of_a_step(run / name):
                found.append(name)
        for name, reads in (("best.json", json.loads), ("config.yaml", None)):
            path = run / name
            if path.exists() and not _reads(path, reads, self.good["training"].contents[f"run/{name}"]):
                found.append(name)
        for folder in list_checkpoints(run / "checkpoints"):
            for file in folder.iterdir():
                path = f"{folder.name}/{file.name}"
                if sha256(file) not in self.files.get(path, ()):
                    found.append(f"checkpoints/{path}")
        return found

    def _is_of_a_step(self, path: Path) -> bool:
        try:
            return digest(read_state(path).state) in self.states
        except ValueError:
            return False

    def unlike(self, name: str, log_may_lack: bool = False, newest_only: bool = False) -> tuple[list[str], list[str]]:
        """(what is missing or differs from what `name` leaves when all goes well, what is there besides).

        Args:
            log_may_lack: lines of the log may be missing, but none may differ.
            newest_only: of checkpoints compare the newest alone, since a clean stop saves one at a step of its own.
        """
        good, here = self.good[name].contents, contents(self.work)
        if newest_only:
            last = max(path for path in good if path.startswith("run/checkpoints/"))
            good, here = ({path: sha for path, sha in one.items() if not path.startswith("run/checkpoints/")
                           or Path(path).parent == Path(last).parent} for one in (good, here))
        lost = [path for path in good if here.get(path) != good[path]]
        if self.good[name].log.losses:
            lost += _unlike_log(log_of(self.work), self.good[name].log, log_may_lack)
        return lost, [path for path in here if path not in good]

    def newest_step(self) -> int:
        """The step of the newest whole checkpoint in `work`, 0 where there is none."""
        found = newest_valid(self.work / "run" / "checkpoints")[0]
        return int(found.name.rpartition("_")[2]) if found else 0


def digest(state: Mapping) -> str:
    """One digest of names, types, shapes and values."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {state[name].dtype} {state[name].shape}".encode())
        found.update(state[name].tobytes())
    return found.hexdigest()


def _reads(path: Path, reads, good: str) -> bool:
    if reads is None:
        return digest_of(path) == good
    try:
        return bool(reads(path.read_text()))
    except ValueError:
        return False


def _unlike_log(here: Log, good: Log, may_lack: bool) -> list[str]:
    found = []
    for ours, theirs, what in ((here.losses, good.losses, "loss of step"), (here.evaluations, good.evaluations, "")):
        found += [f"log: {what} {key}" for key, value in theirs.items()
                  if ours.get(key, value if may_lack else None) != value]
    return found


def says_in_one_line(ended: Ended) -> bool:
    """Did the command end with a mistake told in one line, and without a traceback?"""
    return ended.code == 1 and "Traceback" not in ended.err and ended.err.count("\nerror: ") + ended.err.startswith(
        "error: ") == 1


def wait_for_line(path: Path, lines: int, run: Running, seconds: float = 60.0) -> bool:
    """Wait until the log at `path` has so many lines; False where the run ended before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.is_file() and path.read_bytes().count(b"\n") >= lines:
            return True
        if not Path(f"/proc/{run.pid}/stat").exists() or _is_over(run.pid):
            return False
        run.look()
        time.sleep(0.002)
    return False


def _is_over(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
