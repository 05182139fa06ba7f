"""What a page of label maps shows is what the maps say, under one colour for a class in all pictures of a photo."""
import numpy as np
import pytest
from PIL import Image

from ppim.look import paint
from ppim.look.labelled import Labelled, colours_of, document, map_panels, said_panel, sheet
from ppim.token_labels.maps import LabelMap

NAMES = {3: "cat", 5: "<dog>", 7: "鸟"}
WHOLE = (0.0, 0.0, 1.0, 1.0)


def name(number):
    return NAMES.get(number, f"class {number}")


@pytest.fixture
def label_map():
    """2 x 3 cells: cats above, a dog and a bird below, nothing in the last."""
    ids = np.array([[[3, 3, 3], [5, 7, 0]], [[5, 5, 5], [3, 3, 1]]])
    scores = np.array([[[4, 4, 4], [4, 4, 0]], [[1, 1, 1], [1, 1, 0]]], np.float32)
    return LabelMap(scores, ids, np.full((2, 3), 4.5, np.float32))


def photo():
    return Image.new("RGB", (60, 40), (120, 120, 120))


def test_cells_have_the_colour_of_their_best_class(label_map):
    colours = colours_of(label_map)
    assert list(colours) == [3, 5, 7]
    _, shown = map_panels(photo(), label_map, colours, name)
    pixels = np.asarray(shown.image).astype(float)
    for (row, column), number in {(0, 0): 3, (0, 2): 3, (1, 0): 5, (1, 1): 7}.items():
        cell = pixels[row * 20:(row + 1) * 20, column * 20:(column + 1) * 20].reshape(-1, 3)
        strength = 0.12 + 0.7 * np.exp(-0.5)
        np.testing.assert_allclose(cell, np.tile(120 + strength * (np.array(colours[number]) - 120), (400, 1)), atol=1)
    np.testing.assert_array_equal(pixels[20:, 40:], np.full((20, 20, 3), 120.0))
    assert [words for _, words in shown.legend] == [
        "cat: 50 %, 61 % sure", "<dog>: 17 %, 61 % sure", "鸟: 17 %, 61 % sure", "nothing said: 1 of 6 cells"]


def test_a_model_says_it_in_the_same_colours_and_new_classes_get_colours_of_their_own(label_map):
    colours = colours_of(label_map)
    best, sure = np.array([[3, 9], [9, 8]]), np.array([[0.5, 0.9], [0.7, 0.4]])
    panel = said_panel(photo(), best, sure, WHOLE, colours, "cat, 50 %", name)
    of = {words.split(":")[0]: colour for colour, words in panel.legend}
    assert of["cat"] == colours[3] and set(of) == {"cat", "class 9", "class 8"}
    assert len(set(of.values()) | set(colours.values())) == 5
    assert panel.caption == "a model says: cat, 50 %"


def test_more_classes_than_colours_share_the_colour_of_the_rest():
    ids = np.arange(16).reshape(1, 4, 4)
    crowded = LabelMap(np.full((1, 4, 4), 2.0, np.float32), ids, np.full((4, 4), 2.5, np.float32))
    legend = map_panels(photo(), crowded, colours_of(crowded), name)[1].legend
    assert legend[-1] == (paint.OTHERS, "10 more classes: 62 % of cells") and len(legend) == 7


def test_the_page_stands_alone_and_names_mean_nothing_to_a_browser(label_map):
    shown = [Labelled(f"{i}/<b>.jpg", name(5), map_panels(photo(), label_map, colours_of(label_map), name))
             for i in range(12)]
    made = document(shown, "title", "about")
    assert made.count("data:image/jpeg;base64,") == 24 and "http" not in made
    assert "<dog>" not in made and "&lt;dog&gt;" in made and "<b>" not in made and "鸟" in made
    assert sheet(shown, "title").width < 600
