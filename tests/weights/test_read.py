from __future__ import annotations

import collections
import json
import os
import pickle
import sys
import tracemalloc

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppim.weights.read import read_state

pytestmark = pytest.mark.smoke

_events: list | None = None


def _record(event, args):
    # only while a test listens: an audit hook cannot be removed
    if _events is not None and (event.startswith(("os.", "subprocess", "socket")) or event in ("exec", "import")):
        _events.append((event, args))


sys.addaudithook(_record)


@pytest.fixture()
def state():
    rng = np.random.RandomState(0)
    return {
        "a.weight": rng.standard_normal((3, 5)).astype("float32"),
        "a.columns": np.asfortranarray(rng.standard_normal((4, 6)).astype("float32")),
        "half": rng.standard_normal(7).astype("float16"),
        "count": np.array(12, dtype="int64"),
        "big_endian": np.arange(4, dtype=">f4"),
    }


def same(got: dict, expected: dict) -> bool:
    return list(got) == list(expected) and all(
        got[n].shape == expected[n].shape and (got[n] == expected[n]).all() for n in expected
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_arrays_is_read_as_it_is(tmp_path, state, protocol):
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(collections.OrderedDict(state), protocol))
    got, layout, _ = read_state(tmp_path / "w.pdparams")
    assert layout == "paddle"
    assert same(got, state)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_of_paddle_save_is_read_as_paddle_reads_it(tmp_path, protocol):
    paddle.seed(1)
    net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.BatchNorm1D(4))
    path = str(tmp_path / "w.pdparams")
    paddle.save(net.state_dict(), path, protocol=protocol)
    got, layout, _ = read_state(path)
    assert layout == "paddle"
    assert same(got, {name: value.numpy() for name, value in paddle.load(path).items()})


def test_tensors_paddle_saves_by_name_are_read(tmp_path):
    state = {"w": ("linear_0.w_0", np.ones((2, 2), "float32")), "StructuredToParameterName@@": {"w": "linear_0.w_0"}}
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(state, 2))
    assert same(read_state(tmp_path / "w.pdparams")[0], {"w": np.ones((2, 2), "float32")})


def test_bfloat16_comes_as_float32(tmp_path):
    values = np.array([1.0, -2.5, 3.140625], "float32")  # exact in bfloat16
    halves = (values.view("uint32") >> 16).astype("uint16")
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": halves}, 4))
    assert same(read_state(tmp_path / "w")[0], {"w": values})
    header = json.dumps({"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "s.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + halves.tobytes())
    assert same(read_state(tmp_path / "s")[0], {"w": values})


@pytest.mark.parametrize(
    ("metadata", "layout"), [(None, "torch"), ({"format": "pt"}, "torch"), ({"layout": "paddle"}, "paddle")]
)
def test_safetensors_say_whose_layout_they_have(tmp_path, metadata, layout):
    state = {"b": np.arange(6, dtype="float32").reshape(2, 3), "a": np.array([True, False]), "c": np.zeros((0, 2))}
    safetensors.numpy.save_file(state, tmp_path / "w.safetensors", metadata=metadata)
    got, found, _ = read_state(tmp_path / "w.safetensors")
    assert found == layout
    assert same({n: got[n] for n in state}, state)


def test_content_decides_and_the_suffix_may_be_left_out(tmp_path, state):
    del state["big_endian"]
    safetensors.numpy.save_file({n: np.ascontiguousarray(v) for n, v in state.items()}, tmp_path / "odd.pdparams")
    got, layout, _ = read_state(tmp_path / "odd")
    assert layout == "torch"
    assert sorted(got) == sorted(state)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights at .*gone"):
        read_state(tmp_path / "gone")


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "attack",
    [
        lambda p: Call(os.system, f"touch {p}"),
        lambda p: Call(eval, f"open({str(p)!r}, 'w')"),
        lambda p: Call(exec, f"open({str(p)!r}, 'w')"),
        lambda p: Call(open, str(p), "w"),
        lambda p: Call(getattr, np.ndarray, "tofile"),
        lambda p: Call(np.load, str(p)),
        lambda p: Call(__import__, "antigravity"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: {"w": c}, lambda c: {"w": np.ones(2), "x": [c]}])
def test_a_hostile_pickle_never_runs(tmp_path, attack, protocol, wrap):
    global _events
    marker, path = tmp_path / "ran", tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps(wrap(attack(marker)), protocol))
    _events = []
    try:
        with pytest.raises(ValueError, match="wanted plain arrays"):
            read_state(path)
        seen = [e for e in _events if e[0] != "import"]
    finally:
        _events = None
    assert not marker.exists()
    assert not seen


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04cposix\nsystem\n(S'true'\ntR.",  # text opcodes, as the classic attack spells them
        b"\x80\x04}r\x00\x00\x00\x01.",  # memo slot 16,777,216, which would cost 270 MB
        b"\x80\x04}\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a string longer than any memory
        b"\x80\x04}\x8e\x00\x00\x00\x00\x01\x00\x00\x00.",  # bytes that are not there
        b"\x80\x04Pnobody\n.",  # a persistent id
        b"\x80\x04\x82\x01.",  # an extension code
    ],
)
def test_a_hand_made_pickle_is_refused(tmp_path, content):
    (tmp_path / "w.pdparams").write_bytes(content.ljust(9, b"."))
    with pytest.raises(ValueError, match="w.pdparams: (wanted plain arrays|damaged)"):
        read_state(tmp_path / "w")


@pytest.mark.parametrize(
    "state",
    [
        {"w": np.array([object()])}, {"w": np.array(["text"])}, {"w": np.zeros(2, "V4")}, {"w": "text"}, {"w": {}},
        [1, 2], {1: np.zeros(2)}, {"w": np.zeros(2, [("x", "f4")])},
    ],
)
def test_what_is_not_a_dict_of_number_arrays_is_refused(tmp_path, state):
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(state, 4))
    with pytest.raises(ValueError, match="w.pdparams"):
        read_state(tmp_path / "w")


def test_an_array_that_claims_more_values_than_it_has_is_refused(tmp_path):
    content = pickle.dumps({"w": np.arange(5, dtype="float32")}, 2)
    (tmp_path / "w.pdparams").write_bytes(content.replace(b"K\x05\x85", b"K\x09\x85"))
    with pytest.raises(ValueError, match="w.pdparams: damaged or cut off"):
        read_state(tmp_path / "w")


def test_a_file_cut_anywhere_is_an_error_with_its_path(tmp_path, state):
    whole = tmp_path / "whole"
    whole.write_bytes(pickle.dumps(state, 4))
    tensors = tmp_path / "tensors"
    safetensors.numpy.save_file({n: np.ascontiguousarray(state[n]) for n in ("a.weight", "half")}, tensors)
    for source in (whole, tensors):
        content = source.read_bytes()
        for length in [*range(0, len(content), 7), len(content) - 1]:
            (tmp_path / "cut").write_bytes(content[:length])
            with pytest.raises(ValueError, match="cut: "):
                read_state(tmp_path / "cut")


def test_a_damaged_zip_file_is_an_error(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ValueError, match="w.pth: damaged or cut off"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "X32", "shape": [2], "data_offsets": [0, 8]},
        {"shape": [2], "data_offsets": [0, 8]},
        [1, 2],
    ],
)
def test_a_lying_safetensors_header_is_refused(tmp_path, entry):
    header = json.dumps({"w": entry}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match="w.safetensors: "):
        read_state(tmp_path / "w")


def test_a_header_in_another_encoding_is_refused(tmp_path):
    header = ("{" + json.dumps({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})[1:]).encode("utf-16-le")
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="w.safetensors: "):
        read_state(tmp_path / "w")


def safetensors_file(path, entries, body):
    """`entries`: name -> (dtype, shape, begin, end)."""
    said = {name: {"dtype": d, "shape": shape, "data_offsets": [b, e]} for name, (d, shape, b, e) in entries.items()}
    header = json.dumps(said).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)
    return path


@pytest.mark.parametrize("places", [[(0, 8), (0, 8)], [(0, 8), (4, 12)], [(0, 12), (4, 8)], [(4, 12), (0, 8)]])
def test_arrays_of_a_safetensors_file_may_not_share_bytes(tmp_path, places):
    entries = {f"w{i}": ("F16", [(end - begin) // 2], begin, end) for i, (begin, end) in enumerate(places)}
    with pytest.raises(ValueError, match=r"s\.safetensors: damaged .*'w\d' and 'w\d' overlap"):
        read_state(safetensors_file(tmp_path / "s.safetensors", entries, bytes(12)))


def test_empty_arrays_take_no_bytes_and_overlap_nothing(tmp_path):
    entries = {"a": ("F32", [0], 0, 0), "b": ("F32", [2], 0, 8), "c": ("F32", [3, 0], 8, 8)}
    got = read_state(safetensors_file(tmp_path / "s.safetensors", entries, bytes(8))).state
    assert {name: value.shape for name, value in got.items()} == {"a": (0,), "b": (2,), "c": (3, 0)}


@pytest.mark.parametrize("kind", ["safetensors", "pdparams"])
def test_what_bfloat16_will_cost_is_counted_before_it_is_spent(tmp_path, kind):
    """A file whose four names stand for the same bytes would cost eight times its size."""
    halves, path = np.ones(1_000_000, "uint16"), tmp_path / f"w.{kind}"
    names = [f"w{i}" for i in range(4)]
    if kind == "safetensors":
        safetensors_file(path, {name: ("BF16", [halves.size], 0, halves.nbytes) for name in names}, halves.tobytes())
    else:
        path.write_bytes(pickle.dumps(dict.fromkeys(names, halves), 4))
    size = path.stat().st_size
    assert size < 2.1e6
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="overlap|more than 4 times the size"):
            read_state(path)
        assert tracemalloc.get_traced_memory()[1] < 2 * size  # the pickle itself, and nothing widened
    finally:
        tracemalloc.stop()


def test_a_file_of_bfloat16_alone_is_within_the_limit(tmp_path):
    halves = np.ones(1000, "uint16")
    entries = {"w": ("BF16", [1000], 0, 2000)}
    assert read_state(safetensors_file(tmp_path / "s.safetensors", entries, halves.tobytes())).state["w"].nbytes == 4000
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"w": halves, "tied": halves}, 4))
    assert len(read_state(tmp_path / "w.pdparams").state) == 2


def test_the_words_of_a_hostile_file_stay_in_one_line(tmp_path):
    (tmp_path / "w.pdparams").write_bytes(b"\x80\x04\x8c\x04os\nx\x8c\x06system\x93.")
    with pytest.raises(ValueError, match="w.pdparams: wanted plain arrays") as error:
        read_state(tmp_path / "w.pdparams")
    assert "\n" not in str(error.value)
