"""The secondary runs: every arm is a configuration; pictures go to the annotator that has not seen their photos."""
import json
from pathlib import Path

from ppim.config import get_config
from ppim.token_labels.card import Reading, save_card
from tests.helpers import ROOT, load_script

secondary = load_script(ROOT / "tools" / "proof" / "collage_secondary.py")


def test_every_arm_is_a_configuration():
    for arm in secondary.ARMS.values():
        assert get_config(arm.recipe, list(arm.overrides))
    runs = secondary.planned()
    assert len(runs) == len(set(runs)) == 4 * 16 + 36


def test_runs_that_are_not_counted_have_a_seed_that_counted_ones_have_not():
    counted = {secondary.primary.FIRST_SEED + pair for pair in secondary.primary.PAIRS}
    seeds = {arm.seed for name, arm in secondary.ARMS.items() if "rate" in name}
    assert seeds == {secondary.TUNING_SEED} and not seeds & counted


def test_pictures_of_even_photos_are_labelled_by_the_annotator_of_odd_ones(tmp_path, monkeypatch):
    for index in range(6):
        path = tmp_path / "data" / "train" / "cat" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    typed = []

    def type_(words):
        typed.append(words)
        images, output = Path(words[words.index("--images") + 1]), Path(words[words.index("--output") + 1])
        (output / "cat").mkdir(parents=True)
        for path in images.rglob("*.jpg"):
            assert path.resolve().parent == tmp_path / "data" / "train" / "cat"
            (output / "cat" / f"{path.stem}.npy").write_text(words[words.index("--annotator") + 1])
        save_card(output, Reading(log_z=True), {"num_classes": 1, "classes": ["cat"]})

    monkeypatch.setattr(secondary.primary, "ppim", type_)
    secondary._across(tmp_path, tmp_path / "out", Path("nets"))
    assert len(typed) == 2
    for index in range(6):
        of = (tmp_path / "out" / "train" / "cat" / f"{index:05d}.npy").read_text()
        assert of == f"nets/annotator_{'odd' if index % 2 == 0 else 'even'}/annotator.json"
    assert json.loads((tmp_path / "out" / "train" / "annotation.json").read_text())["classes"] == ["cat"]
