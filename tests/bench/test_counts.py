"""Counts with which nothing can be timed are refused before anything is."""
import pytest

from ppim.commands.bench import bench


@pytest.mark.parametrize("option", ["--rounds", "--batch"])
def test_a_count_below_one_is_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        bench(["--smoke", "--parts", "machine", option, "0"])
    assert ended.value.code == 2 and f"{option} wants at least 1, got 0" in capsys.readouterr().err
