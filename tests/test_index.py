"""An index holds its names and fields as they were written, byte by byte as its page says, and knows when it is not."""
from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.index import Index, names_digest, write_index

pytestmark = pytest.mark.smoke

# names as a file system gives them: any bytes but zero
NAME = st.binary(max_size=12).map(os.fsdecode)
NAMES = st.lists(NAME | st.text("ab/.", max_size=4), max_size=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("index")


KINDS = st.lists(st.sampled_from(["u1", "<u4", ">i8", "f4", "?"]), max_size=3)


@settings(max_examples=40, deadline=None)
@given(names=NAMES, seed=st.integers(0, 99), kinds=KINDS)
def test_what_was_written_is_there_in_its_order(names, seed, kinds, folder):
    rng = np.random.default_rng(seed)
    fields = {f"f{at}": rng.integers(0, 2, len(names)).astype(kind) for at, kind in enumerate(kinds)}
    write_index(folder / "any", iter(names), fields, {"seed": seed})
    index = Index(folder / "any")
    assert len(index) == len(names) and list(index) == names and [index[i] for i in range(len(index))] == names
    assert index[1:4] == names[1:4] and index.about == {"seed": seed}
    for name, field in fields.items():
        assert index.field(name).tolist() == field.tolist() and not index.field(name).flags.writeable
    index.verify()


@settings(max_examples=40, deadline=None)
@given(names=NAMES, other=NAME)
def test_names_in_the_order_of_their_bytes_are_found_and_no_others(names, other, folder):
    names = sorted(set(names), key=os.fsencode)
    write_index(folder / "sorted", names, {}, {})
    index = Index(folder / "sorted")
    assert [index.find(name) for name in names] == list(range(len(names)))
    assert index.find(other) == (names.index(other) if other in names else None)


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], ["a"] * 70_000, [f"{i % 65_536:06}" for i in range(70_000)]])
def test_names_out_of_order_or_twice_are_not_looked_up(names, tmp_path):
    write_index(tmp_path / "x", names, {}, {})
    with pytest.raises(ValueError, match="x: its names were not written in ascending order"):
        Index(tmp_path / "x").find("a")


def test_many_names_are_written_and_walked_in_blocks(tmp_path):
    names = [f"class{i // 1000:03}/{i:07}{'é' * (i % 3)}" for i in range(150_000)]
    write_index(tmp_path / "x", names, {"place": np.arange(len(names))}, {})
    index = Index(tmp_path / "x")
    assert list(index) == names and index.find(names[140_001]) == 140_001 and index[-1] == names[-1]
    assert index.field("place")[131_072] == 131_072


def test_the_file_is_laid_out_as_its_page_says(tmp_path):
    write_index(tmp_path / "x", ["b", "ä"], {"bytes": np.array([7, 300])}, {"made": "by hand"})
    data = (tmp_path / "x").read_bytes()
    content, seal = data[:-len(b"\nppim sha256 \n") - 64], data[-len(b"\nppim sha256 \n") - 64:]
    assert seal == b"\nppim sha256 " + hashlib.sha256(content).hexdigest().encode() + b"\n"
    length = int.from_bytes(content[-8:], "little")
    header = json.loads(content[-8 - length:-8])
    assert header == {"count": 2, "ascending": True, "names": {"at": 16, "bytes": 3},
                      "starts": {"at": 64, "dtype": "<u4"}, "fields": {"bytes": {"at": 128, "dtype": "<i8"}},
                      "about": {"made": "by hand"}}
    assert data[:19] == b"ppim index 1   \nb\xc3\xa4"
    assert data[64:76] == b"\0\0\0\0\1\0\0\0\3\0\0\0" and data[128:144] == (7).to_bytes(8, "little") + b",\1" + bytes(6)
    assert data[19:64].strip(b"\0") == data[76:128].strip(b"\0") == b""


def test_any_byte_that_changes_is_noticed_and_any_cut(tmp_path):
    path = tmp_path / "x"
    write_index(path, ["a", "b", "c"], {"label": np.array([1, 2, 3], np.uint16)}, {})
    data = path.read_bytes()
    for at in range(0, len(data), 2):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        with pytest.raises(ValueError, match=r"/x: .*; make it anew"):
            Index(path).verify()
    for length in range(0, len(data), 5):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"/x: .*; make it anew"):
            Index(path)


@pytest.mark.parametrize("field", [np.zeros(2), np.zeros((3, 1)), np.array(["a", "b", "c"])])
def test_a_field_has_one_number_for_each_name_or_no_file_appears(field, tmp_path):
    with pytest.raises(ValueError, match="field 'size' wants one number for each of 3 names, got"):
        write_index(tmp_path / "x", ["a", "b", "c"], {"size": field}, {})
    assert list(tmp_path.iterdir()) == []


def _in_a_fork(index, pipe):
    pipe.send((index.find("m5"), int(index.field("place")[7]), index[3]))


def test_it_is_pickled_by_its_path_and_read_in_a_fork(tmp_path):
    write_index(tmp_path / "x", [f"m{i}" for i in range(10)], {"place": np.arange(10)}, {"a": 1})
    index = Index(tmp_path / "x")
    packed = pickle.dumps(index)
    assert len(packed) < 200 + len(str(tmp_path)) and list(pickle.loads(packed)) == list(index)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_a_fork, args=(index, theirs))
    child.start()
    assert ours.poll(30) and ours.recv() == (5, 7, "m3")
    child.join()


@pytest.mark.parametrize("names", [[], [""], ["a"], ["a", "b/c", "é"], ["", "\udcff"]])
def test_the_digest_of_names_is_that_of_their_lines(names):
    lines = b"\n".join(name.encode("utf-8", "surrogateescape") for name in names)
    assert names_digest(iter(names)) == hashlib.sha256(lines).hexdigest()


@pytest.mark.parametrize("names, why", [(["b", "a"], "'a' comes behind 'b'"), (["a", "a"], "'a' comes twice")])
def test_the_digest_wants_names_in_order_each_once(names, why):
    with pytest.raises(ValueError, match=why):
        names_digest(names)
