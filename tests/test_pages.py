"""Pages that need nothing beside them, and let nothing through."""
import base64
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ppim.pages import figure, grid, page, save_page, source, table

pytestmark = pytest.mark.smoke

NASTY = '<script>alert("1")</script> & \'so\' 猫'


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.said = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)


def read(document):
    reader = Reader()
    reader.feed(document)
    return reader


def test_text_stays_text(tmp_path):
    save_page(tmp_path / "x.html", page(NASTY, table([NASTY], [[NASTY]])))
    found = read((tmp_path / "x.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in found.tags if tag == "script"] == []
    assert found.said.count(NASTY) == 4  # title, heading, head and cell


def test_nothing_is_asked_of_elsewhere():
    document = page("t", grid([figure(np.zeros((4, 4, 3), np.uint8), "c")]), script="let a = 1", style="p { top: 0 }")
    for tag, attributes in read(document).tags:
        assert tag != "link" and all(attributes[name].startswith("data:") for name in ("src", "href")
                                     if name in attributes)
    assert not re.search(r"@import|url\(", document)


@pytest.mark.parametrize(("channels", "quality"), [(3, None), (4, None), (3, 95)])
def test_a_picture_comes_back(channels, quality):
    image = np.full((6, 9, channels), 200, np.uint8)
    image[:, :4] = 40
    kind, _, data = source(image, quality).partition(";base64,")
    back = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{'png' if quality is None else 'jpeg'}" and back.size == (9, 6)
    assert np.abs(np.asarray(back).astype(int) - image).max() <= (0 if quality is None else 40)


def test_numbers_stand_at_the_right():
    cells = [attributes.get("class") for tag, attributes in read(table(["a", "b"], [["x", 1], ["y", None]])).tags
             if tag in ("td", "th")]
    assert cells == [None, "number"] * 3


def test_a_name_that_is_no_text_ends_no_page(tmp_path):
    name = os.fsdecode(b"bad\xff") + "<猫>"
    save_page(tmp_path / "x.html", page(name, table([name], [[name]])))
    assert (tmp_path / "x.html").read_text(encoding="utf-8").count("bad\ufffd&lt;猫&gt;") == 4
