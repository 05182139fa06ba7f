"""The pages of the model zoo are up to date, the same in both languages, and their code works."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppim import zoo
from ppim.families import facts
from ppim.zoo import hub
from tests.helpers import ROOT, run_python
from tests.pages import code_blocks, headings, links, tables

GENERATED = sorted((ROOT / "docs" / "en" / "model_zoo").glob("*.md"))
each_page = pytest.mark.parametrize("page", GENERATED, ids=[page.stem for page in GENERATED])


def check(root: Path) -> subprocess.CompletedProcess:
    return run_python(root / "tools" / "generate_model_zoo.py", "--check", cwd=root)


def test_the_pages_are_up_to_date():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_names_stale_and_missing_pages(tmp_path):
    """Without a single file that imports Paddle but those beside the families' data, which are not opened."""
    rooms = ["*.py", "commands/__init__.py", "commands/models.py", "config/*.py", "dialects/*.py"]
    files = [path.relative_to(ROOT) for room in rooms for path in (ROOT / "ppim").glob(room)]
    files += [f"ppim/zoo/{name}" for name in ("__init__.py", "rows.py", "departures.py", "download.py", "counts.json")]
    pairs = [path.relative_to(ROOT) for path in (ROOT / "ppim" / "models").glob("*.*")]
    for part in ("tools/generate_model_zoo.py", *files, *pairs):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    for language in ("en", "cn"):
        shutil.copytree(ROOT / "docs" / language, tmp_path / "docs" / language)
    assert check(tmp_path).returncode == 0
    facts = tmp_path / "ppim" / "models" / "lvvit.yaml"
    facts.write_text(facts.read_text(encoding="utf-8").replace("top1: 83.17", "top1: 93.17"), encoding="utf-8")
    (tmp_path / "docs" / "cn" / "model_zoo" / "deit.md").unlink()
    done = check(tmp_path)
    assert done.returncode == 1
    assert set(re.findall(r"docs/\w+/model_zoo/\w+\.md", done.stdout)) == {
        "docs/en/model_zoo/lvvit.md", "docs/cn/model_zoo/lvvit.md", "docs/cn/model_zoo/deit.md"}


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
        others = 2 + (page.stem == "lvvit")  # and the page on segmentation
        assert len([link for link in local if not link.endswith(".png")]) == others
        assert all((one.parent / link).is_file() for link in local)
    rows = [row for row in zoo.ROWS if row.family == facts()[page.stem].type]
    named = [row[0].strip("`") for row in tables(page) if row[0].startswith("`")]
    assert named[:len(rows)] == [row.name for row in rows]
    files = [row.name if row.as_ppim else file.name for row in rows for file in (row.files if not row.as_ppim else [0])]
    held = facts()[page.stem].page.get("parity", {"table": ""})["table"].count("\n| `")  # against timm's
    assert len(named) == len(rows) + len(files) + held
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
    shown = [row for row in zoo.ROWS if row.family == family and any(file.is_paddle for file in row.files)]
    size = max((row.image_size for row in shown), default=zoo.find(name).image_size)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8))
    ours = hub.evaluation_transforms((size, size), zoo.find(name))(picture)
    assert np.array_equal(scope["transforms"](picture).numpy(), ours.numpy())
