"""Where do the labels of each arm come from? Every arm's settings are taken, and misplace what they say they do."""
import pytest

from ppim.config import get_config
from tests.helpers import ROOT, load_script

measure = load_script(ROOT / "tools" / "proof" / "collage_displacement.py")


@pytest.mark.parametrize("arm", measure.ARMS)
def test_every_arm_is_a_configuration(arm):
    assert get_config(measure.RECIPE, measure.ARMS[arm])


@pytest.mark.parametrize(("arm", "least", "most"), [
    ("right", 0, 0.01), ("displaced 0.25", 0.23, 0.25), ("displaced 1", 0.9, 1.0),
    # at 0.53 and 1.29 of many views
    ("frame", 0.4, 0.7), ("released", 0.9, 1.7),
])
def test_labels_come_from_as_far_as_the_arm_says(tmp_path, arm, least, most):
    measure.write(tmp_path)
    assert least <= measure.displacement(tmp_path, arm, 40) <= most
