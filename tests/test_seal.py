"""A sealed file is read by everyone, and a byte of it that changes is noticed."""
from __future__ import annotations

import hashlib

import pytest

from ppim.seal import SEAL_BYTES, content_length, sealed

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("parts", [[], [b""], [b"abc"], [b"a", memoryview(b"bc"), b"d" * 5000]])
def test_a_seal_is_a_line_behind_the_content_with_its_digest(parts, tmp_path):
    with sealed(tmp_path / "f") as file:
        for part in parts:
            assert file.write(part) == len(part)
    content, data = b"".join(parts), (tmp_path / "f").read_bytes()
    assert data == content + b"\nppim sha256 " + hashlib.sha256(content).hexdigest().encode() + b"\n"
    assert content_length(data) == len(content) and len(data) == len(content) + SEAL_BYTES


@pytest.mark.parametrize("data", [b"", b"abc", bytes(SEAL_BYTES), b"x" * 500, b"\nppim sha256 "])
def test_without_a_seal_all_is_content(data):
    assert content_length(data) == len(data)


def test_every_byte_counts(tmp_path):
    with sealed(tmp_path / "f") as file:
        file.write(bytes(range(256)))
    data = (tmp_path / "f").read_bytes()
    for at in range(len(data)):
        spoilt = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        if 256 <= at < 256 + len(b"\nppim sha256 "):
            assert content_length(spoilt) == len(data)  # what is no seal is content, which its format refuses or not
            continue
        with pytest.raises(ValueError, match="has changed since it was written"):
            content_length(spoilt)
