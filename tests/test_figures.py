"""The figures of the README and the model zoo: what they show is what the package knows, and they can be drawn anew."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, load_script, run_python

pytest.importorskip("matplotlib", reason="figures are drawn with matplotlib")


@pytest.fixture
def tool(monkeypatch):
    """A tool by its name, as a module; tools that draw share what lies beside them."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return lambda name: load_script(ROOT / "tools" / f"{name}.py")


def test_the_comparison_shows_every_published_model_below_a_hundred_million(tool):
    found = tool("draw_comparison_figure").points()
    shown = {(point.series, point.label, point.size): (round(point.parameters), point.top1) for point in found}
    assert len(found) == len(shown) == 25
    # as the tables of the original projects have them
    assert {key: value for key, value in shown.items() if key[0] == "LV-ViT"} == {
        ("LV-ViT", "T", 224): (9, 79.1), ("LV-ViT", "S", 224): (26, 83.3), ("LV-ViT", "M", 224): (56, 84.0),
        ("LV-ViT", "S", 384): (26, 84.4), ("LV-ViT", "M", 384): (56, 85.4), ("LV-ViT", "M", 448): (56, 85.5),
    }  # fmt: skip
    assert shown["T2T-ViT", "14", 384] == (22, 83.3) and shown["T2T-ViT$_t$", "24", 224] == (64, 82.6)
    assert shown["DeiT", "B", 384] == (87, 82.89) and shown["DeiT distilled", "T", 224] == (6, 74.48)


def test_every_place_chosen_for_a_label_is_that_of_a_point(tool):
    comparison = tool("draw_comparison_figure")
    assert set(comparison.PLACES) <= {(point.series, point.label, point.size) for point in comparison.points()}


def test_the_splits_are_those_of_the_paper(tool):
    """Section 3.1: 7 x 7 every 4 pixels, then twice 3 x 3 every 2 tokens of 64 channels."""
    assert tool("draw_t2t_vit_figure").splits() == [(7, 4, 56, 147), (3, 2, 28, 576), (3, 2, 14, 576)]


@pytest.mark.parametrize("name", ["comparison", "pipeline", "t2t_vit"])
def test_a_figure_is_drawn_as_it_is_kept(name, tmp_path):
    done = run_python(f"tools/draw_{name}_figure.py", "--output", tmp_path / "new" / "figure.png")
    assert done.returncode == 0 and not done.stderr, done.stderr
    new, kept = (Image.open(path) for path in (tmp_path / "new" / "figure.png", ROOT / f"docs/images/{name}.png"))
    assert new.size == kept.size
    small = [np.asarray(image.convert("RGB").resize((60, 30)), np.int16) for image in (new, kept)]
    assert np.abs(small[0] - small[1]).mean() < 4, "drawn anew it looks different: is the one kept out of date?"
