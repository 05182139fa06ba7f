"""Can a file make the reader of weights hang, crash, swallow memory or run something?

Pickles drawn from a grammar of real steps, and real files of every format cut, flipped and spliced, go through
`read_state` under a cap of memory and of time per case. It must return or raise ValueError, and no audit event may tell
of a file written, a process, a socket, an import or compiled code.

    python tests/weights/fuzz_weights.py --cases 100000 --seed 0
"""
from __future__ import annotations

import argparse
import pickle
import pickletools
import random
import resource
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppim.weights.read import read_state  # noqa: E402
from ppim.weights.write import save_state  # noqa: E402

FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "exec", "compile", "import", "pty.")
NAMES = [
    "builtins eval", "builtins exec", "os system", "posix system", "builtins getattr", "builtins __import__",
    "numpy load", "numpy ndarray", "numpy dtype", "numpy._core.multiarray _reconstruct", "collections OrderedDict",
    "numpy._core.multiarray scalar", "_codecs encode", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
    "argparse Namespace", "builtins tuple", "torch Size", "copyreg _reconstructor", "subprocess Popen",
]
events: list = []
listening = False


def record(event, args):
    if not listening:
        return
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or (event.startswith(FORBIDDEN) and event != "os.listdir"):
        events.append((event, args))


def argument(rng: random.Random, op) -> bytes:
    """Bytes that may well be a valid argument of a step."""
    n = 0 if op.arg is None else op.arg.n
    if n >= 0:
        return bytes(rng.choice((0, 1, 2, 5, 200, 255)) if rng.random() < 0.3 else rng.randrange(4) for _ in range(n))
    if n == pickletools.UP_TO_NEWLINE:
        return rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(n, 4)
    text = rng.choice([*rng.choice(NAMES).split(), "w", "f4", "<", "storage", "0", "\0\0\x80?"]).encode("latin1")
    claimed = len(text) if rng.random() < 0.97 else rng.randrange(256**width)
    return claimed.to_bytes(width, "little") + text


def grown(rng: random.Random) -> bytes:
    """A pickle of random steps, most of which find the values they take on the stack."""
    ops = [op for op in pickletools.opcodes if op.name not in ("STOP", "PROTO", "FRAME")]
    pushing = [op for op in ops if not op.stack_before]
    out = b"\x80\x04"
    for step in range(rng.randrange(1, 40)):
        op = rng.choice(pushing if step < 3 or rng.random() < 0.5 else ops)
        out += op.code.encode("latin1") + argument(rng, op)
    return out + (b"." if rng.random() < 0.9 else b"")


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A real file, cut, with bits flipped, or spliced with another."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(4)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[at:]
        elif kind == 2:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other))
            content[at : at + rng.randrange(20)] = other[begin : begin + rng.randrange(60)]
        else:
            content[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
    return bytes(content)


def real_files(folder: Path) -> list[bytes]:
    state = {"a.weight": np.arange(6, dtype="float32").reshape(2, 3), "b": np.arange(3, dtype="float16")}
    save_state(state, folder / "w.pdparams")
    save_state(state, folder / "w.safetensors")
    paths = [folder / "w.pdparams", folder / "w.safetensors", *Path(__file__).with_name("fixtures").glob("*.p*t*")]
    old = pickle.dumps({"state_dict": state, "epoch": 3, "acc": np.float64(3)}, 2)
    return [*(path.read_bytes() for path in paths), old]


def main() -> int:
    global listening
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    sys.addaudithook(record)
    accepted = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds, path = real_files(folder), folder / "case"
        for seed in seeds:  # whatever the reader imports on first use, it has imported now
            path.write_bytes(seed)
            read_state(path)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, resource.RLIM_INFINITY))
        for case in range(args.cases):
            content = grown(rng) if rng.random() < 0.5 else mutated(rng, seeds)
            path.write_bytes(content)
            signal.alarm(5)  # its default action ends the process, which is the failure a hang deserves
            listening = True
            try:
                read_state(path)
                accepted += 1
            except ValueError:
                pass
            except BaseException as error:
                print(f"case {case}: {error!r}\n{content!r}")
                return 1
            finally:
                listening = False
                signal.alarm(0)
            if events:
                print(f"case {case}: {events[0]}\n{content!r}")
                return 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{args.cases} cases, {accepted} read, the others refused; peak memory of the process {peak} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
