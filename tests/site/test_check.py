"""A built site with something planted: every dead link and every thing from another host is named."""
import json

import pytest

PAGE = """<html><head><link rel="stylesheet" href="a.css"></head><body><h1 id="top">a</h1>
<a href="sub/b.html#%E7%BB%AD">b</a> <a href="#top">up</a>
<a href="https://example.org/">elsewhere</a> {}</body></html>"""


@pytest.fixture
def site(tmp_path):
    """Two sound pages; write(text) adds to the first."""
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "a.css").write_text("p { color: red }")
    (site / "sub" / "b.html").write_text('<h1 id="续">b</h1><a href="../a.html">a</a>', encoding="utf-8")
    (tmp_path / "outside.html").write_text("beside the site")

    def write(text=""):
        (site / "a.html").write_text(PAGE.format(text), encoding="utf-8")
        return site
    return write


def test_a_sound_site_has_no_faults(tool, site, capsys):
    assert tool("check").faults(site()) == []
    assert tool("check").main(site()) == 0 and "0 faults in 2 pages" in capsys.readouterr().out


@pytest.mark.parametrize(("planted", "words"), [
    ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
    ('<a href="sub/b.html#gone">x</a>', "sub/b.html#gone leads nowhere"),
    ('<a href="#gone">x</a>', "#gone leads nowhere"),
    ('<a href="../outside.html">x</a>', "../outside.html leads nowhere"),
    ('<img src="gone.png">', "gone.png leads nowhere"),
    ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js from another host"),
    ('<img src="//example.org/x.png">', "loads //example.org/x.png from another host"),
    ('<link rel="preconnect" href="https://example.org">', "loads https://example.org from another host"),
])
def test_what_is_planted_is_named(tool, site, capsys, planted, words):
    tool("check")._read.cache_clear()
    (fault,) = tool("check").faults(site(planted))
    assert fault == f"a.html: {words}"
    assert tool("check").main(site(planted)) == 1 and words in capsys.readouterr().out


def test_a_font_from_another_host_is_named(tool, site):
    (site() / "a.css").write_text("@font-face { src: url('https://example.org/f.woff2') }")
    (fault,) = tool("check").faults(site())
    assert fault == "a.css: loads https://example.org/f.woff2 from another host"


@pytest.mark.parametrize(("text", "count"), [("这是一段没有分开词语的中文文字用来检查搜索的索引是否正常", 1),
                                             ("这是\u200b一段\u200b分开\u200b词语\u200b的中文", 0), ("in English", 0)])
def test_an_index_in_which_chinese_words_are_one_is_named(tool, site, text, count):
    (site() / "search_index.json").write_text(json.dumps({"docs": [{"text": text}]}), encoding="utf-8")
    assert [fault.partition(":")[0] for fault in tool("check").faults(site())] == ["search_index.json"] * count


def test_a_site_without_pages_is_none(tool, tmp_path):
    assert tool("check").main(tmp_path) == 1
