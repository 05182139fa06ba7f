"""The figures of the README and the model zoo: what they show is what the package knows, and they can be drawn anew."""
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, load_script, run_python

matplotlib = pytest.importorskip("matplotlib", reason="figures are drawn with matplotlib")


@pytest.fixture
def tool(monkeypatch):
    """A tool by its name, as a module; tools that draw share what lies beside them."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return lambda name: load_script(ROOT / "tools" / f"{name}.py")


def test_the_comparison_shows_every_published_model_below_a_hundred_million(tool):
    found = tool("draw_comparison_figure").points()
    shown = {(point.series, point.label, point.size): (round(point.parameters), point.top1) for point in found}
    assert len(found) == len(shown) == 31
    # as the tables of the original projects have them
    assert {key: value for key, value in shown.items() if key[0] == "LV-ViT"} == {
        ("LV-ViT", "T", 224): (9, 79.1), ("LV-ViT", "S", 224): (26, 83.3), ("LV-ViT", "M", 224): (56, 84.0),
        ("LV-ViT", "S", 384): (26, 84.4), ("LV-ViT", "M", 384): (56, 85.4), ("LV-ViT", "M", 448): (56, 85.5),
    }
    assert {key: value for key, value in shown.items() if key[0] == "VOLO"} == {
        ("VOLO", "D1", 224): (27, 84.2), ("VOLO", "D2", 224): (59, 85.2), ("VOLO", "D3", 224): (86, 85.4),
        ("VOLO", "D1", 384): (27, 85.2), ("VOLO", "D2", 384): (59, 86.0), ("VOLO", "D3", 448): (87, 86.3),
    }
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


STRANGE = "\U0010FF00"  # a character that nobody's font has


def test_names_are_drawn_in_a_font_that_has_them_and_numbers_stand_for_them_where_there_is_none(tool, tmp_path):
    Image.fromarray(np.full((40, 60, 3), 90, "uint8")).save(tmp_path / "photo.png")
    ids = np.arange(24).reshape(1, 4, 6) % 2
    np.save(tmp_path / "map.npy", np.stack([np.full((1, 4, 6), 5.0), ids]).astype("float16"))
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share"), "MPLCONFIGDIR": matplotlib.get_configdir()}

    def line(names, output):
        (tmp_path / output).with_suffix(".txt").write_text("\n".join(names), encoding="utf-8")
        return ["--photo", str(tmp_path / "photo.png"), "--map", str(tmp_path / "map.npy"), "--names",
                str((tmp_path / output).with_suffix(".txt")), "--output", str(tmp_path / output)]

    def picture(output):
        return np.asarray(Image.open(tmp_path / output))

    draw = tool("draw_token_labels_figure").main
    assert draw(line(["class 0", "class 1"], "numbered.png")) == draw(line(["WW", "cat"], "spelt.png")) == 0
    names = [STRANGE * 2, "cat"]
    done = run_python("tools/draw_token_labels_figure.py", *line(names, "without.png"), env=home)
    assert done.returncode == 0 and done.stderr.startswith(f"note: no font here has {STRANGE}"), done.stderr
    assert "fonts-noto-cjk" in done.stderr and done.stderr.count("\n") == 1
    np.testing.assert_array_equal(picture("without.png"), picture("numbered.png"))

    from fontTools.ttLib import TTFont

    font = TTFont(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf")
    for table in font["cmap"].tables:
        if table.format == 12:
            table.cmap[ord(STRANGE)] = "W"
    for record in font["name"].names:
        record.string = record.toUnicode().replace("DejaVu", "Strange")
    (tmp_path / ".fonts").mkdir()
    font.save(tmp_path / ".fonts" / "strange.ttf")
    done = run_python("tools/draw_token_labels_figure.py", *line(names, "with.png"), env=home)
    assert done.returncode == 0 and not done.stderr, done.stderr
    np.testing.assert_array_equal(picture("with.png"), picture("spelt.png"))  # the font shows a W
