"""Photos rewritten as printers, phones and scanners would have: what preprocessing of exported models goes wrong with.

    python tools/rewrite_photos.py FOLDER_OF_PHOTOS NEW_FOLDER

Of every photo four files: for print (CMYK JPEG), stored on its side with an EXIF orientation (JPEG), grey of 8 bits
(JPEG) and grey of 16 bits (PNG).
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from ppim.data.photos import read_photo  # noqa: E402
from ppim.data.preprocess import photos_in  # noqa: E402

ORIENTATION = 0x0112


def rewrite(photo: Image.Image, stem: Path) -> None:
    """Write the four files, whose names begin with `stem`."""
    note = Image.Exif()
    note[ORIENTATION] = 6  # to be turned a quarter clockwise
    photo.convert("CMYK").save(f"{stem}_print.jpg", quality=95)
    photo.transpose(Image.Transpose.ROTATE_90).save(f"{stem}_turned.jpg", quality=95, exif=note)
    grey = photo.convert("L")
    grey.save(f"{stem}_grey.jpg", quality=95)
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(f"{stem}_deep.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    args.target.mkdir(parents=True)
    photos = photos_in([args.source])
    for number, path in enumerate(photos):
        rewrite(read_photo(path), args.target / f"{number:05d}_{Path(path).stem}")
    print(f"{len(photos)} photos rewritten as {4 * len(photos)} files in {args.target}")


if __name__ == "__main__":
    main()
