"""The measurement of a training step beside another's: its statistics, and that it runs."""
import re
import sys

import numpy as np

from tests.helpers import ROOT, run_python

sys.path.insert(0, str(ROOT / "tools" / "benchmark"))
from training_step_vs_pytorch import bootstrap_interval  # noqa: E402


def test_the_interval_of_a_median_holds_the_true_one_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        low, high = bootstrap_interval(np.exp(rng.normal(0.0, 0.3, 30)), rng, draws=500)
        held += low <= 1.0 <= high
    assert 0.91 <= held / 300 <= 0.99


def test_a_checkout_is_measured_beside_itself():
    done = run_python("tools/benchmark/training_step_vs_pytorch.py", "--against", ".", "--model", "lvvit_demo",
                      "--batch", "2", "--pairs", "3")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"(step|forward) .*ratio [\d.]+ \[[\d.]+, [\d.]+\], 3 pairs", done.stdout)
    assert rows == ["step", "forward"], done.stdout
