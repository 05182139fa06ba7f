"""A few hundred spoilt files through every reader; tests/fuzz_readers.py tries as many as one has time for."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz_readers import READERS, WORDS, Edit, edited, outcome

EDITS = st.lists(st.builds(Edit, st.integers(0, 4), st.floats(0, 1, exclude_max=True),
                           st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8), st.integers(0, 39)), max_size=4)


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_read_or_refused_in_one_line_that_names_it(name, tmp_path):
    reader, path = READERS[name], tmp_path / READERS[name].name
    seeds = reader.seeds(tmp_path)
    for seed in seeds:
        path.write_bytes(seed)
        assert outcome(reader, path) == ("refused" if name == "list" and b"\xc5" in seed else "read")

    @settings(max_examples=120, deadline=None, database=None)
    @given(st.sampled_from(seeds), st.sampled_from(seeds), EDITS)
    def spoil(content, other, edits):
        path.write_bytes(edited(content, other, edits))
        outcome(reader, path)

    spoil()
    assert {entry.name for entry in tmp_path.iterdir()} <= {path.name, "w.pdparams", "w.safetensors"}
