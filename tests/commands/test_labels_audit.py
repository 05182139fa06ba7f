"""`ppim labels audit`: files of a foreign loader are read or refused by name; our own loader passes, its released
geometry does not."""
import json

import numpy as np
import pytest

from ppim.cli import main
from ppim.data.augment import Policy
from ppim.data.datasets import find_images
from ppim.data.loader import TrainSamples
from ppim.data.transforms import HFlip
from ppim.token_labels.foreign import in_shares, read_foreign
from ppim.token_labels.store import open_maps
from ppim.token_labels.targets import dense
from tests.helpers import draw_labelled

COUNT, GRID, WH = 40, (7, 7), (96, 72)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_labelled(tmp_path_factory.mktemp("audited"), COUNT, 5, WH, (12, 16))


def dumped(drawn, geometry="exact", hflip=0.5):
    """What our own loader makes, as somebody else would write it down."""
    images = find_images(str(drawn / "photos"))
    samples = TrainSamples(images, Policy((56, 56), "released", (0.3, 0.8), hflip=hflip), 0, 10, grid=GRID,
                           maps=open_maps(drawn / "maps", 10), geometry=geometry)
    held = {"photos": np.array(images.paths), "targets": [], "boxes": [], "flips": [], "views": []}
    for index in range(COUNT):
        _, ops = samples.view((0, index, 0))
        flip, (left, top, width, height) = isinstance(ops[0], HFlip), ops[-1].box
        sample = samples[0, index, 0]
        held["targets"].append(dense(sample["token_targets"], 10).reshape(*GRID, 10))
        held["boxes"].append((top, WH[0] - left - width if flip else left, height, width))
        held["flips"].append(flip)
        held["views"].append(sample["image"])
    return {**{name: np.array(value) for name, value in held.items()}, "convention": "top,left,height,width",
            "unit": "pixels"}


def audited(drawn, tmp_path, held, *more):
    np.savez(tmp_path / "samples.npz", **held)
    return main(["labels", "audit", str(tmp_path / "samples.npz"), "--images", str(drawn / "photos"), "--maps",
                 str(drawn / "maps"), *more])


def test_our_own_loader_passes_and_its_released_geometry_is_named(drawn, tmp_path, capsys):
    assert audited(drawn, tmp_path, dumped(drawn), "--json", str(tmp_path / "told.json")) == 0
    assert json.loads((tmp_path / "told.json").read_text())["verdict"] == "right"
    assert capsys.readouterr().out.splitlines()[-1].startswith("right: labels come from where the view shows them")
    assert audited(drawn, tmp_path, dumped(drawn, "released")) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("wrong: ") and "x and y of the box exchanged, the box being one of the mirrored" in last


def test_the_same_in_the_other_convention_as_views_and_as_ids(drawn, tmp_path, capsys):
    held = dumped(drawn, hflip=1.0)
    top, left, height, width = held["boxes"].T
    corners = np.stack([left, top, left + width, top + height], axis=1) / (*WH, *WH)
    ids = np.argsort(-held["targets"], axis=-1)[..., :4]
    weights = np.take_along_axis(held["targets"], ids, axis=-1)
    sparse = {name: held[name] for name in ("photos", "flips")} | {"ids": ids, "weights": weights}
    assert audited(drawn, tmp_path, {**sparse, "boxes": corners, "convention": "x0,y0,x1,y1", "unit": "shares"},
                   "--most", "20") == 0
    views = {name: held[name] for name in ("photos", "targets", "views")}
    assert audited(drawn, tmp_path, views, "--most", "20") == 0
    assert capsys.readouterr().out.count("\nright: ") == 2


@pytest.mark.parametrize(("change", "words"), [
    ({"photos": np.zeros(3)}, "wanted photos (N,), paths as text"),
    ({"targets": np.zeros((3, 7, 7, 10))}, "wanted targets (24, rows, columns, C)"),
    ({"boxes": np.zeros((24, 5))}, "wanted boxes (24, 4)"),
    ({"convention": "xywh"}, "convention wants one of x0,y0,x1,y1 or top,left,height,width, got 'xywh'"),
    ({"unit": "inches"}, "unit wants one of pixels or shares"),
    ({"flips": np.zeros(3)}, "wanted flips (24,)"),
    ({"photos": np.array([None] * 24)}, "wanted an .npz of plain arrays"),
    ({"targets": np.full((24, 7, 7, 10), "1")}, "columns, C), finite, got [24, 7, 7, 10] <U1"),
    ({"boxes": np.full((24, 4), "1")}, "wanted boxes (24, 4), finite, got [24, 4] <U1"),
    ({"flips": np.full(24, "no")}, "wanted flips (24,), 0 or 1, got [24] <U2"),
])
def test_a_file_that_is_not_as_wanted_is_refused_by_what_is_wrong(tmp_path, change, words):
    held = {"photos": np.array([f"{n}.png" for n in range(24)]), "targets": np.zeros((24, 7, 7, 10)),
            "boxes": np.ones((24, 4)), "flips": np.zeros(24), "convention": "x0,y0,x1,y1", "unit": "shares"}
    np.savez(tmp_path / "samples.npz", **{**held, **change})
    with pytest.raises(ValueError, match="samples.npz") as refused:
        read_foreign(tmp_path / "samples.npz")
    assert words in str(refused.value)


def test_ids_with_weights_of_text_are_refused(tmp_path):
    np.savez(tmp_path / "samples.npz", photos=np.array(["a.png"]), ids=np.zeros((1, 2, 2, 1), int),
             weights=np.full((1, 2, 2, 1), "1"), boxes=np.ones((1, 4)), convention="x0,y0,x1,y1", unit="shares")
    with pytest.raises(ValueError, match=r"samples.npz: wanted targets .* or ids and weights .*got ids .*<U1"):
        read_foreign(tmp_path / "samples.npz")


def spoilt(data: bytes) -> list[bytes]:
    """A compressed file with bytes of one place inverted, for places all over it."""
    return [data[:at] + bytes(byte ^ 0xFF for byte in data[at:at + 9]) + data[at + 9:]
            for at in range(0, len(data), len(data) // 40)]


def test_a_file_that_is_damaged_or_an_array_alone_is_refused_in_a_line(tmp_path):
    np.save(tmp_path / "samples.npy", np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"samples.npy: wanted an \.npz of plain arrays .*one array"):
        read_foreign(tmp_path / "samples.npy")
    np.savez_compressed(tmp_path / "whole.npz", photos=np.array(["a.png"]), boxes=np.ones((1, 4)), flips=np.zeros(1),
                        targets=np.random.default_rng(0).random((1, 7, 7, 10)), convention="x0,y0,x1,y1", unit="shares")
    read_foreign(tmp_path / "whole.npz")
    refused = 0
    for content in [*spoilt((tmp_path / "whole.npz").read_bytes()), b"", b"text"]:
        (tmp_path / "samples.npz").write_bytes(content)
        try:
            read_foreign(tmp_path / "samples.npz")  # not all bytes of a zip file are looked at
        except ValueError as error:
            refused += 1
            assert str(tmp_path / "samples.npz") in str(error) and "\n" not in str(error)
    assert refused > 20
    with pytest.raises(FileNotFoundError):
        read_foreign(tmp_path / "none.npz")


def test_boxes_are_shares_whatever_they_were_and_none_lies_outside():
    assert in_shares(np.array([16, 24, 80, 60]), "x0,y0,x1,y1", "pixels", (160, 120)) == (0.1, 0.2, 0.4, 0.3)
    assert in_shares(np.array([0.2, 0.1, 0.3, 0.4]), "top,left,height,width", "shares", (9, 9)) == (0.1, 0.2, 0.4, 0.3)
    with pytest.raises(ValueError, match="are convention x0,y0,x1,y1 and unit shares meant"):
        in_shares(np.array([16, 24, 80, 60]), "x0,y0,x1,y1", "shares", (160, 120))
