"""Which name was meant, and when it is better to say nothing."""
import pytest

from ppim.config.keys import KEYS
from ppim.config.nearest import did_you_mean


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("TRAIN.BASE_LRR", "TRAIN.BASE_LR"), ("SEDE", "SEED"), ("MODEL.NUM_EPOCHS", "TRAIN.NUM_EPOCHS"),
     ("HFLIP", "DATA.HFLIP"), ("X.Y.HFLLIP", "DATA.HFLIP")],
)
def test_a_slip_is_told_from_the_section_or_from_the_last_part(typed, meant):
    assert did_you_mean(typed, KEYS) == f"; did you mean {meant}?"


@pytest.mark.parametrize("typed", ["", "ZZZZ", "TRAIN.QQQQQQQQQQQQQQQQ", "hello"])
def test_what_is_like_nothing_brings_no_guess(typed):
    assert did_you_mean(typed, KEYS) == ""
    assert did_you_mean(typed, []) == ""
