"""Every published size has a small twin: narrow, shallow, and of the same form."""
import pytest

from ppim.families import facts
from tools.twins import BLOCKS, HEAD_WIDTH, narrow

SIZES = {name: size for family in facts().values() for name, size in family.sizes.items()}


@pytest.mark.parametrize("name", SIZES)
def test_the_heads_of_a_twin_share_its_channels(name):
    size, twin = SIZES[name], narrow(SIZES[name])
    width, heads = twin["embed_dim"], size["num_heads"]
    assert width % heads == 0 and HEAD_WIDTH * heads <= width < 2 * HEAD_WIDTH * heads
    if "outlook_heads" in size:
        assert width // 2 % size["outlook_heads"] == 0 and twin["layers"] == [1, 1, 1, 1]
    else:
        assert twin == {"depth": BLOCKS, "embed_dim": width}
