"""What the pages promise: files that exist, keys and options that are accepted, commands that parse, one text in two
languages."""
import ast
import functools
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import ppim
from ppim import config, zoo
from ppim.commands.labels import make_parser
from ppim.commands.models import accuracy_text
from ppim.commands.train import train_parser
from ppim.dialects import translate
from ppim.names import normalise_name
from tests.helpers import ROOT, flat, run_python
from tests.pages import code_blocks, headings, links, prose, tables

ENGLISH, CHINESE = ROOT / "docs" / "en", ROOT / "docs" / "cn"
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data" / "README.md"])
PAIRS = [(ROOT / "README_cn.md", ROOT / "README.md"),
         *((CHINESE / page.relative_to(ENGLISH), page) for page in PAGES if ENGLISH in page.parents)]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
TOOLS = [ROOT / "tools" / name for name in ("train.py", "generate_labels.py", "draw_token_labels_figure.py")]

LABEL_DATA = [
    *(f"wget https://passl.bj.bcebos.com/vision_transformers/TokenLabeling/label_top5_train_nfnet.tgz.0{part}"
      for part in range(7)),
    "cat label_top5_train_nfnet.tgz.0* > label_top5_train_nfnet.tgz",
    "tar -zxvf label_top5_train_nfnet.tgz",
    "cd data",
    "ln -s /path/to/label_top5_train_nfnet/ label_top5_train_nfnet",
    'python -m paddle.distributed.launch --gpus="0,1,2,3,4,5,6,7" tools/train.py -c configs/lvvit/lvvit_tiny.yaml',
    "python tools/train.py -c configs/lvvit/lvvit_tiny.yaml --load ${LVViT_WEGHT_FILE} --evaluate-only",
]

each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)
each_pair = pytest.mark.parametrize(("chinese", "english"), PAIRS, ids=[english.stem for _, english in PAIRS])


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(page: Path) -> list:
    """Lines of the shell blocks."""
    return [line for language, text in code_blocks(page) if language == "bash" for line in text.splitlines() if line]


KEYS = flat(config.get_config())


@functools.cache
def help_of(tool: Path) -> str:
    done = run_python(tool, "--help")
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- one text in two languages -------------------------------------------------------------------------------------


def test_every_page_stands_under_the_same_name_in_both_languages():
    english, chinese = ({path.relative_to(folder).as_posix() for path in folder.rglob("*")}
                        for folder in (ENGLISH, CHINESE))
    assert "training.md" in english and english == chinese
    assert {page.name for page in ROOT.glob("docs/*.md")} == {"architecture.md"}  # English only


@each_pair
def test_a_page_is_in_its_language_and_begins_with_a_link_to_its_twin(chinese, english):
    for page, twin, head in ((english, chinese, r"English \| \[简体中文\]\((\S+)\)"),
                             (chinese, english, r"简体中文 \| \[English\]\((\S+)\)")):
        first = re.fullmatch(head, page.read_text(encoding="utf-8").splitlines()[0])
        assert first and (page.parent / first[1]).resolve() == twin
    texts = [re.sub(r"\]\(\S+\)", "", prose(page)) for page in (english, chinese)]
    share = [len(re.findall("[\u4e00-\u9fff]", text)) / len(text) for text in texts]
    assert share[0] < 0.01 and share[1] > 0.05


def in_english(page: Path, link: str) -> str:
    """Where a link leads, as a path from the root; a Chinese page stands for its twin."""
    path = link.partition("#")[0]
    if not path or path.startswith("https://"):
        return path
    path = (page.parent / path).resolve().relative_to(ROOT).as_posix()
    return path.replace("docs/cn/", "docs/en/").replace("README_cn.md", "README.md")


@each_pair
def test_both_languages_have_the_same_headings(chinese, english):
    assert [level for level, _ in headings(chinese)] == [level for level, _ in headings(english)]


@each_pair
def test_both_languages_have_the_same_code(chinese, english):
    assert code_blocks(chinese) == code_blocks(english)


@each_pair
def test_both_languages_have_the_same_tables(chinese, english):
    ours, theirs = tables(chinese), tables(english)
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    for row, other in zip(ours, theirs):
        numbers, others = ([sorted(re.findall(r"\d[\d.,]*\d|\d", cell)) for cell in cells] for cells in (row, other))
        assert numbers == others, (row, other)


@each_pair
def test_both_languages_name_the_same_keys_and_code(chinese, english):
    def named(page):
        return {name for name in re.findall(r"`([^`\n]+)`", prose(page)) if name.isascii() and "<" not in name}

    assert named(chinese) ^ named(english) == set()


@each_pair
def test_both_languages_link_to_the_same_pages(chinese, english):
    ours, theirs = ([in_english(page, link) for link in links(page)] for page in (chinese, english))
    assert sorted(ours) == sorted(theirs)
    for page, other in ((chinese, ENGLISH), (english, CHINESE)):
        places = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)[1:] if "://" not in link]
        assert [place for place in places if other in place.parents] == []


# ---- what is named exists ------------------------------------------------------------------------------------------


@each_page
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link} in {page.name}"
        if anchor:
            assert anchor in [slug(text) for _, text in headings(target)], f"{link} in {page.name}"


@each_page
def test_every_file_of_ours_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./-])(?:tools|configs|docs|ppim|tests)/[\w./-]+\.(?:py|yaml|md|png)", text, re.ASCII)
    missing = sorted({name for name in named if not (ROOT / name).is_file()})
    assert not missing, f"{page.name} names {missing}"


@each_page
def test_every_key_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w.])[A-Z][A-Z_]+(?:\.[A-Z][A-Z_]*)+(?![\w.]*\w)", text, re.ASCII))
    unknown = sorted(name for name in named if not any(f"{key}.".startswith(f"{name}.") for key in KEYS))
    assert not unknown, f"{page.name} names {unknown}"


@pytest.mark.parametrize("language", ["en", "cn"])
def test_every_key_is_documented_with_its_default(language):
    page = ROOT / "docs" / language / "training.md"
    rows = {row[0].strip("`"): row[1].strip("`") for row in tables(page) if len(row) == 3}
    assert set(KEYS) - set(rows) == set()
    for key, value in KEYS.items():
        text = rows[key].replace("4/3", repr(4 / 3))
        assert text.strip('"') == value if isinstance(value, str) else ast.literal_eval(text) == value, key


@pytest.mark.parametrize("name", ["README.md", "README_cn.md"])
def test_the_table_of_models_fits_the_recipes_and_the_zoo(name):
    rows = [row for row in tables(ROOT / name) if row[0].startswith("lvvit_")]
    assert [row[0] for row in rows] == ["lvvit_tiny", "lvvit_s", "lvvit_m"]
    for model, parameters, macs, size, top1, link in rows:
        recipe = config.get_config(ROOT / re.search(r"\((.+)\)", link)[1])
        assert (normalise_name(recipe.MODEL.NAME), str(recipe.DATA.IMAGE_SIZE)) == (model, size)
        counted = zoo.counts()[model]
        assert (f"{counted['parameters']:,}", f"{counted['macs'] / 1e9:.2f}") == (parameters, macs)
        assert accuracy_text(zoo.find(model), "original").split()[0] == top1


@pytest.mark.parametrize("name", ["README.md", "README_cn.md"])
def test_the_table_of_commands_is_that_of_the_command_line(name):
    rows = [[cell.strip("`") for cell in row] for row in tables(ROOT / name) if row[0].startswith("`ppim ")]
    listed = re.findall(r"^  (\S+(?: \S+)?)  ", run_python("-m", "ppim", "--help").stdout, re.MULTILINE)
    assert len(listed) > 5 and [row[0] for row in rows] == [f"ppim {command}" for command in listed]
    heads = {path.name: path.read_text(encoding="utf-8").partition("\n")[0] for path in ROOT.glob("tools/*.py")}
    scripts = {head.split("`")[1]: f"tools/{tool}" for tool, head in heads.items() if "` from a clone" in head}
    scripts["ppim evaluate"] = "tools/train.py --evaluate-only"
    assert {row[0]: row[1] for row in rows if row[1] != "-"} == scripts


# ---- what is typed is accepted -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "README_cn.md"])
def test_the_published_commands_stand_as_they_were_published(name):
    lines = commands(ROOT / name)
    assert [line for line in LABEL_DATA if line not in lines] == []


@each_page
def test_shell_commands_parse(page):
    for command in commands(page):
        done = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def in_our_spelling(arguments: str) -> list[str]:
    """What follows tools/train.py, with other projects' flags translated; a train line of ours comes out as it is."""
    return translate(shlex.split(arguments.partition(" > ")[0]), config.published_recipes()).argv


@each_page
def test_options_of_our_tools_are_theirs(page):
    for command in commands(page):
        for tool in TOOLS:
            _, found, arguments = command.partition(f"tools/{tool.name}")
            words = in_our_spelling(arguments) if tool.name == "train.py" else arguments.split()
            unknown = [word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)
                       and not re.search(rf"(?<![\w-]){word}(?![\w-])", help_of(tool))] if found else []
            assert not unknown, f"{unknown} in {command}"


@each_page
def test_recipes_and_keys_that_are_typed_make_a_configuration(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in commands(page):
        found = re.search(r"(tools/train|main_(?:tla|single_gpu|multi_gpu)|tools/generate_labels)\.py (.*)", command)
        if not found:
            continue
        if "generate_labels" in found[1]:
            args = make_parser().parse_args(shlex.split(found[2]))
        else:
            args = train_parser("ppim train").parse_args(in_our_spelling(found[2]))
        # weights that say themselves what they are of need none; one below output/ is left behind by an earlier command
        if args.config is None or not args.config.startswith("output/"):
            config.get_config(args.config, args.override)


@each_page
def test_python_examples_use_what_there_is(page):
    for language, text in code_blocks(page):
        if language == "python":
            found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
            names = {node.attr for node in found if isinstance(node.value, ast.Name) and node.value.id == "ppim"}
            assert [name for name in names if not hasattr(ppim, name)] == []


@each_page
def test_python_examples_import_ppim_before_paddle_for_the_sake_of_its_threads(page):
    for language, text in code_blocks(page):
        names = re.findall(r"^(?:import|from) (paddle|ppim)\b", text, re.MULTILINE) if language == "python" else []
        assert "ppim" not in names or names[0] == "ppim", text


def test_the_package_offers_every_make_target_that_is_named():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {target for page in PAGES for target in re.findall(r"\bmake ([a-z][a-z-]+)\b(?=`|$)",
                                                                  page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {"env", "demo"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
