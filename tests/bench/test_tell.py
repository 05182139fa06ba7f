"""How benchmarks are told: units, shares, ratios; what a peer lacks is said."""
import json
import sys

import pytest

from ppim.bench import peers, tell
from ppim.bench.rounds import Ratio
from ppim.bench.row import Row

ROWS = [Row("start", "ppim --help", 0.123456, "s"), Row("network", "step", 12.5, "/s", 0.428, Ratio(1.5, 1.25, 2.0),
                                                        "plain labels"), Row("machine", "products", 1234.5, "GFLOP/s")]


def test_values_are_told_in_units_people_read():
    assert tell.cells(ROWS[0]) == ("start", "ppim --help", "123 ms", "", "")
    assert tell.cells(ROWS[1]) == ("network", "step", "12.5 /s", "43 %", "1.50 [1.25, 2.00] x plain labels")
    assert tell.cells(ROWS[2])[2] == "1,234 GFLOP/s"
    line = "| network | step | 12.5 /s | 43 % | 1.50 [1.25, 2.00] x plain labels |"
    assert tell.markdown(ROWS).splitlines()[3] == line


def test_programs_get_every_digit(tmp_path):
    told = json.loads(tell.as_json(ROWS, {"cores": 2}))
    assert told["cores"] == 2 and told["rows"][0]["value"] == 0.123456 and told["rows"][0]["ratio"] is None
    assert told["rows"][1]["ratio"] == {"median": 1.5, "low": 1.25, "high": 2.0}


def test_the_picture_shows_what_was_compared(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing wants matplotlib")
    tell.draw(ROWS, tmp_path / "made.png")
    assert (tmp_path / "made.png").read_bytes()[:4] == b"\x89PNG"


def test_a_peer_without_its_packages_is_named():
    python = sys.executable if not _has_timm() else "false"
    with pytest.raises(ValueError, match="--peer .* wants a Python with torch, torchvision and timm"), \
            peers.on_call(python, ["a.jpg"]):
        pass


def test_a_peer_that_cannot_be_run_is_named():
    for python in ("false", "/no/such/python"):
        with pytest.raises(ValueError, match=f"--peer {python}"), peers.on_call(python, ["a.jpg"]):
            pass


def _has_timm() -> bool:
    from importlib.util import find_spec

    return find_spec("timm") is not None
