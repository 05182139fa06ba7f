from __future__ import annotations

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppim.weights import read_state, save_state
from ppim.weights.safetensors_files import digest, write_safetensors

pytestmark = pytest.mark.smoke


@pytest.fixture()
def state():
    return {"a": paddle.to_tensor([[1.0, 2.0]]), "b": np.arange(6).reshape(2, 3).T, "c": paddle.to_tensor(3)}


@pytest.mark.parametrize("name", ["w.pdparams", "w.safetensors"])
def test_what_is_saved_is_read_back(tmp_path, state, name):
    save_state(state, tmp_path / name)
    got, layout, _ = read_state(tmp_path / name)
    assert layout == "paddle"
    assert got.keys() == state.keys()
    np.testing.assert_array_equal(got["a"], [[1, 2]])
    np.testing.assert_array_equal(got["b"], state["b"])
    assert got["c"].shape == () and got["c"] == 3


def test_paddle_loads_our_file_as_tensors(tmp_path):
    net, other = paddle.nn.Linear(3, 2), paddle.nn.Linear(3, 2)
    save_state(net.state_dict(), tmp_path / "w.pdparams")
    loaded = paddle.load(str(tmp_path / "w.pdparams"))
    assert isinstance(loaded["weight"], paddle.Tensor)
    assert other.set_state_dict(loaded) == ([], [])
    np.testing.assert_array_equal(other.weight.numpy(), net.weight.numpy())


def test_safetensors_read_our_file(tmp_path, state):
    save_state(state, tmp_path / "w.safetensors")
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as file:
        metadata = file.metadata()
        assert metadata.pop("sha256") and metadata == {"layout": "paddle"}
        np.testing.assert_array_equal(file.get_tensor("b"), state["b"])


def test_safetensors_are_those_of_the_library_byte_for_byte_but_for_the_mode(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"层.{n}": rng.normal(size=shape).astype("float32") for n, shape in enumerate([(3, 4), (), (0, 2), (5,)])}
    arrays["transposed"] = arrays["层.0"].T
    for metadata in ({"layout": "paddle"}, {}):
        write_safetensors(tmp_path / "ours", arrays, metadata)
        whole = {name: np.ascontiguousarray(array) if array.shape else array for name, array in arrays.items()}
        assert (tmp_path / "ours").read_bytes() == safetensors.numpy.save(whole, metadata)
    save_state(arrays, tmp_path / "w.safetensors")
    save_state(arrays, tmp_path / "w.pdparams")
    (tmp_path / "new").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_the_library_reads_every_type_we_write_beside_others(tmp_path, dtype):
    arrays = {"odd": np.arange(3).astype("uint8"), "x": np.arange(5).astype(dtype), "half": np.ones(1, "float16")}
    write_safetensors(tmp_path / "w", arrays, {"layout": "paddle"})
    back = safetensors.numpy.load_file(tmp_path / "w")
    assert {name: (array.dtype, array.tolist()) for name, array in back.items()} == {
        name: (array.dtype, array.tolist()) for name, array in arrays.items()}


def test_a_type_that_safetensors_lack_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'w' has type complex64"):
        save_state({"w": np.ones(2, "complex64")}, tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_is_saved_as_float32(tmp_path):
    save_state({"w": paddle.to_tensor([1.5, -2.0]).astype("bfloat16")}, tmp_path / "w.pdparams")
    got = read_state(tmp_path / "w")[0]["w"]
    assert got.dtype == np.float32 and got.tolist() == [1.5, -2.0]


def test_only_the_finished_file_is_left(tmp_path, state):
    save_state(state, tmp_path / "w.pdparams")
    save_state({"a": state["a"]}, tmp_path / "w.pdparams")
    assert [p.name for p in tmp_path.iterdir()] == ["w.pdparams"]
    assert list(read_state(tmp_path / "w")[0]) == ["a"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path, state):
    save_state(state, tmp_path / "w.pdparams")
    with pytest.raises(Exception, match="pickle"):
        save_state({"a": state["a"], "b": np.array([lambda: 0])}, tmp_path / "w.pdparams")
    assert [p.name for p in tmp_path.iterdir()] == ["w.pdparams"]
    assert list(read_state(tmp_path / "w")[0]) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["w.pdparams", "w.safetensors"])
def test_a_bit_that_flips_in_what_we_wrote_is_noticed(tmp_path, name):
    state = {"a.weight": np.linspace(-1, 1, 12).astype("float32").reshape(3, 4), "b": np.arange(5)}
    save_state(state, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    refused = 0
    for at in range(len(content)):
        (tmp_path / name).write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1:])
        try:
            found = read_state(tmp_path / name)
        except ValueError as error:
            assert str(tmp_path / name) in str(error)
            refused += 1
            continue
        # a digest that is not found is none, and the rest is whole
        assert found.layout == "paddle" and {key: value.tolist() for key, value in found.state.items()} == {
            key: value.tolist() for key, value in state.items()}
    assert refused > len(content) - 60


def test_a_digest_covers_names_shapes_and_what_a_file_says_of_itself(tmp_path):
    arrays, metadata = {"a": np.zeros((2, 3), "float32"), "b": np.ones(2, "int64")}, {"layout": "paddle", "card": "{}"}
    others = [
        ({"a": arrays["a"].reshape(3, 2), "b": arrays["b"]}, metadata),
        ({"a": arrays["a"], "c": arrays["b"]}, metadata),
        ({"a": arrays["a"].astype("int32"), "b": arrays["b"]}, metadata),
        ({"a": arrays["a"]}, metadata),
        (arrays, {**metadata, "card": "{ }"}),
        (arrays, {"card": "{}"}),
    ]
    digests = {digest(*other) for other in [*others, (arrays, metadata)]}
    assert len(digests) == 7 and digest(arrays, {**metadata, "sha256": "x"}) in digests
