"""Which part of its photo does a view show, where nobody says? Found by normalised cross-correlation.

In grey, over boxes of many sizes and ratios, mirrored and not, first on small copies by Fourier transforms, then closer
by small steps. Brightness and contrast do not matter. It fails where a view has been turned or sheared, is mostly one
colour, or has been inverted or solarised: such views correlate less than `LEAST` with any box, and are to be left out.
Boxes are from a tenth of the photo's area to all of it, of ratios from 3:4 to 4:3 in pixels.
"""
from __future__ import annotations

import numpy as np
from PIL import Image

LEAST = 0.9  # correlation from which on a box is believed
_COARSE, _FINE = 64, 160  # pixels of the longer side of the copies
_AREAS = np.linspace(np.sqrt(0.1), 1.0, 12) ** 2  # of the photo
_RATIOS = np.exp(np.linspace(np.log(3 / 4), np.log(4 / 3), 5))
_VIEW = 24  # pixels of a side on which a view is compared closely
_STARTS = 2  # of the best boxes, followed up closely

Box = tuple[float, float, float, float]  # left, top, width, height in shares of the photo's sides


def find_box(photo: Image.Image, view: np.ndarray) -> tuple[Box, bool, float]:
    """The box of a photo that a view shows, whether it is mirrored, and their correlation, -1 .. 1.

    Args:
        photo: RGB; view: (h, w, 3) uint8.
    """
    grey, seen = photo.convert("L"), Image.fromarray(view).convert("L")
    starts = sorted((start for flip in (False, True) for start in _coarse(_shrunk(grey, _COARSE), seen, flip)),
                    key=lambda start: -start[2])[:_STARTS]
    whole = np.asarray(_shrunk(grey, _FINE), np.float64)
    return max((_closer(whole, seen, box, flip) for box, flip, _ in starts), key=lambda found: found[2])


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    return image.resize((max(8, round(image.width * scale)), max(8, round(image.height * scale))),
                        Image.Resampling.BOX)


def _coarse(photo: Image.Image, view: Image.Image, flip: bool) -> list[tuple[Box, bool, float]]:
    """For every size, the best place of the view in a small photo."""
    pixels = np.asarray(photo, np.float64)
    height, width = pixels.shape
    view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view
    spectrum, squares = np.fft.rfft2(pixels - pixels.mean()), np.fft.rfft2((pixels - pixels.mean()) ** 2)
    found = []
    for w, h in _sizes(width, height):
        patch = np.asarray(view.resize((w, h), Image.Resampling.BOX), np.float64)
        patch = patch - patch.mean()
        power = np.sqrt((patch**2).sum())
        room = slice(0, height - h + 1), slice(0, width - w + 1)
        cross = _correlated(spectrum, patch, pixels.shape)[room]
        ones = np.ones((h, w))
        total = _correlated(spectrum, ones, pixels.shape)[room]
        spread = _correlated(squares, ones, pixels.shape)[room] - total**2 / (h * w)
        score = cross / np.maximum(power * np.sqrt(np.maximum(spread, 0)), 1e-6 * h * w)
        top, left = np.unravel_index(score.argmax(), score.shape)
        found.append(((left / width, top / height, w / width, h / height), flip, float(score[top, left])))
    return found


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes of boxes (width, height) in pixels of the small photo, each once."""
    sizes = {(round(np.sqrt(area * width * height * ratio)), round(np.sqrt(area * width * height / ratio)))
             for area in _AREAS for ratio in _RATIOS}
    sizes |= {(min(width, w), min(height, h)) for w, h in sizes} | {(width, height)}
    return sorted((w, h) for w, h in sizes if 4 <= w <= width and 4 <= h <= height)


def _correlated(spectrum: np.ndarray, patch: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(patch, shape)), shape)


def _closer(photo: np.ndarray, view: Image.Image, box: Box, flip: bool) -> tuple[Box, bool, float]:
    """A box moved and stretched by ever smaller steps while that makes it more alike to the view."""
    view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view
    wanted = np.asarray(view.resize((_VIEW, _VIEW), Image.Resampling.BOX), np.float64).ravel()
    wanted = (wanted - wanted.mean()) / max(float(wanted.std()), 1e-6)
    edges = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    table = np.pad(photo.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    best, step = _alike(table, edges, wanted), 0.04
    moves = np.array([(1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1),
                      (-1, -1, 1, 1)], np.float64)
    while step > 5e-4:
        tried = np.clip([edges + sign * step * move for move in moves for sign in (1, -1)], 0, 1)
        scores = [_alike(table, one, wanted) for one in tried]
        if max(scores) > best:
            best, edges = max(scores), tried[int(np.argmax(scores))]
        else:
            step /= 2
    x0, y0, x1, y1 = edges.tolist()
    return (x0, y0, x1 - x0, y1 - y0), flip, float(best)


def _alike(table: np.ndarray, edges: np.ndarray, wanted: np.ndarray) -> float:
    """The correlation of a box with the view: means over _VIEW x _VIEW parts of it, from sums (h + 1, w + 1) over the
    photo, read between pixels as well."""
    x0, y0, x1, y1 = edges
    if x1 - x0 < 0.05 or y1 - y0 < 0.05:
        return -1.0
    height, width = (side - 1 for side in table.shape)
    down = _between(np.linspace(y0, y1, _VIEW + 1) * height, height)
    across = _between(np.linspace(x0, x1, _VIEW + 1) * width, width)
    sums = down @ table @ across.T
    means = np.diff(np.diff(sums, axis=0), axis=1).ravel()
    return float((wanted * (means - means.mean())).mean() / max(float(means.std()), 1e-9))


def _between(at: np.ndarray, most: int) -> np.ndarray:
    """(n, most + 1): linear interpolation at `at`."""
    return np.maximum(1 - np.abs(at[:, None] - np.arange(most + 1)), 0)
