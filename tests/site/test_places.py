"""Links of pages as they lead on the site."""
import pytest

from tests.helpers import ROOT


@pytest.mark.parametrize(("path", "language", "written", "there"), [
    ("README.md", "en", "[a](docs/en/training.md#resume)", "[a](training.md#resume)"),
    ("README_cn.md", "cn", "[a](docs/cn/training.md#续训)", "[a](training.md#续训)"),
    ("docs/en/model_zoo/deit.md", "en", "![a](../../images/t2t_vit.png)", "![a](../images/t2t_vit.png)"),
    ("docs/en/model_zoo/deit.md", "en", "[a](../../../ppim/models/deit.py)", "[a](../files/ppim/models/deit.py.md)"),
    ("docs/en/training.md", "en", "[a](../../README.md#models)", "[a](index.md#models)"),
    ("docs/en/training.md", "en", "[a](#resume) [b](https://example.org/x.md)", "[a](#resume) [b](https://example.org/x.md)"),
    ("docs/en/training.md", "en", "```\n[a](../../README.md)\n```", "```\n[a](../../README.md)\n```"),
    ("README.md", "en", "[a](notebooks/1_quick_start.ipynb)", "[a](notebooks/1_quick_start.md)"),
    ("README.md", "en", "[docs/en/checks.md](docs/en/checks.md)", "[Mistakes that raise nothing](checks.md)"),
    # a page in English only, on the Chinese site
    ("data/README.md", "cn", "[a](../docs/en/training.md#photos)", "[a](training.md#照片)"),
    ("data/README.md", "en", "[a](../docs/en/training.md#photos)", "[a](training.md#photos)"),
])
def test_a_link_leads_to_the_same_thing_on_the_site(tool, path, language, written, there):
    assert tool("places").as_on_site(written, path, language) == there


@pytest.mark.parametrize(("language", "page"), [("en", "docs/en/demo.md"), ("cn", "docs/cn/demo.md")])
def test_a_page_loses_nothing_but_the_link_to_its_twin(tool, language, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tool("places").as_on_site(text, page, language).startswith("# ")
    assert tool("places").as_on_site(text, page, language).count("\n") == text.count("\n") - 2


def test_what_pages_link_to_in_the_repository_is_shown(tool):
    places = tool("places")
    shown = places.shown("en")
    assert {"LICENSE", "configs/lvvit", "configs/lvvit/lvvit_s.yaml", "ppim/models/deit.py"} <= set(shown)
    listed = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs" / "lvvit").iterdir()}
    assert listed <= set(shown)
    assert (ROOT / "configs/lvvit/lvvit_s.yaml").read_text(encoding="utf-8") in places.page_showing(
        "configs/lvvit/lvvit_s.yaml")
    assert "(lvvit/lvvit_s.yaml.md)" in places.page_showing("configs/lvvit")
    assert places.shown("cn") == shown


def test_no_file_of_the_site_is_called_as_another(tool):
    places = tool("places")
    for language in ("en", "cn"):
        found = [*places.pages(language), *(places.place_of(path, language) for path in places.shown(language))]
        assert len(found) == len(set(found))


@pytest.mark.parametrize(("language", "title", "left_out"), [("en", "# 1. Quick start", "快速"),
                                                             ("cn", "# 1. 快速上手", "Quick start")])
def test_a_notebook_is_a_page_in_each_language_with_the_same_code(tool, language, title, left_out):
    text = tool("headings").text_of("notebooks/1_quick_start.ipynb", language)
    assert text.startswith(f"{title}\n") and left_out not in text
    assert "```bash\nppim train -c lvvit_demo" in text and "in zip(axes, ppim.predict(" in text
    assert "(2_token_labels.md)" in tool("places").as_on_site(text, "notebooks/1_quick_start.ipynb", language)
