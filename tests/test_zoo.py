"""The published models: facts as their pages state them, sizes by formulas of their own, pages that are up to date."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim import hub, zoo
from ppim.config import get_config
from ppim.macs import count_macs, count_parameters, split_macs
from ppim.models import create_model, deit, lvvit, normalise_name, t2t_vit
from tests.conftest import ROOT, SHARED, _present, run_python
from tests.test_docs import code_blocks, headings, links, tables

GENERATED = sorted((ROOT / "docs" / "en" / "model_zoo").glob("*.md"))
each_page = pytest.mark.parametrize("page", GENERATED, ids=[page.stem for page in GENERATED])
each_row = pytest.mark.parametrize("row", zoo.ROWS, ids=[row.name for row in zoo.ROWS])


# ---- sizes, by formulas that share no code with the models ----------------------------------------------------------


def body(tokens: int, depth: int, dim: int, ratio: float, bias: bool) -> tuple:
    """(parameters, MACs of layers, MACs inside attention) of the blocks and the last norm."""
    hidden = int(dim * ratio)
    matrices = 3 * dim * dim + dim * dim + 2 * dim * hidden
    vectors = (3 * dim if bias else 0) + dim + 4 * dim + hidden + dim
    return depth * (matrices + vectors) + 2 * dim, depth * tokens * matrices, depth * 2 * tokens * tokens * dim


def lvvit_size(size, depth, dim, stem=64) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + 1, depth, dim, 3, False)
    convolutions = 3 * 49 * stem + 2 * 9 * stem * stem
    patch = stem * 8 * 8 * dim
    parameters += convolutions + 3 * 2 * stem + patch + dim + dim + (n + 1) * dim + 2 * (dim + 1) * 1000
    return parameters, layers + (size // 2) ** 2 * convolutions + n * patch + (n + 1) * dim * 1000, attention


def deit_size(size, dim, extra=1) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + extra, 12, dim, 4, True)
    parameters += 768 * dim + dim + extra * dim + (n + extra) * dim + extra * (dim + 1) * 1000
    return parameters, layers + n * 768 * dim + extra * dim * 1000, attention


def t2t_size(size, depth, dim, ratio, performer=True) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + 1, depth, dim, ratio, False)
    for wide, tokens in ((147, (size // 4) ** 2), (576, (size // 8) ** 2)):
        parameters += 2 * wide + wide * 192 + 3 * (64 * 64 + 64) + 2 * 64 + (192 + 32 * 64 if performer else 0)
        layers += tokens * (wide * 192 + 3 * 64 * 64)
        attention += tokens * (2 * 64 * 32 + 2 * 32 * 64 + 32) if performer else 2 * tokens * tokens * 64
    parameters += 576 * dim + dim + dim + (n + 1) * dim + (dim + 1) * 1000
    return parameters, layers + n * 576 * dim + dim * 1000, attention


SIZES = {
    "lvvit_t": lvvit_size(224, 12, 240), "lvvit_s": lvvit_size(224, 16, 384), "lvvit_m": lvvit_size(224, 20, 512),
    "lvvit_l": lvvit_size(224, 24, 768, 128), "lvvit_s_384": lvvit_size(384, 16, 384),
    "lvvit_m_384": lvvit_size(384, 20, 512), "lvvit_m_448": lvvit_size(448, 20, 512),
    "lvvit_l_448": lvvit_size(448, 24, 768, 128), "lvvit_l_512": lvvit_size(512, 24, 768, 128),
    "t2t_vit_7": t2t_size(224, 7, 256, 2), "t2t_vit_10": t2t_size(224, 10, 256, 2),
    "t2t_vit_12": t2t_size(224, 12, 256, 2), "t2t_vit_14": t2t_size(224, 14, 384, 3),
    "t2t_vit_19": t2t_size(224, 19, 448, 3), "t2t_vit_24": t2t_size(224, 24, 512, 3),
    "t2t_vit_t_14": t2t_size(224, 14, 384, 3, False), "t2t_vit_t_19": t2t_size(224, 19, 448, 3, False),
    "t2t_vit_t_24": t2t_size(224, 24, 512, 3, False), "t2t_vit_14_384": t2t_size(384, 14, 384, 3),
    "t2t_vit_14_resnext": t2t_size(224, 14, 384, 3), "t2t_vit_14_wide": t2t_size(224, 4, 768, 3),
    "t2t_vit_24_token_labeling": t2t_size(384, 24, 512, 3),
    "deit_tiny_patch16_224": deit_size(224, 192), "deit_small_patch16_224": deit_size(224, 384),
    "deit_base_patch16_224": deit_size(224, 768), "deit_tiny_distilled_patch16_224": deit_size(224, 192, 2),
    "deit_small_distilled_patch16_224": deit_size(224, 384, 2),
    "deit_base_distilled_patch16_224": deit_size(224, 768, 2), "deit_base_patch16_384": deit_size(384, 768),
    "deit_base_distilled_patch16_384": deit_size(384, 768, 2),
}  # fmt: skip
SMALL = [name for name, (_, layers, _) in SIZES.items() if layers < 5e9]
PUBLISHED_PARAMETERS = {  # as the papers' code counts them
    "lvvit_t": 8_534_720, "lvvit_s": 26_151_824, "lvvit_m": 55_830_544, "lvvit_l": 150_021_968,
    "lvvit_s_384": 26_297_744, "lvvit_m_384": 56_025_104, "lvvit_m_448": 56_131_600, "lvvit_l_448": 150_473_552,
    "lvvit_l_512": 150_657_872, "t2t_vit_7": 4_310_222, "t2t_vit_10": 5_889_230, "t2t_vit_12": 6_941_902,
    "t2t_vit_14": 21_545_550, "t2t_vit_19": 39_177_422, "t2t_vit_24": 64_105_934, "t2t_vit_t_14": 21_541_070,
    "t2t_vit_t_19": 39_172_942, "t2t_vit_t_24": 64_101_454, "t2t_vit_14_384": 21_691_470,
    "t2t_vit_14_resnext": 21_545_550, "t2t_vit_14_wide": 25_156_302, "deit_tiny_patch16_224": 5_717_416,
    "deit_small_patch16_224": 22_050_664, "deit_base_patch16_224": 86_567_656,
    "deit_tiny_distilled_patch16_224": 5_910_800, "deit_small_distilled_patch16_224": 22_436_432,
    "deit_base_distilled_patch16_224": 87_338_192, "deit_base_patch16_384": 86_859_496,
}  # fmt: skip


def test_every_published_variant_has_a_row():
    own = {"lvvit_demo", "lvvit_cifar10"}
    variants = {*lvvit.VARIANTS, *t2t_vit.VARIANTS, *deit.VARIANTS} - own
    assert {row.name for row in zoo.ROWS} == variants == set(zoo.counts()) == set(SIZES)
    assert len(zoo.ROWS) == len(variants)
    assert all(normalise_name(row.alias) == row.name for row in zoo.ROWS if row.alias)


@each_row
def test_the_stored_counts_follow_the_formulas(row):
    parameters, layers, attention = SIZES[row.name]
    stored = {"parameters": parameters, "macs": layers + attention, "attention_macs": attention}
    assert zoo.counts()[row.name] == stored


def test_the_parameters_are_the_published_ones():
    counts = zoo.counts()
    assert {name: counts[name]["parameters"] for name in PUBLISHED_PARAMETERS} == PUBLISHED_PARAMETERS


@pytest.mark.parametrize("name", SMALL)
def test_the_stored_counts_are_those_of_the_model(name):
    model = create_model(name)
    layers, attention = split_macs(model)
    stored = zoo.counts()[name]
    assert (layers + attention, attention) == (stored["macs"], stored["attention_macs"])
    assert count_parameters(model) == stored["parameters"] and model.image_size == (zoo.find(name).image_size,) * 2


@pytest.mark.smoke
def test_counting_leaves_no_trace_and_follows_the_image():
    model = create_model("lvvit_t", depth=2, image_size=(32, 64))
    first, layers = count_macs(model), len(model.sublayers())
    assert count_macs(model) == first == sum(split_macs(model)) and len(model.sublayers()) == layers
    assert not any(layer._forward_post_hooks for layer in model.sublayers())
    # 8 tokens and the class token: 2 blocks of 2 * 9 * 9 * 240
    assert split_macs(model)[1] == 2 * 2 * 9 * 9 * 240


def test_a_grouped_convolution_counts_its_own_channels_only():
    class Grouped(paddle.nn.Layer):
        image_size = (8, 8)

        def __init__(self):
            super().__init__()
            self.conv = paddle.nn.Conv2D(3, 6, 3, padding=1, groups=3)

        def forward(self, x):
            return self.conv(x)

    assert count_macs(Grouped()) == 8 * 8 * 6 * 9


@each_row
def test_published_macs_fit_the_count_as_the_row_says(row):
    counts = zoo.counts()[row.name]
    with_attention, without = counts["macs"] / 1e9, (counts["macs"] - counts["attention_macs"]) / 1e9

    def fits(giga, counted, within=0.02):
        return abs(giga - counted) <= max(within * counted, 0.051)  # or rounding to one decimal

    for macs in row.macs:
        if macs.attention is None:
            assert not fits(macs.giga, with_attention) and not fits(macs.giga, without)
        elif macs.attention:
            assert fits(macs.giga, with_attention)
        else:
            # the tool behind these tables counts norms and softmax besides
            assert fits(macs.giga, without, within=0.025)
            assert abs(macs.giga - without) < abs(macs.giga - with_attention)


# ---- facts, against the pages they come from -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds() -> str:
    folder = _present(SHARED / "seeds", "published pages")
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt")))


def cells(text: str, name: str) -> list:
    """Of the one row of a table that is about the model `name`."""
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if re.match(rf"\|[^|]*\|\s*{name}\s*\||\|\s*{name}\s*\|", line)]
    assert len(found) == 1, name
    return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.parametrize("name", ["lvvit_s", "lvvit_m", "lvvit_s_384", "lvvit_m_384", "lvvit_m_448", "lvvit_l_448"])
def test_ppims_figures_and_link_stand_as_on_its_page(name, seeds):
    _, _, _, macs, top1, top5, _ = cells(seeds, name)
    row = zoo.find(name)
    assert zoo.Accuracy("PPIM", float(top1), float(top5)) in row.accuracy
    assert row.macs[0].giga == float(macs) and row.download.source == "PPIM"
    assert f"[{name}]:{row.download.url}" in seeds.splitlines()


@pytest.mark.parametrize("name", [row.name for row in zoo.ROWS if any("PaddleViT" in f.source for f in row.files)])
def test_paddlevits_figures_and_links_stand_as_in_its_table(name, seeds):
    _, top1, top5, _, macs, size, crop_pct, interpolation, link = cells(seeds, name)
    row = zoo.find(name)
    assert zoo.Accuracy("PaddleViT", float(top1), float(top5)) in row.accuracy
    assert next(found.giga for found in row.macs if found.source == "PaddleViT") == float(macs.rstrip("G"))
    assert (row.image_size, row.crop_pct, row.interpolation) == (int(size), float(crop_pct), interpolation)
    google, baidu = (file for file in row.files if file.source.startswith("PaddleViT"))
    assert link == f"[google]({google.url})/[baidu]({baidu.url})({baidu.code})"


def test_all_ten_of_paddlevits_rows_are_here():
    assert sum(any(accuracy.source == "PaddleViT" for accuracy in row.accuracy) for row in zoo.ROWS) == 10


@pytest.mark.parametrize(
    ("name", "top1"), [("S", 83.3), ("S", 84.4), ("M", 84.0), ("M", 85.4), ("M", 85.5), ("L", 86.2)]
)
def test_the_originals_figures_stand_as_in_its_table(name, top1, seeds):
    found = re.findall(rf"\| LV-ViT-{name} +\| \d+ +\| \d+ +\| +(\d+) +\| +[\d.]+M \| +{top1} \|", seeds)
    rows = [row for row in zoo.ROWS if zoo.Accuracy("original", top1) in row.accuracy and row.family == "LV-ViT"]
    assert [(row.name.split("_")[1], str(row.image_size)) for row in rows] == [(name.lower(), found[0])]


@pytest.fixture(scope="module")
def recipes() -> list:
    """The recipes' (model, section DATA), those for another data set left out."""
    found = [get_config(path) for path in sorted((ROOT / "configs").glob("[!_]*/*.yaml"))]
    return [(normalise_name(r.MODEL.NAME), r.DATA) for r in found if r.MODEL.NUM_CLASSES == zoo.CLASSES]


@each_row
def test_the_view_is_the_recipes(row, recipes):
    views = {(data.IMAGE_SIZE, data.CROP_PCT, data.INTERPOLATION) for name, data in recipes if name == row.name}
    assert views == {(row.image_size, row.crop_pct, row.interpolation)}


@each_row
def test_links_and_figures_are_plausible(row):
    assert all(re.fullmatch(r"https://[^\s()]+", file.url) for file in row.files)
    assert all(60 < a.top1 < 100 and (a.top5 is None or a.top1 < a.top5 < 100) for a in row.accuracy)
    # sources measured the same weights, or a port of them
    top1 = [accuracy.top1 for accuracy in row.accuracy]
    assert not top1 or max(top1) - min(top1) < 0.3


def test_no_link_stands_for_two_models_unless_it_was_published_so():
    urls = [file.url for row in zoo.ROWS for file in row.files]
    assert {url for url in urls if urls.count(url) > 1} == {"https://pan.baidu.com/s/1Hpyc5hBYo1zqoXWpryegnw"}


# ---- the command ---------------------------------------------------------------------------------------------------


def ppim_models(*words: str) -> subprocess.CompletedProcess:
    return run_python("-c", "import sys; from ppim.cli import main; sys.exit(main())", "models", *words)


def test_the_command_prints_one_json_array_of_all_rows():
    done = ppim_models("--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and [row["name"] for row in rows] == [row.name for row in zoo.ROWS]
    small = next(row for row in rows if row["name"] == "lvvit_s")
    assert (small["parameters"], round(small["macs"] / 1e9, 2), small["image_size"]) == (26_151_824, 6.55, 224)
    assert small["published"]["note"] == "published, not re-measured"
    assert small["weights"][0]["downloaded_by_pretrained"] and small["weights"][0]["url"].startswith("https://bj.bcebos")


def test_the_command_prints_a_table_of_what_matches():
    done = ppim_models("LV-ViT-M")
    lines = [line for line in done.stdout.splitlines() if line.startswith("lvvit")]
    assert [line.split()[0] for line in lines] == ["lvvit_m", "lvvit_m_384", "lvvit_m_448"]
    assert "16.0?" in lines[0] and "55,830,544" in lines[0] and "83.88 / 96.05" in lines[0]
    assert "published, not re-measured" in done.stdout
    assert [line.split()[0] for line in ppim_models("deit_b_dist").stdout.splitlines() if line.startswith("deit")] == [
        "deit_base_distilled_patch16_224", "deit_base_distilled_patch16_384"]  # fmt: skip


def test_the_command_says_when_nothing_matches():
    done = ppim_models("resnet")
    assert done.returncode == 1 and "resnet" in done.stderr and len(done.stderr.splitlines()) == 1


# ---- the pages -----------------------------------------------------------------------------------------------------


def check(root: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, root / "tools" / "generate_model_zoo.py", "--check"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_pages_are_up_to_date():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_names_stale_and_missing_pages(tmp_path):
    for part in ("ppim/__init__.py", "ppim/threads.py", "ppim/mkl.py", "ppim/files.py", "ppim/zoo.py",
                 "ppim/dialects.py", "ppim/zoo_command.py", "ppim/zoo_counts.json", "tools/generate_model_zoo.py"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    for language in ("en", "cn"):
        shutil.copytree(ROOT / "docs" / language, tmp_path / "docs" / language)
    assert check(tmp_path).returncode == 0
    facts = tmp_path / "ppim" / "zoo.py"
    facts.write_text(facts.read_text(encoding="utf-8").replace("83.17, 95.87", "93.17, 95.87"), encoding="utf-8")
    (tmp_path / "docs" / "cn" / "model_zoo" / "deit.md").unlink()
    done = check(tmp_path)
    assert done.returncode == 1
    assert set(re.findall(r"docs/\w+/model_zoo/\w+\.md", done.stdout)) == {
        "docs/en/model_zoo/lvvit.md", "docs/cn/model_zoo/lvvit.md", "docs/cn/model_zoo/deit.md"}  # fmt: skip


@each_page
def test_both_languages_say_the_same(page):
    chinese = ROOT / "docs" / "cn" / "model_zoo" / page.name
    assert [level for level, _ in headings(chinese)] == [level for level, _ in headings(page)]
    assert code_blocks(chinese) == code_blocks(page)

    def values(of):
        return [[re.findall(r"\d[\d.,]*|`[^`]+`", cell) for cell in row] for row in tables(of)[1:]]

    assert [row for row in values(chinese) if any(row)] == [row for row in values(page) if any(row)]

    def targets(of):
        return [link for link in links(of) if "/model_zoo/" not in link]

    assert targets(chinese) == targets(page)
    assert re.search("[\u4e00-\u9fff]", chinese.read_text(encoding="utf-8"))


@each_page
def test_a_page_holds_every_model_of_its_family_and_links_that_lead_somewhere(page):
    for one in (page, ROOT / "docs" / "cn" / "model_zoo" / page.name):
        local = [link for link in links(one) if not link.startswith("https://")]
        assert len(local) == 2 and all((one.parent / link).is_file() for link in local)
    family = {"lvvit": "LV-ViT", "t2t_vit": "T2T-ViT", "deit": "DeiT"}[page.stem]
    rows = [row for row in zoo.ROWS if row.family == family]
    named = [row[0].strip("`") for row in tables(page) if row[0].startswith("`")]
    assert named == [row.name for row in rows] * 2
    assert set(links(page)) >= {file.url for row in rows for file in row.files}


@each_page
def test_the_code_of_a_page_is_what_the_package_does(page):
    (_, example), (_, view), _ = code_blocks(page)
    name = re.search(r"from ppim import (\w+)", example)[1]
    family = zoo.find(name).family
    assert name in hub.NAMES and zoo.find(name).download and "pretrained=True" in example
    compile(example, page.name, "exec")
    scope: dict = {}
    exec(view, scope)  # the last of the view's transforms, those of the largest images
    size = max(row.image_size for row in zoo.ROWS if row.download and row.family == family)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8))
    ours = hub.evaluation_transforms((size, size))(picture)
    assert np.array_equal(scope["transforms"](picture).numpy(), ours.numpy())
