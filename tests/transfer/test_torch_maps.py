"""Label maps of PyTorch, read and written without it: against files that PyTorch wrote, and against PyTorch itself."""
from __future__ import annotations

import io
import os
import pickle
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ppim.token_labels.maps import MapError
from ppim.transfer.torch_maps import read_torch_map, torch_bytes

FIXTURES = Path(__file__).parent / "fixtures"
TORCH = Path(os.environ.get("PPIM_TORCH_PYTHON", "/tmp/peers/venv/bin/python"))
COUNT = np.arange(2 * 3 * 4).reshape(2, 3, 4)
VALUES = np.stack([9 - COUNT / 8, COUNT * 37 % 1000])


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["map_zip.pt", "map_legacy.pt"])
def test_what_pytorch_wrote_is_read_value_by_value(name):
    array = read_torch_map(str(FIXTURES / name))
    assert array.dtype == np.float16 and array.flags.c_contiguous
    np.testing.assert_array_equal(array, VALUES)


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(st.sampled_from(["<f2", "<f4", "<f8", ">f4", "<i2", "<i4", "<i8"]),
                     arrays.array_shapes(min_dims=4, max_dims=4, max_side=4)))
def test_what_is_written_is_read_again_bit_for_bit(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("pt") / "a.pt"
    path.write_bytes(torch_bytes(array, "a"))
    again = read_torch_map(str(path))
    assert again.shape == array.shape and again.astype("<" + array.dtype.str[1:]).tobytes() == array.astype(
        array.dtype.newbyteorder("<")).tobytes()


def test_a_photo_whose_name_is_no_text_has_a_file_too():
    array = np.arange(8, dtype=np.float16).reshape(2, 1, 2, 2)
    path_name = os.fsdecode(b"caf\xe9")
    with zipfile.ZipFile(io.BytesIO(torch_bytes(array, path_name))) as archive:
        assert archive.namelist()[0] == "caf?/data.pkl"


def test_pytorch_reads_what_is_written_and_it_is_laid_out_as_pytorch_lays_it_out(tmp_path):
    with zipfile.ZipFile(FIXTURES / "map_zip.pt") as theirs:
        at = theirs.getinfo("map_zip/data/0").header_offset
    (tmp_path / "a.pt").write_bytes(torch_bytes(VALUES.astype(np.float16), "a"))
    with zipfile.ZipFile(tmp_path / "a.pt") as ours:
        assert {"a/data.pkl", "a/data/0", "a/version", "a/byteorder"} <= set(ours.namelist())
        assert ours.testzip() is None
        at = ours.getinfo("a/data/0").header_offset
    data = (tmp_path / "a.pt").read_bytes()
    begins = at + 30 + int.from_bytes(data[at + 26:at + 28], "little") + int.from_bytes(data[at + 28:at + 30], "little")
    assert begins % 64 == 0 and data[begins:begins + 2] == np.float16(9).tobytes()
    if not TORCH.exists():
        pytest.skip(f"no PyTorch at {TORCH}; PPIM_TORCH_PYTHON names a Python that has it")
    (tmp_path / "b.pt").write_bytes(torch_bytes(VALUES.astype(np.float32), "b"))
    script = ("import sys, torch\nfor n, m in (('a', False), ('b', True)):\n"
              " t = torch.load(n + '.pt', weights_only=True, mmap=m); print(t.dtype, t.is_contiguous(), t.tolist())")
    done = subprocess.run([TORCH, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines() == [f"torch.{kind} True {VALUES.tolist()}" for kind in ("float16", "float32")]


class Harm:
    """A pickle that makes a folder when it is run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def with_pickle(path, data):
    """The file that PyTorch wrote, with another pickle in it."""
    with zipfile.ZipFile(FIXTURES / "map_zip.pt") as theirs, zipfile.ZipFile(path, "w") as ours:
        for name in theirs.namelist():
            ours.writestr(name, data if name.endswith("data.pkl") else theirs.read(name))


def test_a_file_that_calls_for_code_is_refused_and_runs_nothing(tmp_path):
    with_pickle(tmp_path / "a.pt", pickle.dumps(Harm(tmp_path / "harm"), 2))
    with pytest.raises(MapError, match=r"a\.pt: not a label map of PyTorch \(.*mkdir.*fetch this file again"):
        read_torch_map(str(tmp_path / "a.pt"))
    assert not (tmp_path / "harm").exists()


def test_every_other_content_is_one_error_that_names_the_file(tmp_path):
    path, whole = tmp_path / "a.pt", (FIXTURES / "map_zip.pt").read_bytes()
    contents = {b"": "another format", b"\x93NUMPY": "another format", whole[:200]: "damaged", whole[:-40]: "damaged"}
    for content, words in contents.items():
        path.write_bytes(content)
        with pytest.raises(MapError, match=rf"a\.pt: .*{words}"):
            read_torch_map(str(path))
    with_pickle(path, pickle.dumps({"labels": 1, "image": 2}, 2))
    with pytest.raises(MapError, match="wanted one tensor .*got a dict with the entries 'labels', 'image'"):
        read_torch_map(str(path))
    with pytest.raises(FileNotFoundError, match="no label map there"):
        read_torch_map(str(tmp_path / "nowhere.pt"))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_of_pytorch_that_has_changed_is_read_or_refused_and_never_breaks_the_reader(tmp_path_factory, data):
    content = bytearray((FIXTURES / "map_zip.pt").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("pt") / "a.pt"
    path.write_bytes(content)
    try:
        read_torch_map(str(path))
    except MapError as error:
        assert str(path) in str(error) and "\n" not in str(error)
