"""What is in a pack of label maps, and in which files? What its `labels.json` says.

A pack is a folder:

    labels.json         what this file describes
    labels.index        the stems of its maps (`ppim.index`), ascending; a map's place there is the number of its record
    labels-00000.bin    records (`ppim.token_labels.record`) 0 .. shard_maps - 1, one behind the other, nothing else
    labels-00001.bin    records shard_maps .. 2 * shard_maps - 1, and so on
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppim.files import open_regular, write_whole
from ppim.strict_json import dumps
from ppim.token_labels.record import ID_DTYPES, record_dtype

MANIFEST, INDEX = "labels.json", "labels.index"
_FORMAT, _VERSION = "ppim label pack", 1
_LONGEST = 1 << 26  # bytes; a million shards would not need them
_SEAL = "seal"


class Manifest(NamedTuple):
    """What a pack says of itself."""

    maps: int
    shape: tuple[int, int, int]  # (K, H, W) as in the maps' arrays
    ids: str  # dtype of the ids, '<u2' or '<u4'
    log_z: bool  # do the records hold the annotator's log-sum-exp?
    classes: int | None  # of the annotator, where it is known
    highest_id: int
    largest_change: float  # of a score or log-sum-exp that was rounded, 0 where none was
    shard_maps: int  # records of every shard but the last
    shards: tuple[tuple[str, str], ...]  # names of the files, and their SHA-256 (hexadecimal)
    change: str  # what was done to the maps when they were packed, "" nothing
    stems: str  # SHA-256 of the stems, see `ppim.index.names_digest`
    card: Mapping[str, Any] | None  # what `annotation.json` of the folder said (`ppim.token_labels.card`)

    @property
    def record(self) -> np.dtype:
        """The form of a record."""
        return record_dtype(self.shape, self.ids, self.log_z)


def is_pack(folder: str | Path) -> bool:
    """Do label maps lie in that folder as a pack?"""
    return (Path(folder) / MANIFEST).is_file()


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"labels-{number:05d}.bin"


def seal(said: Mapping[str, object]) -> str:
    """SHA-256 (hexadecimal) of what a file of JSON says besides its seal."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, allow_nan=False).encode()).hexdigest()


def write_manifest(folder: str | Path, manifest: Manifest) -> None:
    """Write `labels.json` of a pack."""
    fields = manifest._asdict()
    fields["shards"] = [{"file": name, "sha256": digest} for name, digest in manifest.shards]
    said = json.loads(dumps({"format": _FORMAT, "version": _VERSION, "scores": "<f2",
                             "record_bytes": manifest.record.itemsize, **fields}))
    text = dumps({**said, _SEAL: seal(said)}, indent=1) + "\n"
    write_whole(Path(folder) / MANIFEST, lambda beside: beside.write_text(text, encoding="utf-8"))


def read_manifest(folder: str | Path) -> Manifest:
    """What `labels.json` of a pack says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of a version that this program does not know; the message names it.
    """
    path = Path(folder) / MANIFEST
    with open_regular(path) as file:
        data = file.read(_LONGEST)
    try:
        said = json.loads(data)
        if said.get("format") != _FORMAT:
            raise ValueError(f"format wants {_FORMAT!r}, got {said.get('format')!r:.80}")
        if said.get("version") != _VERSION:
            raise _damaged(path, f"version {said.get('version')!r:.20}, this program knows {_VERSION}", "update ppim")
        sealed_as = said.pop(_SEAL, None)
        if sealed_as is not None and sealed_as != seal(said):
            raise ValueError(f"changed since it was written; whoever changed it on purpose leaves {_SEAL} out")
        return _checked(said)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if str(path) in str(error):
            raise
        raise _damaged(path, f"{type(error).__name__}: {error}", "pack the maps again") from None


def _checked(said: Mapping[str, Any]) -> Manifest:
    shape, card = tuple(said["shape"]), said["card"]
    counts = (*shape, said["maps"], said["shard_maps"])
    if len(shape) != 3 or not all(type(n) is int and n > 0 for n in counts):
        raise ValueError(f"shape, maps and shard_maps want whole numbers above 0, got {counts!r:.80}")
    if said["ids"] not in ID_DTYPES or said["scores"] != "<f2" or type(said["log_z"]) is not bool:
        raise ValueError(f"ids want one of {', '.join(ID_DTYPES)}, scores <f2, log_z true or false")
    shards = tuple((shard_name(number), str(shard["sha256"])) for number, shard in enumerate(said["shards"]))
    if len(shards) != -(-said["maps"] // said["shard_maps"]):
        raise ValueError(f"{len(shards)} shards of {said['shard_maps']} for {said['maps']} maps")
    if card is not None and not isinstance(card, dict):
        raise ValueError(f"card wants an object, got {type(card).__name__}")
    return Manifest(said["maps"], shape, said["ids"], said["log_z"], said["classes"], int(said["highest_id"]),
                    float(said["largest_change"]), said["shard_maps"], shards, str(said["change"]),
                    str(said["stems"]), card)


def _damaged(path: Path, what: str, hint: str) -> ValueError:
    return ValueError(f"{path}: not a pack of label maps that can be read ({' '.join(what.split())}); {hint}")
