"""A file from the web, whole or not at all: resumed where a connection broke, checked, put in place in one step.

While it comes in, `name` is `name.part`; beside it, `name.part.tag` keeps what the server calls this version of the
file (ETag or Last-Modified), so that a rest is only ever added to the beginning it belongs to.
"""
from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ppim.files import sync

try:
    import fcntl
except ImportError:  # Windows, where an open file could not be renamed either
    fcntl = None

_ATTEMPTS = 3  # connections, when they break one after another
_TIMEOUT = 30  # seconds without a byte
_PATIENCE = 60.0  # seconds in which ...
_LEAST = 60_000  # ... at least so many bytes must come
_BLOCK = 1 << 20


class DownloadError(OSError):
    """No file: says from where, why not, and where to put it by hand."""


def is_url(text: object) -> bool:
    """Is this an address to download from, and no path?"""
    return str(text).startswith(("http://", "https://"))


def name_of(url: str) -> str:
    """The file name a URL stands for: what its storage is asked to call it, or the last part of its path.

    Raises:
        ValueError: it names no file.
    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query).get("responseContentDisposition", [""])[0]
    _, found, name = asked.partition("filename=")
    name = Path(name.strip('"') if found else parts.path).name
    if name in ("", ".", "..") or not name.isprintable():
        raise ValueError(f"{url}: the address names no file; give the name to keep it under, or another address")
    return name


class _WebOnly(HTTPRedirectHandler):
    """Follows redirections to other web addresses, and nowhere else."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_url(newurl):
            raise URLError(f"redirected to {newurl:.200}, which is no web address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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


def _receive(url: str, partial: Path, tag: Path) -> bool:
    """One connection: bytes go to the end of `partial`, or to its beginning where the server starts over. Has the
    server said where the file ends? Else it is not known to be whole."""
    asked = _rest_of(partial, tag)
    request = Request(url, headers={"User-Agent": "ppim", **asked})
    with build_opener(_WebOnly).open(request, timeout=_TIMEOUT) as response:
        have, length = partial.stat().st_size, response.length
        if response.status == 206:
            try:
                total = _end_of_rest(response.headers, have, asked.get("If-Range")) or (length and have + length)
            except ConnectionError:
                partial.write_bytes(b"")
                raise
        else:
            have, total = 0, length
            partial.write_bytes(b"")
            tag.write_text(_version(response.headers), encoding="utf-8")
        size = f"{total / 1e6:.1f} MB" if total else "unknown size"
        print(f"downloading {partial.stem} ({size}{', the rest' if have else ''}) to {partial.parent}", file=sys.stderr)
        with open(partial, "ab") as file:
            for block in _blocks(response):
                file.write(block)
    if total is not None and partial.stat().st_size != total:
        raise ConnectionError(f"the connection broke after {partial.stat().st_size} of {total} bytes")
    return total is not None or response.chunked


def _end_of_rest(headers, have: int, version: str | None) -> int | None:
    """The size of the whole file, as said with the rest from byte `have` of it; None: not said.

    Raises:
        ConnectionError: another rest than asked for, or of another version.
    """
    said = headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said.strip())
    if version is None or not found or int(found[1]) != have:
        raise ConnectionError(f"asked for bytes from {have}, got {said!r:.80}")
    now = _version(headers)
    if now != version and (now or version.startswith('"')):  # with an ETag asked for, the rest must carry it
        raise ConnectionError(f"the file has changed: its version was {version:.80}, is {now or 'unknown':.80}")
    return None if found[3] == "*" else int(found[3])


def _blocks(response) -> Iterator[bytes]:
    """What comes in, as it comes.

    Raises:
        TimeoutError: too little for too long; a socket's own limit starts anew with every byte.
    """
    since, received = time.monotonic(), 0
    while block := response.read1(_BLOCK):
        yield block
        received += len(block)
        if time.monotonic() - since > _PATIENCE:
            if received < _LEAST:
                raise TimeoutError(f"the server sent {received} bytes in {_PATIENCE:g} seconds")
            since, received = time.monotonic(), 0


def _receive_all(url: str, partial: Path, tag: Path) -> bool:
    """As many connections as it takes, within reason; the answer of `_receive`."""
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
    raise AssertionError("the last attempt returns or raises")


def _refuse_pages(partial: Path) -> None:
    """Where a file has moved, or a network wants a login, a page comes in its place."""
    with open(partial, "rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise ValueError("got a web page instead of the file")


def download(
    url: str, folder: str | Path, name: str | None = None, check: Callable[[Path], object] | None = None
) -> Path:
    """The file at `url` as `folder`/`name`; nothing is fetched if it is there already.

    Several processes may ask for the same file: one fetches it. Proxies are taken from the environment (https_proxy).

    Args:
        name: by default what the URL calls it.
        check: given the path of the complete file; raises ValueError if it is not what it should be.

    Raises:
        ValueError: not an address of the web, or one that names no file.
        DownloadError: not to be had. What came in is kept as `name.part` and the next call goes on from there,
            unless `check` has refused it.
    """
    if not is_url(url):
        raise ValueError(f"{url}: wanted an address that begins with http:// or https://")
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
            has_end = _receive_all(url, partial, tag)
            _refuse_pages(partial)
            if not has_end and not check:
                raise ValueError("the server does not say how long the file is, so that a part of it would pass")
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
