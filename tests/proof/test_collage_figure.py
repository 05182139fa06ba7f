"""The experiment's figure, of made-up runs: every point stands where its arm's labels lie, at what they gave."""
import json

import numpy as np
import pytest

from tests.helpers import ROOT, load_script

plt = pytest.importorskip("matplotlib.pyplot", reason="the figure is drawn by matplotlib, which is not installed")
figure = load_script(ROOT / "tools" / "proof" / "collage_figure.py")

GIVES = {"right": 6.0, "displaced 0.25": 5.0, "displaced 0.5": 4.0, "displaced 1": 3.0, "displaced 2": 2.0,
         "displaced 4": 1.0, "released": 2.5, "frame": 4.5, "plain": -2.0, "shuffled": 0.0}
SPREAD = np.array([-0.4, -0.3, -0.2, -0.1, -0.1, 0.0, 0.1, 1.0])  # of the pairs
PLACED = {"right": 0.0, "released": 1.3, "frame": 0.53}


@pytest.fixture
def drawn():
    plt.switch_backend("agg")
    figures = {(pair, arm): {"mIoU": 30 + gain * (1 + SPREAD[pair]), "top-1": 50 + 10 * gain * (1 + SPREAD[pair])}
               for arm, gain in GIVES.items() for pair in range(8)}
    picture = figure.draw(figures, PLACED)
    yield picture
    plt.close(picture)


@pytest.mark.parametrize(("panel", "scale"), [(0, 1), (1, 10)])
def test_arms_stand_at_their_displacement(drawn, panel, scale):
    points = [container.lines[0].get_xydata() for container in drawn.axes[panel].containers]
    np.testing.assert_allclose(points[0], [[d, scale * g] for d, g in zip((0, 0.25, 0.5, 1, 2, 4), range(6, 0, -1))])
    np.testing.assert_allclose(points[1:], [[[1.3, scale * 2.5]], [[0.53, scale * 4.5]]])
    assert scale * -2.0 in [pytest.approx(line.get_ydata()[0]) for line in drawn.axes[panel].lines
                            if line.get_linestyle() == "--"]


def test_every_pair_has_a_line_and_every_mean_an_interval(drawn):
    panel = drawn.axes[0]
    lines = [line.get_ydata() for line in panel.lines if line.get_color() == figure.PAIR]
    assert sorted(line[0] for line in lines) == pytest.approx([6 * (1 + s) for s in SPREAD])
    for bar, mean in zip(panel.containers[0].lines[2][0].get_segments(), panel.containers[0].lines[0].get_ydata()):
        low, high = bar[:, 1]
        # as the spread of the pairs is, the interval is longer above the mean
        assert 0 < mean - low < high - mean < mean


def test_too_few_pairs_show_no_interval():
    plt.switch_backend("agg")
    figures = {(pair, arm): {"mIoU": gain + pair, "top-1": gain} for arm, gain in GIVES.items() for pair in range(3)}
    picture = figure.draw(figures, {})
    for bar in picture.axes[0].containers[0].lines[2][0].get_segments():
        assert bar[0, 1] == bar[1, 1]
    plt.close(picture)


def test_no_level_is_drawn_of_runs_that_are_not_in():
    plt.switch_backend("agg")
    figures = {(pair, arm): {"mIoU": 30 + gain, "top-1": 50 + gain} for arm, gain in GIVES.items() for pair in range(8)
               if arm != "plain"}
    picture = figure.draw(figures, PLACED)
    assert [text.get_text() for text in picture.axes[0].texts] == ["the same labels, shuffled"]
    plt.close(picture)


@pytest.mark.parametrize("language", ["en", "cn"])
def test_the_page_says_how_far_labels_were_measured_to_lie(language):
    page = (ROOT / "docs" / language / "results.md").read_text(encoding="utf-8")
    for arm, tokens in json.loads(figure.PLACED.read_text()).items():
        assert f"| {arm} | {tokens:.3f} |" in page
