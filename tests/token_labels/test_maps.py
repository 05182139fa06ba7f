"""Label maps on disk: what is written is read back, and every kind of damage is one error that names the file."""
from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ppim.seal import SEAL_BYTES
from ppim.token_labels.maps import MapError, map_path, read_map, write_map


def good_map(dtype=np.float16, kept=3, rows=2, columns=4, classes=50, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(classes)[:kept] for _ in range(rows * columns)], axis=1)
    return np.stack([rng.normal(4, 2, (kept, rows, columns)).round(1), ids.reshape(kept, rows, columns)]).astype(dtype)


@pytest.fixture
def save(tmp_path):
    def save(array, **kwargs):
        path = tmp_path / "map.npy"
        np.save(path, array, **kwargs)
        return str(path)
    return save


def refused(path, classes=50, **kwargs):
    """The message of the error, which names the file."""
    with pytest.raises(MapError) as caught:
        read_map(path, classes, **kwargs)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int16, np.int32])
def test_the_published_form_is_read_in_every_dtype(save, dtype):
    array = good_map(dtype)
    label_map = read_map(save(array), 50)
    np.testing.assert_array_equal(label_map.scores, array[0].astype(np.float32))
    np.testing.assert_array_equal(label_map.ids, array[1].astype(np.int32))
    assert label_map.scores.dtype == np.float32 and label_map.ids.dtype == np.int32
    assert label_map.log_z is None and label_map.window == (0, 0, 1, 1)


def test_fortran_order_and_later_header_versions_are_read_as_numpy_reads_them(save, tmp_path):
    array = good_map()
    np.testing.assert_array_equal(read_map(save(np.asfortranarray(array)), 50).scores, array[0])
    with open(tmp_path / "v2.npy", "wb") as stream:
        np.lib.format.write_array(stream, array, version=(2, 0))
    np.testing.assert_array_equal(read_map(str(tmp_path / "v2.npy"), 50).ids, array[1])


def test_columns_first_files_are_turned(save):
    array = good_map(rows=2, columns=4)
    label_map = read_map(save(array), 50, "columns-first")
    assert label_map.ids.shape == (3, 4, 2)
    np.testing.assert_array_equal(label_map.ids[:, 3, 1], array[1][:, 1, 3])
    with pytest.raises(ValueError, match="orientation wants .*'sideways'"):
        read_map(save(array), 50, "sideways")


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_what_is_written_is_read_back(tmp_path_factory, data):
    kept, rows, columns = (data.draw(st.integers(1, 4)) for _ in range(3))
    scores = data.draw(arrays.arrays(np.float16, (kept, rows, columns), elements=st.floats(-100, 100, width=16)))
    classes = data.draw(st.sampled_from([5, 1000, 2048, 21841]))
    ids = np.stack([data.draw(st.permutations([0, 1, classes // 2, classes - 1]))[:kept]
                    for _ in range(rows * columns)], axis=1).reshape(kept, rows, columns)
    log_z = data.draw(st.none() | arrays.arrays(np.float16, (rows, columns), elements=st.floats(-100, 100, width=16)))
    path = str(tmp_path_factory.mktemp("maps") / "sub" / "a.npy")
    scores[0, 0, 0] += 1 if not scores.any() else 0
    write_map(path, scores.astype(np.float32), ids, log_z)
    label_map = read_map(path, classes)
    np.testing.assert_array_equal(label_map.scores, scores)
    np.testing.assert_array_equal(label_map.ids, ids)
    if log_z is None:
        assert label_map.log_z is None
    else:
        np.testing.assert_array_equal(label_map.log_z, log_z)
    np.testing.assert_array_equal(np.load(path)[:2], np.stack([scores, ids]))


def test_a_bit_that_flips_in_a_map_of_ours_is_noticed(tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.permuted(np.tile(np.arange(4)[:, None, None], (1, 3, 5)), axis=0)[:2]
    path = str(tmp_path / "a.npy")
    write_map(path, rng.normal(size=(2, 3, 5)), ids, rng.normal(size=(3, 5)))
    content, good = (tmp_path / "a.npy").read_bytes(), read_map(path, 4)
    for at in range(len(content)):
        (tmp_path / "a.npy").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
        with pytest.raises(MapError, match="a.npy: "):
            read_map(path, 4)
    (tmp_path / "a.npy").write_bytes(content[:-SEAL_BYTES])  # maps that others write have no seal
    for one, other in zip(read_map(path, 4), good):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [2050, 21841])
def test_half_precision_is_refused_where_it_cannot_hold_the_ids(save, classes):
    array = good_map(np.float32)
    assert read_map(save(array.astype(np.float16)), classes).ids.max() < 50
    array[1, 0, 0, 0] = 2047
    assert read_map(save(array.astype(np.float16)), classes).ids[0, 0, 0] == 2047
    array[1, 0, 0, 0] = 2049
    assert "2048" in refused(save(array.astype(np.float16)), classes=classes)
    assert read_map(save(array), classes).ids[0, 0, 0] == 2049


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 3, 2, 4), (1, 3, 2, 4), (2, 3, 0, 4), (2, 0, 2, 4), (6,), ()])
def test_a_wrong_shape_is_refused(save, shape):
    assert str(list(shape)) in refused(save(np.ones(shape, np.float16)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.complex64, bool, "U3", np.uint16])
def test_a_wrong_dtype_is_refused(save, dtype):
    assert "dtype" in refused(save(good_map(np.float32).astype(dtype)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("plane", [0, 1])
def test_values_that_are_not_finite_are_refused(save, plane, value):
    array = good_map()
    array[plane, 1, 1, 2] = value
    assert ("finite" if plane == 0 else "ids") in refused(save(array))


def test_infinities_of_both_signs_are_refused(save):
    array = good_map()
    array[0, 0, 0, :2] = np.inf, -np.inf
    assert "2 of 24 scores" in refused(save(array))


def test_a_log_sum_exp_that_is_not_finite_is_refused(save):
    array = np.concatenate([good_map(), good_map()[:1]])
    array[2, :, 0, 1] = np.nan
    assert "1 of 8 log-sum-exps" in refused(save(array))


@pytest.mark.parametrize("value", [-1, 50])
def test_an_id_out_of_range_is_refused(save, value):
    array = good_map()
    array[1, 2, 0, 3] = value
    assert f"0 .. 49, got {min(array[1].min(), value)} .. {max(array[1].max(), value)}" in refused(save(array))


def test_a_fractional_id_is_refused(save):
    array = good_map()
    array[1, 0, 1, 1] += 0.5
    assert "whole numbers" in refused(save(array))


@pytest.mark.parametrize(("rank", "other"), [(0, 1), (1, 2), (0, 2)])
def test_one_class_twice_in_a_cell_is_refused_in_whatever_ranks(save, rank, other):
    array = good_map()
    array[1, other, 1, 1] = array[1, rank, 1, 1]
    assert "twice" in refused(save(array))


def test_a_file_of_zeros_is_refused(save, tmp_path):
    assert "all zero" in refused(save(np.zeros((2, 1, 2, 2), np.float16)))
    assert "all zero" in refused(save(np.zeros((3, 1, 2, 2), np.float16)))
    (tmp_path / "holes.npy").write_bytes(bytes(300))
    assert "not a whole .npy" in refused(str(tmp_path / "holes.npy"))


@pytest.mark.parametrize("keep", [0, 1, 5, 9, 20, 127, 128, 150])
def test_a_file_cut_off_anywhere_is_refused(save, keep):
    path = save(good_map())
    with open(path, "rb+") as stream:
        stream.truncate(keep)
    assert ("the header promises" in refused(path)) == (keep >= 128)  # where the header is whole


def test_bytes_behind_the_array_are_refused(save):
    path = save(good_map())
    with open(path, "ab") as stream:
        stream.write(b"\0")
    assert "97 bytes" in refused(path)


def with_header(path, text, body=b"", version=1):
    """An .npy file whose header is any text."""
    width = 2 if version == 1 else 4
    header = text if isinstance(text, bytes) else text.encode("latin1")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(width, "little") + header + body)
    return str(path)


@pytest.mark.parametrize("shape", [
    "(True, 5)", "(2, -5, -9, 12)", "(2, 2, 4611686018427387904, 2)", "(2, 2, 4611686018427387904, 4, 0)", "(-1,)",
    "(2.0, 3, 2, 4)", "('2', 3)", "2", "(2, 3, 2, 4, 5, 6)", "(2,) * 4", "(9" + "9" * 300 + ",)", "(2, 3, 2, 1e400)",
    "(" * 3000, "[" * 90 + "]" * 90, "__import__('os').system('x')", "(2, 3, 2, 4"])
def test_a_header_with_a_shape_that_is_none_is_refused(tmp_path, shape):
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}}}\n"
    for version in (1, 2, 3):
        refused(with_header(tmp_path / "map.npy", text, bytes(96), version))


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "{'descr': '<f2'}", "{'descr': 5, 'fortran_order': False, 'shape': (2, 3, 2, 4)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3, 2, 4)}", b"\xff" * 40, b"\0" * 40, " " * 60_000,
    "{'descr': [('a', '<f2')], 'fortran_order': False, 'shape': (2, 3, 2, 4)}",
    "{'descr': '<f2', 'fortran_order': 1, 'shape': (2, 3, 2, 4)}", "{'descr': '<f2', 'fortran_order': False, " * 40])
def test_a_header_that_is_none_is_refused(tmp_path, text):
    for version in (1, 2, 3, 9):
        refused(with_header(tmp_path / "map.npy", text, bytes(96), version))


def test_a_header_that_claims_to_be_huge_is_refused_and_not_fetched(tmp_path):
    path = tmp_path / "map.npy"
    path.write_bytes(b"\x93NUMPY\x02\0\xff\xff\xff\xff{")
    refused(path)
    with open(path, "r+b") as stream:
        stream.truncate(1 << 33)  # a file with a hole of 8 GB, which must not be read to find it wrong
    refused(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    assert "it is a pipe" in refused(tmp_path / "pipe.npy")
    assert "it is a folder" in refused(tmp_path / "folder.npy")
    assert "it is a device" in refused("/dev/zero")


class Bomb:
    def __reduce__(self):
        return print, ("a pickle was run",)


def test_pickles_are_refused_and_never_run(save, tmp_path, capsys):
    refused(save(np.array([Bomb()], dtype=object), allow_pickle=True))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Bomb()))
    refused(str(tmp_path / "pickle.npy"))
    assert capsys.readouterr().out == ""


def test_a_missing_map_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.npy.*correct the folder's path"):
        read_map(str(tmp_path / "nothing.npy"), 50)


@pytest.mark.parametrize("damage, word", [
    (lambda scores, ids: (scores[:2], ids), "one shape"), (lambda scores, ids: (scores * np.nan, ids), "finite"),
    (lambda scores, ids: (scores * 0 + 1e5, ids), "finite"), (lambda scores, ids: (scores, ids * 0), "twice")])
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_map_that_could_not_be_read_back_is_not_written(tmp_path, damage, word):
    scores, ids = damage(*good_map(np.float32))
    with pytest.raises(MapError, match=word):
        write_map(str(tmp_path / "a.npy"), scores, ids)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("log_z, word", [
    (np.full((2, 4), np.nan), "8 of 8 log-sum-exps are not finite"),
    (np.full((2, 4), 70000.0), "not finite"),  # more than half precision holds
    (np.ones((4, 2)), r"of every cell, \(2, 4\), got \(4, 2\)"),
    (np.ones(4), r"got \(4,\)"),
    (np.ones((3, 2, 4)), r"got \(3, 2, 4\)"),
])
def test_a_log_sum_exp_that_could_not_be_read_back_is_not_written(tmp_path, log_z, word):
    with pytest.raises(MapError, match=f"a.npy: .*{word}"):
        write_map(str(tmp_path / "a.npy"), *good_map(np.float32), log_z)
    assert list(tmp_path.iterdir()) == []


def test_a_map_without_a_cell_or_a_class_is_not_written(tmp_path):
    for empty in (np.zeros((0, 2, 4)), np.zeros((3, 2, 0))):
        with pytest.raises(MapError, match=r"wanted scores and ids of one shape \(K, rows, columns\), got"):
            write_map(str(tmp_path / "a.npy"), empty, empty.astype(int))


@pytest.mark.parametrize("image, path", [("n01/a.JPEG", "maps/n01/a.npy"), ("n01/a.b.jpg", "maps/n01/a.b.npy"),
                                         ("v1.0/x.jpg", "maps/v1.0/x.npy"), ("a/b/c/d.png", "maps/a/b/c/d.npy"),
                                         ("flat.jpg", "maps/flat.npy")])
def test_only_the_last_suffix_is_cut_and_folders_are_kept(image, path):
    assert map_path("maps", image) == path
