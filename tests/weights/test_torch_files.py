"""Files that PyTorch 2.15 wrote (fixtures/make.py), against the values PyTorch reads back from them."""
from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ppim.models import create_model
from ppim.weights import load_weights, read_state, save_state
from ppim.weights.convert import from_torch, to_torch
from ppim.weights.torch_files import open_legacy

pytestmark = pytest.mark.smoke

FIXTURES = Path(__file__).parent / "fixtures"
RAW = {
    "module.fc.weight": [
        [1.5409960746765137, -0.293428897857666], [-2.1787893772125244, 0.5684312582015991],
        [-1.0845223665237427, -1.3985954523086548],
    ],
    "module.fc.bias": [0.4033203125, 0.837890625, -0.71923828125],
    "module.view": [
        [-0.5966353416442871, 1.1006041765213013, -0.5663174986839294, -1.5091077089309692],
        [0.18203648924827576, -1.0711873769760132, 0.3731146454811096, 0.3703935444355011],
    ],
    "module.brain": [[1.453125, 0.94140625], [0.7734375, 0.19140625]],
    "module.count": 7,
}


@pytest.mark.parametrize(
    ("name", "part"), [("training_zip.pth.tar", "model"), ("training_legacy.pth", "model"), ("net_legacy.pth", "net")]
)
def test_strided_half_and_shared_tensors_come_as_pytorch_reads_them(name, part):
    state, layout, found = read_state(FIXTURES / name, "raw")
    assert (layout, found, list(state)) == ("torch", part, list(RAW))
    for key, values in RAW.items():
        np.testing.assert_array_equal(state[key], np.array(values, state[key].dtype))
    assert (state["module.fc.bias"].dtype, state["module.count"].dtype) == (np.float16, np.int64)


@pytest.mark.parametrize("name", ["training_zip.pth.tar", "training_legacy.pth"])
def test_the_running_average_is_preferred_and_can_be_asked_for(name):
    raw, average = read_state(FIXTURES / name, "raw").state, read_state(FIXTURES / name)
    assert average.part == "model_ema" and average.is_averaged
    np.testing.assert_array_equal(average.state["module.fc.weight"], raw["module.fc.weight"] + np.float32(1))
    assert read_state(FIXTURES / name, "ema").part == "model_ema"
    with pytest.raises(ValueError, match="bare.pth: no averaged weights inside.*ask for the raw ones"):
        read_state(FIXTURES / "bare.pth", "ema")


def test_bare_files_and_parameters_are_read():
    assert read_state(FIXTURES / "bare.pth").state["bias"].tolist() == [
        -0.4188564717769623, 0.21362197399139404, 0.3881818354129791,
    ]
    np.testing.assert_array_equal(read_state(FIXTURES / "parameter.pt").state["w"], np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("name", ["training_zip.pth.tar", "training_legacy.pth", "bare.pth"])
def test_a_file_cut_anywhere_is_an_error_with_its_path(tmp_path, name):
    content = (FIXTURES / name).read_bytes()
    for length in range(0, len(content) - 1, 13):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut: "):
            read_state(tmp_path / "cut")


def test_a_compressed_or_foreign_zip_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}." + bytes(10_000_000))
    with pytest.raises(ValueError, match="bomb: member .* is compressed"):
        read_state(tmp_path / "bomb")
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(ValueError, match="other: a zip file that PyTorch did not write"):
        read_state(tmp_path / "other")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    content = (FIXTURES / "parameter.pt").read_bytes()
    # shape (2, 3) with strides (3, 1), as protocol 2 spells it
    assert content.count(b"K\x02K\x03\x86") == 1
    with zipfile.ZipFile(FIXTURES / "parameter.pt") as source, zipfile.ZipFile(tmp_path / "w", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"K\x02K\x03\x86", b"K\x09K\x03\x86"))
    with pytest.raises(ValueError, match=r"a tensor of shape \(9, 3\) beyond its 6 values"):
        read_state(tmp_path / "w")


def test_values_are_read_in_the_order_of_bytes_that_the_file_names(tmp_path):
    source = zipfile.ZipFile(FIXTURES / "parameter.pt")
    order, = (name for name in source.namelist() if name.endswith("/byteorder"))
    with zipfile.ZipFile(tmp_path / "w", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            swapped = np.frombuffer(content, "<f4").astype(">f4").tobytes() if "/data/" in name else content
            target.writestr(name, b"big" if name == order else swapped)
    np.testing.assert_array_equal(read_state(tmp_path / "w").state["w"], np.arange(6.0).reshape(2, 3))


def test_a_zip_file_that_names_a_member_twice_is_refused(tmp_path):
    with zipfile.ZipFile(FIXTURES / "parameter.pt") as source, zipfile.ZipFile(tmp_path / "w", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            target.writestr(next(name for name in source.namelist() if "/data/" in name), bytes(24))
    with pytest.raises(ValueError, match="a zip file that PyTorch did not write"):
        read_state(tmp_path / "w")


def test_a_legacy_storage_of_another_length_than_its_tensors_say_is_refused(tmp_path):
    content = (FIXTURES / "training_legacy.pth").read_bytes()
    _, storages = open_legacy(content)
    for place in storages.places.values():
        count = int.from_bytes(content[place - 8 : place], "little")
        for wrong in (count - 1, count + 1):
            (tmp_path / "w").write_bytes(content[: place - 8] + wrong.to_bytes(8, "little") + content[place:])
            with pytest.raises(ValueError, match="w: damaged or cut off .a storage is not all there"):
                read_state(tmp_path / "w")


def test_pickles_nested_too_deeply_are_refused(tmp_path):
    nested: tuple = ()
    for _ in range(500):
        nested = (nested,)
    (tmp_path / "w").write_bytes(pickle.dumps({"w": nested}, 4))
    with pytest.raises(ValueError, match="nested more than 200 deep"):
        read_state(tmp_path / "w")


@pytest.mark.parametrize("key", [(1,), 2**200, frozenset([1])], ids=["tuple", "long number", "set"])
@pytest.mark.parametrize("hashed", [lambda key: {key: 1}, lambda key: {1: 2, key: 3}, lambda key: frozenset([key])])
@pytest.mark.parametrize("protocol", [2, 4])
def test_only_plain_values_are_hashed(tmp_path, key, hashed, protocol):
    # tuples and long numbers can be chosen to share one hash, and a dict of a million such keys takes hours
    (tmp_path / "w").write_bytes(pickle.dumps({"w": hashed(key)}, protocol))
    refused = "no plain value" if not (protocol == 2 and isinstance(hashed(key), frozenset)) else "is a Inert"
    with pytest.raises(ValueError, match=refused):
        read_state(tmp_path / "w")


def test_values_shared_without_end_are_never_written_out(tmp_path):
    shared: tuple = (1,)
    for _ in range(60):
        shared = (shared, shared)  # 2 ** 60 values when written out
    (tmp_path / "w").write_bytes(pickle.dumps({"w": shared}, 4))
    with pytest.raises(ValueError, match="'w' is a tuple, wanted an array"):
        read_state(tmp_path / "w")
    values = np.zeros(1000, "float32")
    (tmp_path / "w").write_bytes(pickle.dumps({f"w{i}": values for i in range(100)}, 4))
    with pytest.raises(ValueError, match="more than 4 times the size of the file"):
        read_state(tmp_path / "w")


def test_a_pickle_of_too_many_steps_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(b"\x80\x04](" + b"K\x01" * 1_100_000 + b"e.")
    with pytest.raises(ValueError, match="more than 1000000 steps"):
        read_state(tmp_path / "w")


def test_what_other_projects_wrap_and_leave_around_weights_is_understood(tmp_path):
    state = {f"backbone.{name}": np.ones(2, "float32") for name in "ab"}
    wrapped = {"state_dict": state, "optimizer": {"m": np.zeros(3)}, "lr_scheduler": {"last_epoch": 3}, "epoch": 3}
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(wrapped, 4))
    got = read_state(tmp_path / "w")
    assert (got.part, got.layout, list(got.state)) == ("state_dict", "paddle", ["backbone.a", "backbone.b"])


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "_layers.module.", "model."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    sizes = {"image_size": 32, "num_classes": 3, "embed_dim": 8, "depth": 1, "num_heads": 2, "token_dim": 4}
    source, target = create_model("t2t_vit_7", **sizes), create_model("t2t_vit_7", **sizes)
    save_state({f"{prefix}{name}": value for name, value in source.state_dict().items()}, tmp_path / "w.pdparams")
    assert load_weights(target, tmp_path / "w").missing == []
    for name, value in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name].numpy(), value.numpy())


def test_to_pytorch_and_back_changes_nothing():
    for name, options in (("lvvit_demo", {}), ("t2t_vit_7", {"depth": 1}), ("deit_tiny", {"depth": 1})):
        model = create_model(name, **options)
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        there = to_torch(model, state)
        assert there["blocks.0.mlp.fc1.weight"].shape == state["blocks.0.mlp.fc1.weight"].shape[::-1]
        back = from_torch(model, there)
        assert {key: value.tobytes() for key, value in back.items()} == {
            key: value.tobytes() for key, value in state.items()
        }


def test_a_short_fuzz_finds_nothing():
    script = Path(__file__).with_name("fuzz_weights.py")
    done = subprocess.run([sys.executable, script, "--cases", "3000"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "3000 cases" in done.stdout
