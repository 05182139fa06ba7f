"""What is installed, in which version, and does it do?"""
from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib import metadata

import ppim
from ppim.checks.finding import Finding, fine
from ppim.doctor.ask import Answers
from ppim.doctor.graphics import INSTALL

OLDEST_PADDLE = (2, 6, 2)
BUILDS = ("paddlepaddle", "paddlepaddle-gpu")
NEEDED = ("numpy", "Pillow", "PyYAML", "yacs", "rich", "safetensors", "visualdl")
EXTRAS = {"scipy": "ppim data imagenet", "matplotlib": "figures"}  # what of ppim wants them


def versions() -> dict[str, str]:
    """{distribution: version} of what matters here, where it is installed."""
    found = {}
    for name in (*BUILDS, *NEEDED, *EXTRAS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def itself() -> Finding:
    """ppim and Python."""
    return fine("ppim", f"{ppim.__version__}, Python {platform.python_version()} on {platform.system()} "
                f"{platform.machine()}")


def paddle(answers: Answers, found: Mapping[str, str]) -> list[Finding]:
    """Is Paddle there, alive, and new enough?"""
    check, known, builds = "Paddle", answers.known, [name for name in BUILDS if name in found]
    several = [Finding(check, "warning", f"{' and '.join(builds)} are both installed and overwrite each other's files; "
                       "remove both, then install the one you want")] if len(builds) > 1 else []
    if "version" not in known:
        if "No module named 'paddle'" in answers.died:
            why = f"not installed; the page {INSTALL} gives the command for this machine"
        elif answers.died.startswith("SIGILL"):
            why = "ends with an illegal instruction: its builds want a processor with AVX; take another machine"
        else:
            why = f"cannot be imported ({answers.died}); remove it and install it anew, see {INSTALL}"
        return [*several, Finding(check, "error", why)]
    version = str(known["version"])
    told = f"{version}, {'for CUDA ' + str(known['cuda']) if known.get('cuda') else 'for CPUs'}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST_PADDLE and any(numbers):  # 0.0.0 is a nightly build
        return [*several, Finding(check, "error", f"{told}: wanted at least {'.'.join(map(str, OLDEST_PADDLE))}, see "
                                  f"{INSTALL}")]
    if answers.died and "gigaflops" not in known:
        return [*several, Finding(check, "error", f"{told}: a product of matrices ends it ({answers.died}); install it "
                                  f"anew, see {INSTALL}")]
    return [*several, fine(check, told)]


def others(found: Mapping[str, str]) -> list[Finding]:
    """What ppim needs besides, and what some of its commands do."""
    missing = [name for name in NEEDED if name not in found]
    there = ", ".join(f"{name} {found[name]}" for name in NEEDED if name in found)
    needed = (Finding("packages", "error", f"{', '.join(missing)} not installed; pip install {' '.join(missing)}")
              if missing else fine("packages", there))
    lacking = [f"{name} ({use})" for name, use in EXTRAS.items() if name not in found]
    optional = f"{', '.join(name for name in EXTRAS if name in found) or 'none'} installed"
    return [needed, fine("optional", optional + (f"; not {', '.join(lacking)}" if lacking else ""))]


def photos() -> Finding:
    """Does Pillow decode JPEG fast?"""
    try:
        from PIL import features
    except ImportError as error:
        return Finding("photos", "error", f"Pillow cannot be imported ({error}); pip install --force-reinstall Pillow")
    if not features.check("jpg"):
        return Finding("photos", "error", "this Pillow reads no JPEG; pip install --force-reinstall Pillow")
    if not features.check_feature("libjpeg_turbo"):
        return Finding("photos", "warning", "Pillow without libjpeg-turbo decodes several times slower; take the "
                       "packages of pip instead of the system's")
    return fine("photos", f"JPEG by libjpeg-turbo {features.version_feature('libjpeg_turbo')}")
