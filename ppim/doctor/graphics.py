"""Which GPUs are there, and which build of Paddle do they need?

Paddle's builds hold machine code for some architectures and nothing that a newer GPU could translate. 2.6.2 as the
package registry has it is for CUDA 11.8, with code for 6.1, 7.0, 7.5, 8.0 and 8.6 alone; code of 8.x runs on any later
8.y. Hopper (9.0) wants a build for CUDA 12, Blackwell (10.0 and 12.0, RTX 50) Paddle 3.2 or later for CUDA 12.9.
"""
from __future__ import annotations

import contextlib
import subprocess
from typing import NamedTuple

from ppim.checks.finding import Finding, fine, unknown
from ppim.doctor.ask import Answers

INSTALL = "https://www.paddlepaddle.org.cn/install/quick"


class Card(NamedTuple):
    """A GPU as nvidia-smi names it; `capability` as (8, 6)."""

    name: str
    capability: tuple[int, int]
    megabytes: int
    driver: str

    def __str__(self) -> str:
        return f"{self.name} ({_dotted(self.capability)}, {self.megabytes / 1024:.0f} GB)"


class Build(NamedTuple):
    """A build of Paddle: for which CUDA, and from which Paddle on."""

    cuda: tuple[int, int]
    paddle: tuple[int, int]


# least capability -> builds that have its machine code, the one to take first
_BUILDS = (
    ((10, 0), [Build((12, 9), (3, 2))]),
    ((9, 0), [Build((12, 6), (3, 0)), Build((12, 9), (3, 2))]),
    ((7, 5), [Build((12, 6), (3, 0)), Build((11, 8), (2, 6)), Build((12, 9), (3, 2))]),
    ((6, 1), [Build((11, 8), (2, 6))]),
    ((6, 0), [Build((11, 8), (3, 0))]),
)
_OLDEST_DRIVER = {11: 450, 12: 525}  # on Linux, by CUDA's major version


def cards() -> list[Card] | None:
    """What nvidia-smi lists; None where there is no nvidia-smi."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version",
                               "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=30)
        return read_cards(done.stdout)
    return None


def read_cards(text: str) -> list[Card]:
    """Lines of nvidia-smi: name, capability, MB, driver. Lines of another kind are passed over."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            name, capability, megabytes, driver = (part.strip() for part in line.split(","))
            major, minor = capability.split(".")
            found.append(Card(name, (int(major), int(minor)), int(megabytes), driver))
    return found


def builds_for(capability: tuple[int, int]) -> list[Build]:
    """The builds of Paddle that run on a GPU, the one to take first; none for what is too old for any of today's."""
    return next((builds for least, builds in _BUILDS if capability >= least), [])


def fits(card: Card, answers: Answers) -> Finding:
    """Does the installed Paddle compute on this GPU?"""
    check, known = "GPU", answers.known
    builds = builds_for(card.capability)
    if not builds:
        return Finding(check, "warning", f"{card}: too old for today's builds of Paddle; train on the CPU, or on a GPU "
                       f"of {_dotted(_BUILDS[-1][0])} or later")
    best = builds[0]
    wanted = f"Paddle {_dotted(best.paddle)} or later for CUDA {_dotted(best.cuda)}, see {INSTALL}"
    oldest = _OLDEST_DRIVER[best.cuda[0]]
    if card.driver.partition(".")[0].isdecimal() and int(card.driver.partition(".")[0]) < oldest:
        return Finding(check, "warning", f"{card}: its driver {card.driver} is too old for CUDA {_dotted(best.cuda)}; "
                       f"bring it to {oldest} or later, then install {wanted}")
    if "version" not in known:
        return unknown(check, f"{card}; it wants {wanted}")
    if not known.get("cuda"):
        return Finding(check, "warning", f"{card} lies idle: the installed Paddle {known['version']} is the CPU's; "
                       f"install {wanted}, after removing this one")
    installed = f"Paddle {known['version']} for CUDA {known['cuda']}"
    if known.get("computes_on_gpu"):
        return fine(check, f"{card} computes, with {installed}")
    if not known.get("gpus"):
        return Finding(check, "error", f"{card}: {installed} sees no GPU; look at CUDA_VISIBLE_DEVICES and at the "
                       f"driver, or install {wanted}")
    is_meant = _pair(str(known["cuda"])) in [build.cuda for build in builds]
    why = "" if is_meant else ", whose build has no code for it"
    return Finding(check, "error", f"{card}: a product fails with {installed}{why} ({answers.died or 'wrong result'}); "
                   f"install {wanted}")


def none_found(answers: Answers) -> Finding:
    """What to say where nvidia-smi lists nothing."""
    if answers.known.get("cuda"):
        return Finding("GPU", "warning", "none found, though the installed Paddle is for CUDA "
                       f"{answers.known['cuda']}; it computes on the CPU. In a container, start it with --gpus all")
    return fine("GPU", "none; everything is computed on the CPU")


def _dotted(pair: tuple[int, int]) -> str:
    return f"{pair[0]}.{pair[1]}"


def _pair(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)
