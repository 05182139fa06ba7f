"""The families as data: two files each, names that mean one model, all of it without Paddle."""
from __future__ import annotations

import json

from ppim import families
from ppim.names import plain_name
from tests.helpers import ROOT, run_python

FAMILIES = families.facts().values()


def test_every_name_is_plain_and_means_one_model():
    spelt = [name for family in FAMILIES for name in (*family.sizes, *family.also)]
    assert len(spelt) == len(set(spelt)) == len(families.names())
    assert all(plain_name(name) == name for name in spelt)


def test_other_names_and_published_facts_are_of_models_there_are():
    for family in FAMILIES:
        assert set(family.also.values()) | set(family.published) <= set(family.sizes)
        assert all(families.family_of(other) is family for other in family.also)


def test_a_family_is_a_pair_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "_FOLDER", tmp_path)
    (tmp_path / "whole.yaml").write_text("type: Whole\ncommon: {a: 1, b: 1}\nsizes: {whole_s: {b: 2}}\n"
                                         "also: {whole_small: whole_s}\npublished: {whole_s: {ppim: whole}}\n")
    (tmp_path / "whole.py").write_text("")
    (tmp_path / "half.yaml").write_text("type: Half\nsizes: {}\n")
    found = families.facts.__wrapped__()
    assert list(found) == ["whole"]
    assert found["whole"].sizes == {"whole_s": {"a": 1, "b": 2}}
    assert found["whole"].also == {"whole_small": "whole_s", "whole": "whole_s"}


def test_what_is_known_of_models_is_known_without_paddle():
    script = "import json, sys, ppim; from ppim import families, zoo; print(json.dumps([" \
             "len(zoo.ROWS), 'lvvit_s' in dir(ppim), sorted(m for m in sys.modules if m.split('.')[0] == 'paddle')]))"
    done = run_python("-c", script, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows, known, imported = json.loads(done.stdout)
    assert rows == sum(len(family.published) for family in FAMILIES) and known and imported == []
