"""A file from the web, whole or not at all: resumed where a connection broke, checked, put in place in one step.

While it comes in, `name` is `name.part`; beside it, `name.part.tag` keeps what the server calls this version of the
file (ETag or Last-Modified), so that a rest is only ever added to the beginning it belongs to.
"""
from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from ppim.files import sync

try:
    import fcntl
except ImportError:  # Windows, where an open file could not be renamed either
    fcntl = None

_ATTEMPTS = 3  # connections, when they break one after another
_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 20


class DownloadError(OSError):
    """No file: says from where, why not, and where to put it by hand."""


def is_url(text: object) -> bool:
    """Is this an address to download from, and no path?"""
    return str(text).startswith(("http://", "https://"))


def name_of(url: str) -> str:
    """The file name a URL stands for: what its storage is asked to call it, or the last part of its path."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query).get("responseContentDisposition", [""])[0]
    _, found, name = asked.partition("filename=")
    return Path(name.strip('"') if found else parts.path).name


@contextlib.contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """One process at a time; the others find the finished file when their turn comes."""
    partial.touch()
    if fcntl is None:
        yield
        return
    with open(partial, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _rest_of(partial: Path, tag: Path) -> dict[str, str]:
    """Headers that ask for what is missing, provided that the server still has the same version."""
    have = partial.stat().st_size
    version = tag.read_text(encoding="utf-8") if tag.is_file() else ""
    return {"Range": f"bytes={have}-", "If-Range": version} if have and version else {}


def _version(headers) -> str:
    etag = headers.get("ETag", "")
    # a weak tag names versions that mean the same, not the same bytes
    return headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag


def _receive(url: str, partial: Path, tag: Path) -> None:
    """One connection: bytes go to the end of `partial`, or to its beginning where the server starts over."""
    with urlopen(Request(url, headers={"User-Agent": "ppim", **_rest_of(partial, tag)}), timeout=_TIMEOUT) as response:
        have, length = partial.stat().st_size, response.headers.get("Content-Length")
        if response.status == 206:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                partial.write_bytes(b"")
                raise ConnectionError(f"asked for bytes from {have}, got {response.headers.get('Content-Range')}")
        else:
            have = 0
            partial.write_bytes(b"")
            tag.write_text(_version(response.headers), encoding="utf-8")
        total = have + int(length) if length else None
        size = f"{total / 1e6:.1f} MB" if total else "unknown size"
        print(f"downloading {partial.stem} ({size}{', the rest' if have else ''}) to {partial.parent}", file=sys.stderr)
        with open(partial, "ab") as file:
            while block := response.read(_BLOCK):
                file.write(block)
    if total is not None and partial.stat().st_size != total:
        raise ConnectionError(f"the connection broke after {partial.stat().st_size} of {total} bytes")


def _receive_all(url: str, partial: Path, tag: Path) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            return _receive(url, partial, tag)
        except HTTPError as error:
            if error.code != 416 or attempt + 1 == _ATTEMPTS:
                raise
            partial.write_bytes(b"")  # there is no rest: what we have is not the beginning of this file
        except URLError:
            raise
        except (HTTPException, OSError):
            if attempt + 1 == _ATTEMPTS:
                raise


def download(
    url: str, folder: str | Path, name: str | None = None, check: Callable[[Path], object] | None = None
) -> Path:
    """The file at `url` as `folder`/`name`; nothing is fetched if it is there already.

    Several processes may ask for the same file: one fetches it. Proxies are taken from the environment (https_proxy).

    Args:
        name: by default what the URL calls it.
        check: given the path of the complete file; raises ValueError if it is not what it should be.
    Raises:
        DownloadError: not to be had. What came in is kept as `name.part` and the next call goes on from there,
            unless `check` has refused it.
    """
    target = Path(folder) / (name or name_of(url))
    partial, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.tag")
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(partial):
        if target.is_file():  # another process has been faster
            partial.unlink(missing_ok=True)
            return target
        try:
            _receive_all(url, partial, tag)
            sync(partial)
            if check:
                check(partial)
        except (HTTPException, OSError, ValueError) as error:
            if isinstance(error, ValueError):
                partial.write_bytes(b"")
            raise DownloadError(
                f"cannot download {url}: {error}. To go on without, fetch {target.name} elsewhere and put it into "
                f"{target.parent}, or give its path"
            ) from error
        os.replace(partial, target)
        sync(target.parent)
        tag.unlink(missing_ok=True)
    return target
