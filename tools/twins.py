"""How is a published model made small, so that all of them can be tried? Narrow and shallow, of the same form."""
from __future__ import annotations

import math
from collections.abc import Mapping

BLOCKS, HEAD_WIDTH = 2, 8


def narrow(size: Mapping[str, object]) -> dict[str, object]:
    """What else to tell the constructor of a size of `ppim.families`, so that 2 blocks of 8 channels a head are left.

    Patches, image, heads and tokens are the size's own. Of VOLO every part has one block, and there are a few channels
    more where heads of both stages want them.
    """
    heads, outlook = size["num_heads"], 2 * size.get("outlook_heads", 1)  # these share half of the channels
    step = math.lcm(heads, outlook) if "outlook_heads" in size else heads
    blocks = {"layers": [1, 1, 1, 1]} if "layers" in size else {"depth": BLOCKS}
    return {**blocks, "embed_dim": math.ceil(HEAD_WIDTH * heads / step) * step}
