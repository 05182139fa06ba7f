"""Models as functions, and Paddle's hub."""
from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path

import numpy as np
import paddle
import paddle.vision.transforms as T
import pytest
from PIL import Image

import ppim
from ppim import zoo
from ppim.config import get_config
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.models import create_model, list_models
from ppim.weights.convert import to_torch
from ppim.weights.write import save_state
from ppim.zoo import hub
from tests.helpers import ROOT, free_port, run_python

TINY = {"image_size": 16, "patch_size": 8, "embed_dim": 8, "depth": 1, "num_heads": 2, "stem_channels": 4}


# ---- names and arguments -------------------------------------------------------------------------------------------


def test_every_vision_transformer_is_a_function_of_the_package():
    wanted = {name for name in list_models() if name.startswith(("lvvit", "t2t_vit", "deit", "volo"))}
    wanted |= {row.alias for row in zoo.ROWS if row.alias}
    assert wanted <= set(hub.NAMES)
    assert all(callable(getattr(ppim, name)) and getattr(ppim, name).__name__ == name for name in hub.NAMES)
    assert {row.name for row in zoo.ROWS} | {row.alias for row in zoo.ROWS if row.alias} <= set(dir(ppim))
    with pytest.raises(AttributeError, match="lvvit_xxl"):
        _ = ppim.lvvit_xxl


@pytest.mark.parametrize("name", hub.NAMES)
def test_a_function_builds_the_model_of_its_name(name):
    blocks = {"layers": [1, 1, 1, 1]} if name.startswith("volo") else {"depth": 1}
    with paddle.LazyGuard():  # shapes, no numbers
        ours, theirs = getattr(hub, name)(class_dim=3, **blocks), create_model(name, num_classes=3, **blocks)
    assert type(ours) is type(theirs)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}


@pytest.mark.parametrize("make", [hub.deit_ti, functools.partial(create_model, "deit_ti")])
def test_ppims_words_for_arguments_are_understood(make):
    model = make(class_dim=5, img_size=32, depth=2, drop_path_rate=0.3, drop_rate=0.1, attn_drop_rate=0.2)
    assert (model.num_classes, model.image_size, model.dropout) == (5, (32, 32), 0.1)
    assert (model.blocks[1].drop_path, model.blocks[0].attn.attention_dropout) == (0.3, 0.2)
    with pytest.raises(ValueError, match="class_dim is PPIM's word for num_classes: 5 and 1000 were given; give one"):
        make(class_dim=5, num_classes=1000)
    with pytest.raises(ValueError, match="class_dim"):
        hub.deit_ti(class_dim=0)


# ---- pretrained ----------------------------------------------------------------------------------------------------


def tiny(**overrides):
    return hub.lvvit_s(**{**TINY, **overrides})


def same(model, other, without=()) -> bool:
    state, theirs = model.state_dict(), other.state_dict()
    return all(np.array_equal(state[k].numpy(), theirs[k].numpy()) for k in state if not k.startswith(without))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """(model, file of its weights), 1000 classes."""
    paddle.seed(1)
    model, path = tiny(), tmp_path_factory.mktemp("weights") / "tiny.pdparams"
    save_state({name: value.numpy() for name, value in model.state_dict().items()}, path)
    return model, path


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Paddle's folder for downloaded weights, elsewhere for the time of a test."""
    monkeypatch.setattr(paddle.utils.download, "WEIGHTS_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.smoke
def test_a_path_loads_that_file_with_and_without_suffix(weights, recwarn):
    model, path = weights
    assert same(tiny(pretrained=path), model) and same(tiny(pretrained=str(path)[: -len(".pdparams")]), model)
    assert not [w for w in recwarn if "weights from" in str(w.message)]
    assert not same(tiny(), model)


def test_a_url_loads_the_file_behind_it_out_of_paddles_cache(weights, web, cache):
    model, path = weights
    web.body, web.cuts = path.read_bytes(), [999]
    url = web.url.replace("file.bin", "tiny.pdparams")
    assert same(tiny(pretrained=url), model) and same(tiny(pretrained=url), model)
    (kept,) = cache.glob("*/tiny.pdparams")
    assert web.seen == [None, "bytes=999-"] and kept.read_bytes() == path.read_bytes()


def test_two_addresses_that_end_in_one_name_are_two_files(weights, web, cache, tmp_path):
    """As those of huggingface.co do, which all end in model.safetensors."""
    model, path = weights
    other = tiny()
    save_state({name: value.numpy() for name, value in other.state_dict().items()}, tmp_path / "other.pdparams")
    for one, file in ((model, path), (other, tmp_path / "other.pdparams"), (model, path)):
        web.body = file.read_bytes()
        address = web.url.replace("some/file.bin", f"{file.stem}/resolve/main/model.pdparams")
        assert same(tiny(pretrained=address), one)
    assert web.seen == [None, None]


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><title>Sign in</title>", b"", b"\x80\x02}q\x00."[:3], b"\x80\x04c"])
def test_a_page_instead_of_weights_is_refused_and_not_kept(body, web, cache):
    web.body = body
    with pytest.raises(OSError, match="cannot download"):
        tiny(pretrained=web.url)
    assert not list(cache.rglob("file.bin"))


def test_a_model_of_other_classes_keeps_its_fresh_heads_and_says_so(weights):
    model, path = weights
    with pytest.warns(UserWarning, match="dropped .* head.weight"):
        other = tiny(pretrained=path, class_dim=3)
    assert other.num_classes == 3 and same(other, model, without=("head.", "aux_head."))


def test_a_file_that_does_not_fit_is_an_error_whatever_the_classes(weights):
    _, path = weights
    for overrides in ({"depth": 2}, {"depth": 2, "class_dim": 3}, {"embed_dim": 16}):
        with pytest.raises(ValueError, match="does not fit"):
            tiny(pretrained=path, **overrides)
    with pytest.raises(FileNotFoundError):
        tiny(pretrained="nowhere.pdparams")


def test_heads_of_other_classes_in_the_file_are_not_dropped_unasked(tmp_path):
    small = tiny(class_dim=3)
    save_state({name: value.numpy() for name, value in small.state_dict().items()}, tmp_path / "small.pdparams")
    assert same(tiny(pretrained=tmp_path / "small", class_dim=3), small)
    with pytest.raises(ValueError, match="head"):
        tiny(pretrained=tmp_path / "small")


@pytest.mark.filterwarnings("error:weights from")
@pytest.mark.parametrize("as_paddle_names_it", [False, True])
def test_the_published_file_is_used_where_it_has_been_downloaded_before(as_paddle_names_it, cache):
    model, file = create_model("t2t_vit_7"), zoo.find("t2t_vit_7").download
    cache.mkdir()
    name = file.url.rpartition("/")[2] if as_paddle_names_it else file.name
    save_state({key: value.numpy() for key, value in model.state_dict().items()}, cache / name)
    assert same(hub.t2t_vit_7(pretrained=True), model)


@pytest.mark.filterwarnings("error:weights from")
@pytest.mark.parametrize(("name", "file"), [
    ("vit_small_patch16_224", "vit_small_patch16_224.augreg_in21k_ft_in1k.safetensors"),
    ("dinov2_vits14_reg", "dinov2_vits14_reg4_pretrain.pth"), ("deit3_small", "deit_3_small_224_21k.pth"),
])
def test_where_nobody_has_a_file_for_paddle_that_of_pytorch_is_taken(name, file, cache, monkeypatch):
    """Under a name of its own, which many addresses of the same last part need."""
    small = {"depth": 1, "embed_dim": 12, "image_size": 28 if "dinov2" in name else 32}
    model = create_model(name, **small)
    cache.mkdir()
    state = to_torch(model, {key: value.numpy() for key, value in model.state_dict().items()})
    save_state(state, cache / "theirs.safetensors", "torch")
    (cache / "theirs.safetensors").rename(cache / file)  # formats are told by content
    (cache / "model.safetensors").write_text("another's")
    assert same(getattr(hub, name)(pretrained=True, **small), model)
    with pytest.warns(UserWarning, match="head"):
        getattr(hub, name)(pretrained=True, class_dim=3, **small)


def test_each_families_own_view_is_given():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    with paddle.LazyGuard():
        views = {name: getattr(hub, name)(return_transforms=True, depth=1)[1](picture).numpy()
                 for name in ("vit_small", "deit3_small", "deit_small")}
    for name, side in (("vit_small", 248), ("deit3_small", 224)):
        row = zoo.find(name)
        first, then = eval_view((224, 224), row.crop_pct)
        assert first.least_wh == (side, side)
        seen = views[name] * np.array(row.std, "float32")[:, None, None] + np.array(row.mean, "float32")[:, None, None]
        wanted = to_array(apply_all((first, then), picture)) / 255
        assert np.abs(seen - wanted).max() < 1.1 / 255
    assert np.abs(views["vit_small"] - views["deit_small"]).max() > 0.5


def test_offline_one_is_told_which_file_to_put_where(tmp_path):
    proxy = f"http://127.0.0.1:{free_port()}"
    environment = {"HOME": str(tmp_path), "https_proxy": proxy, "HTTPS_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
    done = run_python("-c", "from ppim import lvvit_s; lvvit_s(pretrained=True)", env=environment)
    assert done.returncode and "DownloadError" in done.stderr.splitlines()[-1]
    folder = tmp_path / ".cache" / "paddle" / "hapi" / "weights"
    for part in (zoo.find("lvvit_s").download.url, "lvvit_s_224.pdparams", str(folder)):
        assert part in done.stderr.splitlines()[-1]


def test_without_a_published_file_the_error_tells_what_there_is():
    with pytest.raises(ValueError, match=r"lvvit_l.*train it.*pretrained=True knows: .*lvvit_s.*dinov2_large_reg"):
        hub.lvvit_l(pretrained=True)
    with pytest.raises(ValueError, match="train it"):
        hub.lvvit_demo(pretrained=True)


# ---- transforms ----------------------------------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize(("name", "resize", "crop"), [
    ("lvvit_s", 248, 224), ("lvvit_m", 248, 224), ("lvvit_s_384", 384, 384), ("lvvit_m_448", 448, 448),
    ("deit_ti", 248, 224), ("deit_b_distilled_384", 384, 384), ("t2t_vit_7", 248, 224), ("t2t_vit_14_384", 384, 384),
    ("t2t_vit_24_token_labeling", 384, 384),
])
def test_the_transforms_are_ppims(name, resize, crop):
    model, transforms = getattr(ppim, name)(return_transforms=True, depth=1)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    size = (int(resize * 400 / 300), resize)
    left, top = round((size[0] - crop) / 2), round((size[1] - crop) / 2)
    view = picture.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + crop, top + crop))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wanted = ((np.asarray(view) / 255 - mean) / std).transpose(2, 0, 1)
    given = transforms(picture)
    assert given.shape == [3, crop, crop] == [3, *model.image_size]
    np.testing.assert_allclose(given.numpy(), wanted, atol=1e-5)


def test_the_transforms_do_what_the_code_on_ppims_page_does(published_pages):
    page = next(published_pages.glob("002_*")).read_text(encoding="utf-8")
    blocks = re.findall(r"transforms = (T\.Compose\(.*?\n\s*\]\))", page, re.DOTALL)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 470, 3), dtype=np.uint8))
    assert len(blocks) == 3
    for block, size in zip(blocks, (224, 384, 448)):
        theirs = eval(block, {"T": T})(picture).numpy()
        assert np.array_equal(hub.evaluation_transforms((size, size))(picture).numpy(), theirs)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16", "F"])
def test_pictures_of_any_mode_go_through_the_transforms_as_photos_do(mode):
    """Paddle's own transforms fail on most of them, or cut 16 bits off at white."""
    grey = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    wide = {"I;16": grey.astype(np.uint16) * 257, "F": (grey / 255).astype(np.float32)}
    picture = Image.fromarray(wide[mode]) if mode in wide else Image.fromarray(grey).convert(
        "RGB" if mode in ("RGBA", "CMYK", "P") else "L").convert(mode)
    assert picture.mode == mode
    transforms = hub.evaluation_transforms((32, 32))
    expected = transforms(picture.convert("RGB") if mode not in wide else Image.fromarray(grey).convert("RGB"))
    assert np.array_equal(transforms(picture).numpy(), expected.numpy())


def test_an_image_size_of_ones_own_gives_transforms_of_that_size():
    picture = Image.fromarray(np.zeros((50, 60, 3), np.uint8))
    model, transforms = hub.lvvit_s(return_transforms=True, image_size=(64, 96), depth=1)
    assert transforms(picture).shape == [3, 64, 96] and model.image_size == (64, 96)


def test_the_transforms_are_those_of_the_weights_card_and_of_the_recipe_of_what_nobody_published(tmp_path):
    """Weights of a run ask for the mean, deviation, crop and filter they were trained for."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (105, 70, 3), dtype=np.uint8))

    def by_hand(short, filter, mean, std):
        left, top = (short - 48) // 2, (short * 3 // 2 - 48) // 2
        view = picture.resize((short, short * 3 // 2), filter).crop((left, top, left + 48, top + 48))
        return ((np.asarray(view) / 255 - mean) / std).transpose(2, 0, 1)

    model, transforms = hub.lvvit_demo(return_transforms=True, depth=1)
    wanted = by_hand(48, Image.Resampling.BILINEAR, np.full(3, 0.5), np.full(3, 0.5))
    np.testing.assert_allclose(transforms(picture).numpy(), wanted, atol=1e-5)
    mean, std = [0.1, 0.2, 0.3], [0.3, 0.4, 0.5]
    for name, filter in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        card = {"form": 1, "num_classes": 1000, "classes": [], "crop_pct": 0.8, "interpolation": name, "mean": mean,
                "std": std}
        save_state(model.state_dict(), tmp_path / "own.pdparams", card=card)
        _, transforms = hub.lvvit_demo(pretrained=tmp_path / "own", return_transforms=True, depth=1)
        wanted = by_hand(60, filter, np.array(mean), np.array(std))
        np.testing.assert_allclose(transforms(picture).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize(("recipe", "resize"), [
    ("lvvit/lvvit_s", 248), ("lvvit/lvvit_m", 224), ("lvvit/lvvit_s_384", 426), ("t2t_vit/t2t_vit_14", 248),
    ("t2t_vit/t2t_vit_14_384", 384), ("deit/deit_small", 256),
])
def test_a_recipes_view_is_the_one_its_figure_is_of(recipe, resize):
    data = get_config(ROOT / "configs" / f"{recipe}.yaml").DATA
    first, then = eval_view((data.IMAGE_SIZE, data.IMAGE_SIZE), data.CROP_PCT)
    assert (first.least_wh, first.interpolation, then.wh) == ((resize,) * 2, "bicubic", (data.IMAGE_SIZE,) * 2)


# ---- in Paddle's own tools -----------------------------------------------------------------------------------------


class Noise(paddle.io.Dataset):
    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return rng.normal(size=(3, 16, 16)).astype("float32"), np.array([index % 3])

    def __len__(self):
        return 6


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["lvvit_s", "t2t_vit_7", "deit_ti_distilled"])
def test_paddles_model_class_trains_and_evaluates_it(name):
    paddle.seed(0)
    sizes = TINY if name == "lvvit_s" else {"image_size": 16, "embed_dim": 8, "depth": 1, "num_heads": 2}
    network = getattr(ppim, name)(class_dim=3, **sizes)
    for mode in (network.train, network.eval):
        mode()
        assert network(paddle.zeros([2, 3, 16, 16])).shape == [2, 3]
    before = network.head.weight.numpy()
    model = paddle.Model(network)
    optimizer = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
    model.prepare(optimizer, paddle.nn.CrossEntropyLoss(), paddle.metric.Accuracy())
    model.fit(Noise(), batch_size=3, epochs=1, verbose=0, num_workers=0)
    assert not np.array_equal(network.head.weight.numpy(), before)
    result = model.evaluate(Noise(), batch_size=3, verbose=0, num_workers=0)
    assert np.isfinite(result["loss"]).all() and 0 <= result["acc"] <= 1


def test_paddles_hub_lists_and_loads_from_a_folder(tmp_path):
    script = f"""
import json, paddle
names = paddle.hub.list({str(ROOT)!r}, source='local')
model = paddle.hub.load({str(ROOT)!r}, 'lvvit_s', source='local', pretrained=False, class_dim=7, depth=1)
text = paddle.hub.help({str(ROOT)!r}, 'lvvit_s', source='local')
print(json.dumps([names, list(model(paddle.zeros([1, 3, 224, 224])).shape), text]))
"""
    done = run_python("-c", script, cwd=Path(tmp_path), env={"PYTHONPATH": "", "HOME": os.environ.get("HOME", "/")})
    assert done.returncode == 0, done.stderr
    names, shape, text = json.loads(done.stdout.splitlines()[-1])
    assert names == hub.NAMES and shape == [1, 7]
    assert "pretrained" in text and zoo.find("lvvit_s").download.url in text
