"""A map lies on its photo where its tokens were: told by maps that say where they are."""
import numpy as np
import pytest

from ppim.data.transforms import eval_view
from ppim.look.photo import window_of
from ppim.look.place import cells, spread

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(("wh", "hw", "pct"), [((200, 120), (32, 32), 1.0), ((120, 200), (32, 48), 0.875),
                                               ((64, 64), (48, 32), 0.8)])
def test_every_pixel_is_told_its_own_place(wh, hw, pct):
    """Tokens that know the place of their centre in the photo tell every pixel between them its own."""
    window = window_of(eval_view(hw, pct), wh)
    x0, y0, x1, y1 = window
    # what is shown has the view's shape, is centred, and as large as the share of the photo says
    assert (x1 - x0) * wh[0] / ((y1 - y0) * wh[1]) == pytest.approx(hw[1] / hw[0], rel=0.03)
    assert x0 + x1 == pytest.approx(1, abs=0.02) and y0 + y1 == pytest.approx(1, abs=0.02)
    assert max(x1 - x0, y1 - y0) == pytest.approx(pct, abs=0.05)
    rows, columns = hw[0] // 8, hw[1] // 8
    y = y0 + (np.arange(rows)[:, None] + 0.5) / rows * (y1 - y0) + np.zeros(columns)
    x = x0 + (np.arange(columns) + 0.5) / columns * (x1 - x0) + np.zeros((rows, 1))
    here_x, here_y = (np.arange(wh[0]) + 0.5) / wh[0], (np.arange(wh[1])[:, None] + 0.5) / wh[1]
    for values, here in ((x, here_x + 0 * here_y), (y, here_y + 0 * here_x)):
        found, inside = spread(values, window, wh)
        assert found.shape == inside.shape == (wh[1], wh[0])
        within = (here >= values.min()) & (here <= values.max())
        np.testing.assert_allclose(found[within], here[within], atol=1e-9)
        np.testing.assert_allclose(found[~within], np.clip(here, values.min(), values.max())[~within], atol=1e-9)
    np.testing.assert_array_equal(inside, (here_x >= x0) & (here_x <= x1) & (here_y >= y0) & (here_y <= y1))


def test_a_pixel_has_the_class_of_the_token_it_lies_in():
    ids = np.arange(6).reshape(2, 3)
    found, inside = cells(ids, (0.25, 0.0, 1.0, 1.0), (16, 8))
    assert not inside[:, :4].any() and inside[:, 4:].all()
    np.testing.assert_array_equal(found[:, 4:], np.repeat(np.repeat(ids, 4, axis=0), 4, axis=1))
