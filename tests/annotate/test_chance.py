"""Is a guess told from knowledge? Photos of one colour a class, and models that answer in known ways."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.annotate.chance import judge
from ppim.annotate.generate import View, image_files

NAMES = ["red", "green", "blue"]
VIEW = View((8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Colours(paddle.nn.Layer):
    """Logits (B, 3) are the means of the channels, moved on by `turned` places; `always`: of that class alone."""

    num_classes = 3

    def __init__(self, turned: int = 0, always: int | None = None):
        super().__init__()
        self.turned, self.always = turned, always

    def forward(self, x):
        logits = paddle.roll(x.mean(axis=[2, 3]), self.turned, axis=1)
        return logits if self.always is None else logits * 0 + paddle.eye(3)[self.always]


def photos(folder, counts):
    for name, count in counts.items():
        for number in range(count):
            pixels = np.zeros((6, 6, 3), "uint8")
            pixels[..., NAMES.index(name) if name in NAMES else 0] = 200
            path = folder / name / "inner" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder, image_files(folder)


@pytest.mark.parametrize(("model", "right", "chance"), [
    ({}, "100.0", 34.2), ({"turned": 1}, "0.0", 33.3), ({"always": 0}, "40.0", 40.0),
])
def test_photos_are_counted_by_the_folders_they_lie_in(tmp_path, model, right, chance):
    """Shuffled answers to 12, 10 and 8 photos are right on (12 x 12 + 10 x 10 + 8 x 8) / 30, turned on fewer than a
    third, which a die is right on."""
    folder, files = photos(tmp_path, {"red": 12, "green": 10, "blue": 8, "elsewhere": 9})
    found = judge(Colours(**model), folder, files, NAMES, VIEW, batch_size=7)
    assert str(found) == (f"this annotator is right on {right} % of 30 of these photos, chance is {chance} %")
    assert found.photos == 30 and found.is_chance == bool(model)


def test_of_many_photos_some_of_every_class_are_asked(tmp_path):
    folder, files = photos(tmp_path, {"red": 150, "green": 150, "blue": 150})
    right, chance, asked, is_chance = judge(Colours(), folder, files, NAMES, VIEW, batch_size=64)
    assert (right, asked, is_chance) == (1.0, 128, False) and chance == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize(("counts", "names"), [
    ({"red": 9, "green": 9}, NAMES),  # too few
    ({"red": 30}, NAMES),  # one class: any constant is right
    ({"elsewhere": 40}, NAMES),  # folders that are no classes
    ({"red": 20, "green": 20}, []),  # nobody knows what the annotator's are called
])
def test_where_too_little_is_known_nothing_is_said(tmp_path, counts, names):
    folder, files = photos(tmp_path, counts)
    assert judge(Colours(), folder, files, names, VIEW, batch_size=16) is None
