"""The rows of keys: none contradicts itself, and the pages say what stands above them."""
import re
import shutil

import pytest
import yaml

from ppim.config.keys import KEYS
from ppim.config.row import key
from tests.helpers import ROOT, run_python

each_row = pytest.mark.parametrize("row", KEYS.values(), ids=KEYS)


@each_row
def test_a_default_is_a_value_that_the_row_allows(row):
    read = row.read(row.default)
    assert read == row.default and type(read) is type(row.default)


@each_row
def test_every_choice_means_itself_to_yaml(row):
    assert [word for word in row.choices if yaml.safe_load(word) != word or row.read(word) != word] == []


@each_row
def test_what_a_word_is_also_read_as_is_a_value(row):
    for word, value in row.also.items():
        assert word == word.lower() and row.read(word) == value == row.read(value)


def test_a_row_whose_default_is_none_takes_none_and_one_kind_within_its_bounds():
    row = key(None, or_=int, least=1)
    assert [row.read(value) for value in (None, "None", "~", 3, 4.0)] == [None, None, None, 3, 4]
    for value, words in ((0, "wants at least 1 or None; got 0"), ("many", "a whole number or None, got 'many'"),
                         (2.5, "a whole number or None, got 2.5"), (True, "a whole number or None, got True")):
        with pytest.raises(ValueError, match=words):
            row.read(value)


def test_bounds_themselves_are_allowed():
    row = key(0.5, least=0, most=1)
    assert (row.read(0), row.read("1")) == (0.0, 1.0)
    for value in (-1e-9, 1.000001):
        with pytest.raises(ValueError, match="wants 0 to 1; got"):
            row.read(value)
    with pytest.raises(ValueError, match="wants at most 3; got 4"):
        key(1, most=3).read(4)


def test_an_open_bound_is_no_value_itself():
    row = key(0.5, least=0, below=1)
    assert row.read(0) == 0.0 and row.read(0.999999) == 0.999999
    for value in (-1e-9, 1, 2):
        with pytest.raises(ValueError, match=f"wants at least 0 and below 1; got {float(value)!r}"):
            row.read(value)
    row = key(None, or_=float, above=0)
    assert [row.read(value) for value in (None, 1e-9, "2")] == [None, 1e-9, 2.0]
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"wants above 0 or None; got {float(value)!r}"):
            row.read(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf", 10**400])
def test_a_number_is_finite(value):
    for row in (key(0.5), key(0.5, least=0), key(None, or_=float, most=2), key([0.5], of=float)):
        with pytest.raises(ValueError, match="^wants .*got "):
            row.read(value if row.of is None else [value])


def test_a_list_has_so_many_of_a_kind_within_its_bounds():
    row = key([0.5, 1.0], of=float, length=2, above=0, most=1)
    found = row.read(("1e-3", 1))
    assert found == [0.001, 1.0] and [type(value) for value in found] == [float, float]
    for value in ([0.5], [0.5] * 3, [0.5, "a"], [0.5, True], [0.5, None], [[0.5], 0.5], [0, 1], [0.5, 1.1], []):
        with pytest.raises(ValueError) as refused:
            row.read(value)
        assert str(refused.value) == ("wants a list of 2 numbers, each above 0 and at most 1, as [0.5, 1.0]; "
                                      f"got {value!r}")
    with pytest.raises(ValueError, match="wants a list of 2 numbers, .*; got 0.5$"):
        row.read(0.5)


def test_a_list_of_whole_numbers_loses_no_fraction():
    row = key(None, or_=list, of=int, length=3, least=0)
    found = row.read([2.0, 0, 3])
    assert found == [2, 0, 3] and {type(value) for value in found} == {int} and row.read("None") is None
    for value in ([1.5, 2, 3], [-1, 2, 3], ["2", 2, 3]):
        with pytest.raises(ValueError) as refused:
            row.read(value)
        assert str(refused.value) == f"wants a list of 3 whole numbers, each at least 0, or None; got {value!r}"


def test_a_rising_list_is_a_least_and_a_most():
    row = key([0.5, 2.0], of=float, length=2, above=0, rising=True)
    assert [row.read(value) for value in ([1, 1], [0.1, 9])] == [[1.0, 1.0], [0.1, 9.0]]
    for value in ([2, 1], [0, 1], [1], ["a", 1]):
        with pytest.raises(ValueError) as refused:
            row.read(value)
        assert str(refused.value) == f"wants [least, most] with 0 < least <= most; got {value!r}"
    with pytest.raises(ValueError, match="with 0 < least <= most < 1; got"):
        row._replace(bounds=row.bounds._replace(below=1)).read([0.5, 1.0])


def test_none_is_no_value_where_a_default_says_the_kind():
    with pytest.raises(ValueError, match="wants a number, got None"):
        key(0.5).read("None")


# ---- the pages -----------------------------------------------------------------------------------------------------


def check(root):
    return run_python(root / "tools" / "generate_key_tables.py", "--check", cwd=root)


@pytest.fixture
def copy(tmp_path):
    """The package, the tool and the pages, to be spoilt."""
    for part in ("ppim", "docs", "tools"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "images"))
    return tmp_path


def test_the_tables_of_the_pages_are_what_the_rows_say():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", ["en", "cn"])
def test_a_page_names_every_choice_of_a_key(language):
    text = (ROOT / "docs" / language / "training.md").read_text(encoding="utf-8")
    meanings = dict(re.findall(r"^\| `([A-Z_.]+)` \| [^|]+ \| (.+) \|$", text, re.MULTILINE))
    unnamed = {name: set(row.choices) - set(re.findall("`([^`]+)`", meanings[name])) for name, row in KEYS.items()}
    assert {name: words for name, words in unnamed.items() if words} == {}
    if language == "cn":
        names = {name for name, meaning in meanings.items() if meaning.isascii()}
        assert names == {"TRAIN.OPTIMIZER.EPS", "TRAIN.OPTIMIZER.BETAS", "TRAIN.OPTIMIZER.MOMENTUM"}


def test_the_check_names_the_page_whose_text_has_changed(copy):
    page = copy / "docs" / "cn" / "training.md"
    page.write_text(page.read_text(encoding="utf-8").replace("水平翻转的概率", "翻转的概率"), encoding="utf-8")
    done = check(copy)
    assert done.returncode == 1 and "docs/cn/training.md" in done.stdout and "docs/en" not in done.stdout


def add_row(copy, row):
    keys = copy / "ppim" / "config" / "keys.py"
    text = keys.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    keys.write_text(f"{text[:-2]}{row}}}\n", encoding="utf-8")


def test_a_new_row_is_all_that_a_new_key_needs(copy):
    meaning = "    #: a new one, of which\n    #: much is said | 新的，\n    #: 说明很长\n"
    add_row(copy, f'{meaning}    "MIX.NEW": key(128, least=1),\n')
    assert check(copy).returncode == 1
    assert run_python(copy / "tools" / "generate_key_tables.py", cwd=copy).returncode == 0
    assert check(copy).returncode == 0
    for language, meaning in (("en", "a new one, of which much is said"), ("cn", "新的，说明很长")):
        page = copy / "docs" / language / "training.md"
        assert f"| `MIX.NEW` | 128 | {meaning} |\n" in page.read_text(encoding="utf-8")
    script = "from ppim.config import get_config; print(get_config(None, ['MIX.NEW', '64']).MIX.NEW)"
    done = run_python("-c", script, cwd=copy, env={"PYTHONPATH": str(copy)})
    assert done.stdout == "64\n", done.stderr


def test_a_row_without_a_meaning_is_named(copy):
    add_row(copy, '    "MIX.NEW": key(128, least=1),\n')
    done = check(copy)
    assert done.returncode == 1 and "MIX.NEW has no line `#: English | Chinese` above its row" in done.stderr
