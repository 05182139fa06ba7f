"""Numbers behind flags: what is out of range is told with its flag, before anything is done."""
import argparse

import pytest

from ppim.cli import main
from ppim.commands.numbers import ABOVE_ZERO, COUNT, FROM_ZERO, SHARE

# option of a command: a number that it does not take, what it wants instead
REFUSED = """
predict --topk 0: at least 1
labels make --top-k 0: at least 1
labels make --batch-size -1: at least 1
labels make --limit 0: at least 1
labels make --grid 0: at least 1
labels make --input-size 0: at least 1
labels make --centre-crop 1.01: above 0 and at most 1
labels check --classes 0: at least 1
labels check --photos 0: at least 1
labels check --most 0: at least 1
labels check --input-size 0: at least 1
labels check --crop-pcts 0: above 0 and at most 1
labels check --frame-crop-pct 0: above 0 and at most 1
labels audit --most 0: at least 1
labels audit --input-size 0: at least 1
labels audit --frame-crop-pct nan: above 0 and at most 1
labels show --photos -1: at least 1
labels show --epoch -1: at least 0
labels pack --shard-maps 0: at least 1
labels pack --classes -2: at least 1
labels pack --jobs 0: at least 1
labels convert --jobs 0: at least 1
labels convert --frame-crop-pct 1.5: above 0 and at most 1
data check --jobs -1: at least 1
data shards --size 0: at least 1
data cifar --quality 96: 1 to 95
data collage --train 0: at least 1
data collage --val 0: at least 1
data collage --seed -1: at least 0
demo --seed -1: at least 0
bench --rounds 0: at least 1
bench --batch 0: at least 1
knn -k 0: at least 1
knn --temperature 0: above 0
visualize --token 0 -1: at least 0
visualize --sample -1: at least 0
visualize --epoch -1: at least 0
plan --gpus 0: at least 1
plan --per-node 0: at least 1
plan --network inf: above 0
plan --launch-us 0: above 0
plan --peak-share 1.1: above 0 and at most 1
plan --bandwidth-share 0: above 0 and at most 1
plan --overlap -0.1: 0 to 1
plan --images 0: at least 1
plan --val-images 0: at least 1
plan --measure-loader 0: at least 1
"""


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_a_number_out_of_range_is_refused_with_its_flag(line, capsys):
    typed, _, wanted = line.partition(": ")
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    flag, *_, number = typed[typed.index(" -"):].split()
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and said.endswith(f"error: argument {flag}: wants {wanted}; got {number}")


@pytest.mark.parametrize(("number", "typed", "read"), [
    (COUNT, "1", 1), (FROM_ZERO, "0", 0), (ABOVE_ZERO, "1e-3", 1e-3), (SHARE, "1", 1.0), (SHARE, ".5", 0.5)])
def test_numbers_at_the_bounds_are_taken(number, typed, read):
    assert number(typed) == read and type(number(typed)) is type(read)


@pytest.mark.parametrize(("number", "typed", "wanted"), [
    (COUNT, "many", "wants a whole number, got 'many'"), (COUNT, "2.5", "wants a whole number, got '2.5'"),
    (SHARE, "all", "wants a number, got 'all'"), (ABOVE_ZERO, "nan", "wants above 0; got nan"),
])
def test_what_is_no_number_is_told(number, typed, wanted):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{wanted}$"):
        number(typed)
