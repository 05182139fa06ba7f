"""Can the mistakes of the mutants.yaml files be planted? Planting takes an hour, finding the places a moment."""
import pytest
import yaml

from tests.helpers import ROOT

LISTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("mutants.yaml"))


@pytest.mark.parametrize("path", LISTS)
def test_the_piece_that_a_mistake_replaces_occurs_once(path):
    mutants = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert mutants
    found = {m["name"]: (ROOT / m["file"]).read_text(encoding="utf-8").count(m["old"]) for m in mutants}
    assert {name: count for name, count in found.items() if count != 1} == {}


@pytest.mark.parametrize("path", LISTS)
def test_the_tests_that_must_catch_it_exist(path):
    for mutant in yaml.safe_load((ROOT / path).read_text(encoding="utf-8")):
        tests = mutant["tests"].split(" -k ")[0].split() if isinstance(mutant["tests"], str) else mutant["tests"]
        for test in tests[: tests.index("-k")] if "-k" in tests else tests:
            file, _, name = test.partition("::")
            assert (ROOT / file).exists(), test
            assert not name or f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), test
