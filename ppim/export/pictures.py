"""On which photos is a bundle checked? Those that are named; else pictures drawn by our own code, of awkward kinds."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ppim.data.preprocess import photos_in
from ppim.data.shapes import draw_picture
from ppim.seeds import picture_rng

DRAWN = 16
_SHAPES = ((1.5, 1.0), (1.0, 1.4), (1.0, 1.0), (0.6, 0.7))  # width and height per side of the view
_ORIENTATION = 0x0112


def photos_for(named: Sequence[str], folder: Path, side: int, count: int = DRAWN) -> list[str]:
    """Paths of the photos to check on; `count` drawn ones are written into `folder`, for a view of `side` pixels.

    Raises:
        FileNotFoundError: no file or folder of a name, or no photos in all of them.
        ValueError: a path that does not fit into a line.
    """
    if not named:
        return _drawn(folder, side, count)
    missing = next((path for path in named if not Path(path).exists()), None)
    if missing:
        raise FileNotFoundError(f"--photos {missing}: no such file or folder")
    found = photos_in(named)
    if not found:
        raise FileNotFoundError(f"--photos {' '.join(named)}: no photos there (looked for an image's suffix)")
    broken = next((path for path in found if "\n" in path), None)
    if broken:
        raise ValueError(f"--photos: the name of {broken!r} has a line break in it; rename it")
    return found


def _drawn(folder: Path, side: int, count: int) -> list[str]:
    """JPEG files of all shapes, some of them grey, for print, or turned."""
    folder.mkdir()
    for number in range(count):
        width, height = _SHAPES[number % len(_SHAPES)]
        wh = (max(16, round(side * width)), max(16, round(side * height)))
        picture = draw_picture(picture_rng(0, "val", number), wh)[0]
        note = Image.Exif()
        note[_ORIENTATION] = (1, 6, 1, 3)[number // 4]
        path = folder / f"{number}.jpg"
        picture.convert(("RGB", "L", "RGB", "CMYK")[number % 3 + number % 2]).save(path, quality=90, exif=note)
    return [str(folder / f"{number}.jpg") for number in range(count)]
