"""What becomes of a picture's class in the views of the collage experiment, beside what the views' own colours show."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, load_script

views = load_script(ROOT / "tools" / "proof" / "collage_views.py")
CLASSES = ("airplane", "automobile")
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)  # of the ground and of both


@pytest.fixture
def collage(tmp_path):
    """Pictures whose colours are their masks: an airplane in a corner, an automobile opposite, on ground."""
    rng = np.random.default_rng(0)
    for index in range(40):
        mask = np.zeros((96, 128), np.uint8)
        width, height = rng.integers(5, 60, 2)
        mask[:height, :width], mask[-40:, -45:] = 1, 2
        for folder, picture in (("data", Image.fromarray(COLOURS[mask])), ("masks", Image.fromarray(mask, "L"))):
            place = tmp_path / folder / "train" / CLASSES[index % 2] / f"{index:02d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            picture.save(place)
    return tmp_path


@pytest.mark.parametrize(("pixels", "label", "fate"), [
    ([1, 1, 2, 0], 0, "kept"), ([1, 2, 2, 0], 0, "outgrown"), ([2, 2, 0, 0], 0, "lost"), ([1, 2, 0, 255], 1, "kept"),
    ([0, 0, 0, 255], 1, "lost"), ([1, 0, 0, 0], 0, "kept"),
])
def test_fates_by_hand(pixels, label, fate):
    assert views.fate(np.array(pixels, np.uint8).reshape(2, 2), label, 2) == fate


def test_a_class_is_lost_where_its_colour_is(collage):
    samples, found = views.samples_of(collage, 5), list(views.views(collage, 5, 3))
    assert len(found) == 120
    of_fates = {"lost": 0, "outgrown": 0, "kept": 0}
    for place, (seen, label, classes) in enumerate(found):
        epoch, index = divmod(place, 40)
        sample = samples[epoch, index, 0]
        red, blue = sample["image"][0].mean() / 255, sample["image"][2].mean() / 255
        assert (classes, label) == (10, sample["label"])  # the recipe has ten
        # resizing blurs edges, so areas agree to a few pixels
        np.testing.assert_allclose([(seen == 1).mean(), (seen == 2).mean()], [red, blue], atol=0.02)
        of_fates[views.fate(seen, label, classes)] += 1
    assert all(count > 3 for count in of_fates.values())


def test_the_command_counts_every_view(collage):
    done = subprocess.run([sys.executable, "tools/proof/collage_views.py", "--data", str(collage), "--seed", "5",
                           "--epochs", "3"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    fates = [views.fate(*view) for view in views.views(collage, 5, 3)]
    assert json.loads(done.stdout) == {"views": 120, "lost": round(100 * fates.count("lost") / 120, 2),
                                       "outgrown": round(100 * fates.count("outgrown") / 120, 2)}
