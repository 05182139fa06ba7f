"""Every recipe in configs/: it builds the model it names, with the published number of parameters, and it trains."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from yacs.config import CfgNode

from ppim.config import get_config
from ppim.config.keys import KEYS
from ppim.config.merge import merge_file, nested
from ppim.engine.command import run
from ppim.families import size_of
from ppim.models import build_model, changed_size, create_model, list_models
from ppim.weights import save_state
from tests.helpers import OWN_MODELS

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# segmenters have their own: tests/segment/test_recipes.py
RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("[!_]*/*.yaml")
                 if path.parent.name != "segment")
MODELS = {path: get_config(CONFIGS / path).MODEL.NAME for path in RECIPES}
PARAMETERS = {  # the tables of the papers and of their code, fixed tables included
    "lvvit_tiny": 8_534_720, "lvvit_s": 26_151_824, "lvvit_m": 55_830_544, "lvvit_l": 150_021_968,
    "lvvit_s_384": 26_297_744, "lvvit_m_384": 56_025_104, "lvvit_m_448": 56_131_600, "lvvit_l_448": 150_473_552,
    "lvvit_l_512": 150_657_872,
    "t2t_vit_7": 4_310_222, "t2t_vit_10": 5_889_230, "t2t_vit_12": 6_941_902, "t2t_vit_14": 21_545_550,
    "t2t_vit_19": 39_177_422, "t2t_vit_24": 64_105_934, "t2t_vit_t_14": 21_541_070, "t2t_vit_t_19": 39_172_942,
    "t2t_vit_t_24": 64_101_454, "t2t_vit_14_384": 21_691_470, "t2t_vit_14_resnext": 21_545_550,
    "t2t_vit_14_wide": 25_156_302,
    "t2t_vit_24_token_labeling": 64_105_934 + 380 * 512 + 513_000,  # 384 pixels, and the token head training needs
    "volo_d1": 26_632_040, "volo_d2": 58_678_336, "volo_d3": 86_325_072, "volo_d4": 192_961_520,
    "volo_d5": 295_455_584, "volo_d1_384": 26_777_960, "volo_d2_384": 58_872_896, "volo_d3_448": 86_626_128,
    "volo_d4_448": 193_413_104, "volo_d5_448": 295_907_168, "volo_d5_512": 296_091_488,
    "deit_tiny": 5_717_416, "deit_small": 22_050_664, "deit_base": 86_567_656,
    "deit_tiny_distilled": 5_910_800, "deit_small_distilled": 22_436_432,
    "deit_base_distilled": 87_338_192, "deit_base_384": 86_859_496,
    "deit_base_distilled_384": 87_338_192 + 380 * 768,
    # as timm counts them; DINOv2's without a head, their table of positions for 224 pixels (16 x 16 of 37 x 37 cells)
    "vit_tiny": 5_717_416, "vit_small": 22_050_664, "vit_base": 86_567_656, "vit_large": 304_326_632,
    "vit_small_32": 22_878_952, "vit_base_32": 88_224_232, "vit_tiny_384": 5_790_376, "vit_small_384": 22_196_584,
    "vit_base_384": 86_859_496, "vit_large_384": 304_715_752, "vit_small_32_384": 22_915_432,
    "vit_base_32_384": 88_297_192,
    "deit3_small": 22_059_496, "deit3_medium": 38_849_512, "deit3_base": 86_585_320, "deit3_large": 304_374_760,
    "deit3_huge": 632_126_440, "deit3_small_384": 22_205_416, "deit3_base_384": 86_877_160,
    "deit3_large_384": 304_763_880,
    "dinov2_small": 22_056_192 - 1113 * 384, "dinov2_base": 86_579_712 - 1113 * 768,
    "dinov2_large": 304_367_616 - 1113 * 1024,
    # and the class token's position, which timm adds to the token
    "dinov2_small_reg": 22_057_344 - 1112 * 384, "dinov2_base_reg": 86_582_016 - 1112 * 768,
    "dinov2_large_reg": 304_370_688 - 1112 * 1024,
}


def recipe_of(name: str) -> Path:
    return CONFIGS / next(path for path, model in MODELS.items() if model == name)


def test_every_published_model_has_a_recipe():
    named = set(MODELS.values())
    assert set(PARAMETERS) <= named <= set(list_models())
    families = ("lvvit", "t2t", "deit", "vit", "dinov2", "volo")
    assert {name for name in list_models() if name.startswith(families)} - OWN_MODELS == set(PARAMETERS)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_recipe_builds_the_published_number_of_parameters(name):
    with paddle.LazyGuard():  # shapes without storage
        model = build_model(get_config(recipe_of(name)))
    statistics = ("._mean", "._variance")
    sizes = [int(np.prod(p.shape)) for key, p in model.named_parameters() if not key.endswith(statistics)]
    assert sum(sizes) == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_recipe_and_a_name_mean_the_same_model(name):
    size = get_config(recipe_of(name)).DATA.IMAGE_SIZE  # DINOv2's recipes resize the table of positions
    blocks = ("LAYERS", [1, 1, 1, 1]) if name.startswith("volo") else ("DEPTH", 1)
    with paddle.LazyGuard():
        described = build_model(get_config(recipe_of(name), [f"MODEL.TRANS.{blocks[0]}", str(blocks[1])]))
        named = create_model(name, **{blocks[0].lower(): blocks[1]}, image_size=size,
                             **({"dense_head": True} if name == "t2t_vit_24_token_labeling" else {}))
    here, there = ({key: value.shape for key, value in model.state_dict().items()} for model in (described, named))
    assert here == there and type(described) is type(named)
    a, b = described.blocks[-1], named.blocks[-1]
    assert (a.attn.num_heads, a.attn.scale, a.skip_lam, a.norm1._epsilon) == (
        b.attn.num_heads, b.attn.scale, b.skip_lam, b.norm1._epsilon,
    )


@pytest.mark.parametrize("path", RECIPES)
def test_a_mix_is_drawn_for_the_images_of_one_process_of_the_recipe(path):
    processes, images = re.search(r"# Batch: +(\d+) x (\d+) images", (CONFIGS / path).read_text()).groups()
    group = get_config(CONFIGS / path).MIX.GROUP
    assert group == int(images) if int(processes) > 1 else group >= int(images)


def entries(content: dict, section: str = ""):
    """(key, value) of all that a yaml file says."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from entries(value, f"{section}{name}.")
        else:
            yield section + name, value


@pytest.mark.parametrize("path", sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("*/*.yaml")))
def test_no_entry_says_what_holds_without_it(path):
    """But for the name: a recipe names its model."""
    content = yaml.safe_load((CONFIGS / path).read_text(encoding="utf-8"))
    below = CfgNode(nested({key: row.default for key, row in KEYS.items()}))
    for base in content.pop("BASE", ()):
        merge_file(below, (CONFIGS / path).parent / base)
    there = dict(entries(below))
    said = {key: KEYS[key].read(value) for key, value in entries(content) if key != "MODEL.NAME"}
    assert [key for key, value in said.items() if there[key] == value] == []


@pytest.mark.parametrize("path", RECIPES)
def test_a_recipe_says_nothing_about_its_models_size_but_what_differs(path):
    config = get_config(CONFIGS / path)
    said = [f"MODEL.TRANS.{key}" for key, value in config.MODEL.TRANS.items() if value is not None]
    said += ["MODEL.DISTILLED"] * (config.MODEL.DISTILLED is not None)
    assert set(said) == {key for key, _, _ in changed_size(config)}


def tiny(path: str, tiny_data: Path, folder: Path) -> list[str]:
    """Overrides that leave a recipe as it is but for its size, its data and its length."""
    config = get_config(CONFIGS / path)
    size = size_of(config.MODEL.NAME, config.MODEL.TRANS)
    side = 64 if config.MODEL.TYPE == "paddle_vision" else 2 * size.get("patch_size", 16)
    blocks = {"DEPTH": 2, "EMBED_DIM": 4 * size.get("num_heads", 1)}
    if config.MODEL.TYPE == "VOLO":
        blocks = {"LAYERS": [1, 1, 1, 1], "EMBED_DIM": 16, "NUM_HEADS": 2, "OUTLOOK_HEADS": 2}
    options = {
        "DATA.DATA_PATH": tiny_data, "TOKEN_LABEL.PATH": tiny_data / "maps", "SAVE": folder, "MODEL.NUM_CLASSES": 3,
        "DATA.BATCH_SIZE": 4, "DATA.BATCH_SIZE_EVAL": 4, "DATA.NUM_WORKERS": 0, "TRAIN.MAX_STEPS": 1,
        "DATA.IMAGE_SIZE": side, **{f"MODEL.TRANS.{key}": value for key, value in blocks.items()},
        "TOKEN_LABEL.TARGET": "released", "TOKEN_LABEL.VAL_PATH": "",
    }
    return [str(part) for pair in options.items() for part in pair]


def distinct() -> list[str]:
    """Of the many plain ViTs one of each kind, for they differ in size alone, which is made tiny anyway; of VOLO's one
    from scratch and one that fine-tunes."""
    kinds = {}
    for path in RECIPES:
        kinds.setdefault(MODELS[path].split("_")[0] if path.startswith("vit/") else path, path)
    return [path for path in kinds.values() if not path.startswith("volo") or path.startswith("volo/volo_d1")]


@pytest.mark.parametrize("path", distinct())
def test_a_recipe_trains_one_tiny_step(path, tiny_data, tmp_path):
    result = run(str(CONFIGS / path), tiny(path, tiny_data, tmp_path / "run"))
    assert result.count == 11 and np.isfinite(result.loss)
    assert (tmp_path / "run" / "last.pdparams").is_file()


@pytest.mark.parametrize("path", ["lvvit/lvvit_tiny.yaml", "t2t_vit/t2t_vit_7.yaml", "deit/deit_tiny_distilled.yaml",
                                  "volo/volo_d1.yaml"])
def test_one_command_fine_tunes_at_another_size_on_other_classes(path, tiny_data, tmp_path, capsys):
    options = [*tiny(path, tiny_data, tmp_path / "run"), "TOKEN_LABEL.ENABLE", "False"]
    source = build_model(get_config(CONFIGS / path, [*options, "MODEL.NUM_CLASSES", "7"]))
    save_state(source.state_dict(), tmp_path / "source.pdparams")
    side = str(2 * source.image_size[0])
    run(str(CONFIGS / path), [*options, "DATA.IMAGE_SIZE", side, "MODEL.PRETRAINED", str(tmp_path / "source"),
                                 "MODEL.NEW_HEADS", "always"])
    said = capsys.readouterr().out
    assert "resized       1  pos_embed" in said
    assert "dropped" in said and "head.bias" in said
