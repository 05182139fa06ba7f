"""What if a file is not as it was written? Every file that is read again, damaged in many ways, then read again.

What a reader may do: give exactly what was written, after passing over the damaged and saying so where there is
another copy; or refuse and name the file. What it must never do is to give something else; but for a configuration,
which people edit: that is taken as it is, and named as no longer what was written.
"""
from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ppim.annotate.generate import is_valid_map
from ppim.config import altered, get_config
from ppim.engine.run_folder import RunFolder, find_resumed, weights_file
from ppim.token_labels.card import load_card, read_card
from ppim.token_labels.maps import read_map
from ppim.weights.read import read_state
from tests.faults.inject import take_up
from tests.faults.stage import Stage, digest
from tests.faults.writers import CLASSES

PAGE = 512


def _flip(content: bytes, at: int, mask: int) -> bytes:
    at %= max(1, len(content))
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1:]


def _zero(content: bytes, at: int, count: int) -> bytes:
    at = max(0, min(at, len(content) - 1))
    return content[:at] + bytes(len(content[at:at + count])) + content[at + count:]


def damages(content: bytes, other: bytes, rng: random.Random) -> Iterator[tuple[str, str, bytes | None]]:
    """(class, what exactly, the file afterwards; None: it is removed) of a file.

    Args:
        other: content of a file of the same kind; empty where that may well be what somebody wanted.
    """
    n = len(content)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        yield "cut short", f"at {share}", content[:int(n * share)]
    for length in (1, 8, n - 8, n - 1):
        yield "cut short", f"to {length} bytes", content[:length]
    ends = {0, 1, 8, 9, n - 2, n - 1}
    for at in sorted(ends | set(rng.sample(range(n), min(n, 20))) | set(rng.sample(range(min(n, 128)), min(n, 10)))):
        yield "a bit flipped", f"at {at}", _flip(content, at, 1 << rng.randrange(8))
        if at % 2:
            yield "a byte inverted", f"at {at}", _flip(content, at, 255)
    for at in (0, n // 3, n // 2, n - PAGE):
        yield "a page of zeros", f"at {at}", _zero(content, at, PAGE)
    yield "all zeros", "", bytes(n)
    yield "empty", "", b""
    yield "something added", "a byte", content + b"\0"
    yield "something added", "a page", content + bytes(PAGE)
    yield "something added", "itself", content + content
    if other:
        yield "another's content", "", other
    yield "another file", "a web page", b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>\n"
    yield "removed", "", None


# ---- who reads it, and what it says --------------------------------------------------------------------------------


def _resumed_by_name(run: Path) -> tuple[object, str]:
    return _resumed(run, str(run / "checkpoints" / "step_00000009"))


def _resumed(run: Path, resume: str = "auto") -> tuple[object, str]:
    checkpoint, notes = find_resumed(RunFolder(run), resume)
    tensors = {name: digest(tensors) for name, tensors in checkpoint.tensors.items()}
    return (tensors, checkpoint.state._asdict()), "\n".join(notes)


def _weights(path: Path) -> tuple[object, str]:
    return digest(read_state(path).state), ""


def _best(path: Path) -> tuple[object, str]:
    return weights_file(str(path.with_name("best.pdparams")), "", "auto")[1], ""


def _config(path: Path) -> tuple[object, str]:
    return get_config(path).dump(), "\n".join(altered(path))


def _card(path: Path) -> tuple[object, str]:
    return (read_card(path.parent), json.dumps(load_card(path.parent))), ""


def _map(path: Path) -> tuple[object, str]:
    found = read_map(str(path), CLASSES)
    return tuple(getattr(value, "tobytes", lambda value=value: value)() for value in found), ""


READERS: dict[str, Callable[[Path], tuple[object, str]]] = {
    "checkpoint": _resumed, "only checkpoint": _resumed, "checkpoint by name": _resumed_by_name, "weights": _weights,
    "evaluation": _best, "recipe": _config, "card": _card, "map": _map,
}


def targets(stage: Stage) -> Iterator[tuple[str, str, Path, Path | None]]:
    """(reader, the file's name, the file below `base`, another that must not be taken for it)."""
    run = Path("stopped", "run")
    newest, older = (run / "checkpoints" / f"step_{step:08d}" for step in (9, 6))
    for file in sorted((stage.base / newest).iterdir()):
        for reader in ("checkpoint", "only checkpoint", "checkpoint by name"):
            yield reader, file.name, newest / file.name, older / file.name
    for name in ("last.pdparams", "last_ema.pdparams", "best.pdparams"):
        yield "weights", name, run / name, None
    yield "weights", "out.safetensors", Path("left by", "conversion", "out.safetensors"), None
    yield "evaluation", "best.json", run / "best.json", newest / "state.json"
    yield "recipe", "config.yaml", run / "config.yaml", None
    yield "card", "annotation.json", Path("left by", "label maps", "maps", "annotation.json"), run / "best.json"
    for path in sorted((stage.base / "left by" / "label maps").rglob("*.npy"))[:4]:
        yield "map", path.name, path.relative_to(stage.base), None


def _contents(stage: Stage, path: Path, other: Path | None) -> tuple[bytes, bytes]:
    return (stage.base / path).read_bytes(), (stage.base / other).read_bytes() if other else b""


def plan(stage: Stage) -> Iterator[dict[str, object]]:
    """Every damage to every file, read in this process; of those to a checkpoint every tenth by `--resume`."""
    count = 0
    for reader, name, path, other in targets(stage):
        rng = random.Random(f"{path}")
        for kind, exactly, _ in damages(*_contents(stage, path, other), rng):
            if (reader, kind) == ("card", "removed"):  # maps of others have none, so nobody can miss it
                continue
            task = {"file": name, "damage": kind, "exactly": exactly, "reader": reader, "path": str(path)}
            yield task
            count += 1
            if reader == "checkpoint" and count % 10 == 0:
                yield {**task, "reader": "--resume"}


def damage(stage: Stage, task: dict[str, object]) -> dict[str, object]:
    """What came of one: `verdict` is `equal`, `passed over`, `refused`, or what is wrong."""
    reader = "checkpoint" if task["reader"] == "--resume" else task["reader"]
    path, other = next((p, o) for r, n, p, o in targets(stage) if (r, str(p)) == (reader, task["path"]))
    rng = random.Random(f"{path}")
    content, another = _contents(stage, path, other)
    after = next(after for kind, exactly, after in damages(content, another, rng)
                 if (kind, exactly) == (task["damage"], task["exactly"]))
    stage.clear()
    top = path.parents[-2] if path.parts[0] == "stopped" else path.parents[-3]
    shutil.copytree(stage.base / top, stage.work, dirs_exist_ok=True)
    place = stage.work / path.relative_to(top)
    if after is None:
        place.unlink()
    else:
        place.write_bytes(after)
    if reader == "only checkpoint":
        shutil.rmtree(place.parent.with_name("step_00000006"))
    rest = {"fired": after != content, "torn": [], "left": 0, "segments": 0, "told": "", "lost": [], "litter": []}
    if task["reader"] == "--resume":
        found = take_up(stage, "resuming")
        said = (stage.scratch / "out").read_text() + (stage.scratch / "err").read_text()
        if not found["lost"] and f"passed over {place.parent.relative_to(stage.work)}" not in said:
            found["lost"].append("says nothing of the damage")
        return {**rest, **found, "verdict": "resumed" if not found["lost"] else "lost"}
    verdict = _judge(stage, reader, task, place)
    fine = ("equal", "passed over", "refused", "taken, and named")
    return {**rest, "verdict": verdict, "lost": [] if verdict in fine else [verdict]}


def _judge(stage: Stage, reader: str, task: dict[str, object], place: Path) -> str:
    run = stage.work / "run"
    read = READERS[reader]
    subject = run if reader.endswith(("checkpoint", "by name")) else place
    good = read(stage.base / task["path"] if subject == place else stage.base / "stopped" / "run")[0]
    try:
        found, said = read(subject)
    except (ValueError, OSError) as error:
        named = any(str(part) in str(error) for part in (place, place.parent if subject == run else place))
        # whoever starts from it has named the file, and is told the key
        named |= reader == "recipe" and bool(re.search(r"[A-Z]{2,}\.[A-Z_]{2,}", str(error)))
        if reader == "checkpoint":
            return f"refused, though another is whole: {error}"[:200]
        return "refused" if named else f"refused, without its name: {type(error).__name__}: {error}"[:200]
    except Exception as error:
        return f"a bug: {type(error).__name__}: {error}"[:200]
    if found == good:
        return "equal"
    if reader == "checkpoint":
        shutil.rmtree(place.parent)
        if read(run)[0] == found:
            return "passed over" if f"passed over {place.parent}" in said else "passed over in silence"
    if reader == "recipe" and str(place) in said:
        return "taken, and named"
    if reader == "map" and not is_valid_map(str(place), (3, 3), 2, CLASSES):
        return "refused"
    return "another"

