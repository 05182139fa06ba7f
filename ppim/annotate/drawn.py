"""Maps of what people have drawn: masks and boxes, as areas (`ppim.annotate.areas`)."""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ppim.annotate.areas import cells_of_mask, cells_of_regions
from ppim.annotate.coco import Coco
from ppim.annotate.write import Cells, Source
from ppim.data.masks import check_shape, mask_path, read_mask
from ppim.data.photos import photo_size
from ppim.geometry import HW, WH, Window, centre_window

SCORES = "log(1 + 100 x share of the cell's area)"
_BATCH = 64


class Frame(NamedTuple):
    """What maps are made of, whoever has drawn it."""

    folder: str  # of the photos
    grid: HW
    num_classes: int
    top_k: int
    centre_crop: float | None  # as of `generate.View`
    exif: str

    def wh_of(self, photo: str) -> WH:
        """(width, height) of a photo, by its path relative to the folder."""
        return photo_size(Path(self.folder) / photo, self.exif)

    def window_of(self, wh: WH) -> Window:
        """What the map covers of a photo."""
        return (0.0, 0.0, 1.0, 1.0) if self.centre_crop is None else centre_window(wh, self.centre_crop)


def of_masks(masks: str, frame: Frame) -> Source:
    """Maps of masks, see `ppim.data.masks`; `masks` is their folder, which mirrors that of the photos."""
    def read(photo: str) -> Cells:
        path, wh = mask_path(masks, photo), frame.wh_of(photo)
        mask = read_mask(path, frame.num_classes)
        check_shape(path, (mask.shape[1], mask.shape[0]), photo, wh, frame.exif)
        return cells_of_mask(mask, frame.grid, frame.num_classes, frame.top_k, frame.window_of(wh))

    return _source(frame, read)


def of_boxes(coco: Coco, frame: Frame) -> Source:
    """Maps of the regions in a COCO file of annotations."""
    def read(photo: str) -> Cells:
        annotated, wh = coco.of(photo), frame.wh_of(photo)
        check_shape(coco.path, annotated.wh, photo, wh, frame.exif)
        return cells_of_regions(coco.regions_of(annotated), annotated.wh, frame.grid, frame.num_classes, frame.top_k,
                                frame.window_of(wh))

    return _source(frame, read)


def _source(frame: Frame, read) -> Source:
    return Source(frame.num_classes, frame.grid, frame.top_k, _BATCH, read, lambda cells: cells, is_one_by_one=True)
