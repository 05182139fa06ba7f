"""Can a file make one of our readers do anything but read it or refuse it?

Real files of every kind that is read from outside (photos, label maps, their cards, lists, configurations of ours and
of PaddleViT's, weights) are cut, flipped, spliced, and have numbers and words in them replaced. Each must be read, or
refused by the reader's own kind of error in one line that names the file; no audit event may tell of a file written, a
process, a socket or code that was run; and none may take long.

    python tests/fuzz_readers.py --cases 20000 --seed 0 [READER ...]
"""
from __future__ import annotations

import argparse
import io
import json
import pickle
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppim.config import get_config  # noqa: E402
from ppim.data.datasets import find_images  # noqa: E402
from ppim.data.photos import FORMATS, read_photo  # noqa: E402
from ppim.token_labels.card import read_card  # noqa: E402
from ppim.token_labels.maps import MapError, read_map  # noqa: E402
from ppim.weights.read import read_state  # noqa: E402
from ppim.weights.write import save_state  # noqa: E402

FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "exec", "import", "pty.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk")
WORDS = [b"True", b"-1", b"0", b"1e400", b"nan", b"None", b"99999999999999999999", b"[]", b"{}", b"'", b"(", b"\0",
         b"\xff\xfe", b"\xc4\xe3", "猫".encode(), b"!!python/object/apply:os.system", b"&a", b"*a", b"<<:", b"\r",
         b"__import__('os').system('x')", b"../../x", b" " * 300, b"[" * 300, b"\x00\x00\x01\x12\x00\x03"]


class Reader(NamedTuple):
    """How one kind of file is read."""

    name: str  # of the file
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]  # its own kinds of errors
    seeds: Callable[[Path], list[bytes]]  # real files, made in an empty folder
    names_file: bool = True  # do its errors? A configuration's keys may contradict each other across files


class Edit(NamedTuple):
    """One change of a file: `kind` 0 flips a bit, 1 cuts, 2 overwrites with `text`, 3 inserts it, 4 splices another."""

    kind: int
    place: float  # in the file, 0 to 1
    text: bytes
    amount: int  # bytes overwritten or taken from the other file; bit flipped


def edited(content: bytes, other: bytes, edits: list[Edit]) -> bytes:
    """`content` with the edits made one after the other."""
    for kind, place, text, amount in edits:
        at = int(place * len(content))
        if kind == 0 and content[at:]:
            content = content[:at] + bytes([content[at] ^ (1 << amount % 8)]) + content[at + 1:]
        elif kind == 1:
            content = content[:at]
        elif kind == 2:
            content = content[:at] + text + content[at + len(text):]
        elif kind == 3:
            content = content[:at] + text + content[at + amount % 3:]
        elif kind == 4:
            start = int(place * len(other))
            content = content[:at] + other[start:start + amount] + content[at + amount:]
    return content


# ---- what is read --------------------------------------------------------------------------------------------------


def photo_files(folder: Path) -> list[bytes]:
    """A small picture in every format, and with what formats may hold besides."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    rgb, grey = Image.fromarray(pixels), pixels[..., 0]
    pictures = [(rgb, kind, {}) for kind in FORMATS]
    pictures += [(rgb, kind, {"exif": exif}) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    pictures += [(rgb, "TIFF", {"compression": way}) for way in ("tiff_lzw", "jpeg", "packbits")]
    pictures += [(Image.fromarray(grey.astype(np.uint16) * 257), kind, {}) for kind in ("PNG", "TIFF", "PPM")]
    pictures += [(Image.fromarray(grey.astype(np.float32) / 255), "TIFF", {}), (rgb.convert("CMYK"), "JPEG", {}),
                 (rgb.convert("P"), "PNG", {}), (rgb, "JPEG", {"progressive": True}), (rgb.convert("1"), "BMP", {}),
                 (rgb, "GIF", {"save_all": True, "append_images": [Image.new("RGB", (9, 12))]})]
    files = []
    for picture, kind, options in pictures:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        files.append(file.getvalue())
    return files


def map_files(folder: Path) -> list[bytes]:
    """Maps of every dtype and version of the header."""
    good = np.stack([np.ones((3, 2, 2)), np.tile(np.arange(3)[:, None, None], (1, 2, 2)), np.full((3, 2, 2), 2.0)])
    files = []
    for planes, dtype, version in ((2, "<f2", (1, 0)), (3, "<f4", (1, 0)), (2, ">f8", (2, 0)), (2, "<i4", (3, 0))):
        file = io.BytesIO()
        np.lib.format.write_array(file, good[:planes].astype(dtype), version=version)
        files.append(file.getvalue())
    return files


def card_files(folder: Path) -> list[bytes]:
    """Cards of whole photos and of centre crops."""
    card = {"model": "m", "grid": [2, 3], "frame": "centre-crop", "crop_pct": 0.875, "orientation": "rows-first",
            "log_z": True, "exif": "apply"}
    return [json.dumps(card, indent=1).encode(), json.dumps({**card, "frame": "whole", "log_z": False}).encode()]


def list_files(folder: Path) -> list[bytes]:
    """Lists of numbers and of names, from several systems."""
    return [b"train/a/b c.jpg 0\ntrain/d.jpg 12\n", "train\\猫\\a.jpg 猫\r\nb.jpg dog\r\n".encode("utf-8-sig"),
            "奶牛.jpg 奶牛\n".encode("gbk"), b"a.jpg\t7\rb.jpg 8\r"]


def config_files(folder: Path) -> list[bytes]:
    """A recipe of ours, and one of PaddleViT's."""
    ours = (b"MODEL:\n  NAME: lvvit_s\n  NUM_CLASSES: 10\n  TRANS: {DEPTH: 2}\nTRAIN: {NUM_EPOCHS: 9, BASE_LR: 1e-3,\n"
            b"  CUTMIX_MINMAX: [0.2, 0.8]}\nTOKEN_LABEL: {ENABLE: True, FRAME: whole}\nDATA: {EXIF: apply}\n")
    theirs = (b"BASE: ['']\nDATA:\n    IMAGE_SIZE: 224\n    IMAGENET_MEAN: \"[0.5, 0.5, 0.5]\"\n    DATASET: imagenet\n"
              b"MODEL:\n    TYPE: T2T-ViT\n    NAME: t2t-vit-7\n    EMBED_DIM: 256\n    DEPTH: 7\n    NUM_HEADS: 4\n"
              b"TRAIN:\n    RAND_AUGMENT: True\n    RAND_AUGMENT_LAYERS: 2\n    OPTIMIZER: {BETAS: \"(0.9, 0.95)\"}\n"
              b"    LAST_EPOCH: 0\nEVAL: False\n")
    return [ours, theirs]


def weight_files(folder: Path) -> list[bytes]:
    """Weights in Paddle's and in safetensors' form, a training's pickle, and PyTorch's files."""
    state = {"a.weight": np.arange(6, dtype="float32").reshape(2, 3), "b": np.arange(3, dtype="float16")}
    for name in ("w.pdparams", "w.safetensors"):
        save_state(state, folder / name)
    kept = sorted((Path(__file__).parent / "weights" / "fixtures").glob("*.p*t*"))
    return [*(path.read_bytes() for path in (folder / "w.pdparams", folder / "w.safetensors", *kept)),
            pickle.dumps({"state_dict": state, "epoch": 3}, 2)]


READERS = {
    "photo": Reader("x.jpg", lambda path: read_photo(path, "apply"), (ValueError,), photo_files),
    "map": Reader("x.npy", lambda path: read_map(str(path), 10), (MapError,), map_files),
    "card": Reader("annotation.json", lambda path: read_card(path.parent), (ValueError,), card_files),
    "list": Reader("train_list.txt", lambda path: find_images(path.parent), (ValueError,), list_files),
    "config": Reader("x.yaml", get_config, (ValueError, OSError), config_files, False),
    "weights": Reader("x.pdparams", read_state, (ValueError,), weight_files),
}


def outcome(reader: Reader, path: Path) -> str:
    """"read" or "refused"; anything else is an AssertionError."""
    try:
        reader.read(path)
        return "read"
    except reader.errors as error:
        line = str(error)
        assert "\n" not in line and (str(path.parent) in line or not reader.names_file) and len(line) < 2000, line
        return "refused"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error


# ---- the campaign --------------------------------------------------------------------------------------------------


class Watch:
    """Counts what must not happen while a file is read."""

    def __init__(self):
        self.listening, self.seen = False, []
        sys.addaudithook(self._hear)

    def _hear(self, event, args):
        if not self.listening:
            return
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if writes or (event.startswith(FORBIDDEN) and event not in HARMLESS):
            self.seen.append((event, args))


def drawn(rng: random.Random) -> list[Edit]:
    """Some edits by chance."""
    return [Edit(rng.choice((0, 0, 1, 2, 3, 3, 4)), rng.random() ** rng.choice((1, 3)),
                 rng.choice(WORDS) if rng.random() < 0.5 else rng.randbytes(rng.randrange(1, 9)), rng.randrange(40))
            for _ in range(rng.randrange(1, 6))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)} (all)")
    parser.add_argument("--cases", type=int, default=20_000, help="of each reader (20,000)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    watch = Watch()
    for name in args.readers or READERS:
        reader, rng = READERS[name], random.Random(args.seed)
        with tempfile.TemporaryDirectory() as folder:
            seeds = reader.seeds(Path(folder))
            path, counts = Path(folder) / reader.name, {"read": 0, "refused": 0}
            for seed in seeds:  # whatever the reader imports on first use, it has imported now
                path.write_bytes(seed)
                outcome(reader, path)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000_000, resource.RLIM_INFINITY))
            for case in range(args.cases):
                content = edited(rng.choice(seeds), rng.choice(seeds), drawn(rng))
                path.write_bytes(content)
                signal.alarm(20)  # its default action ends the process, which is the failure a hang deserves
                watch.listening = True
                try:
                    counts[outcome(reader, path)] += 1
                except AssertionError as error:
                    print(f"{name}, case {case}: {error}\n{content!r}")
                    return 1
                finally:
                    watch.listening = False
                    signal.alarm(0)
                if watch.seen:
                    print(f"{name}, case {case}: {watch.seen[0]}\n{content!r}")
                    return 1
        print(f"{name}: {args.cases} cases, {counts['read']} read, {counts['refused']} refused", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
