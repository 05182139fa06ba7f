"""Micro-batches, steps and epochs."""
import pytest

from ppim.engine.checkpoint import State
from ppim.engine.steps import Steps, resumed_micro_step


def stand(**position) -> State:
    """The state of a checkpoint that stands at `position`."""
    return State(**{**dict.fromkeys(State._fields), **position})


def completed(steps: Steps) -> list:
    return [list(steps.ends_epochs(step)) for step in range(1, steps.total + 1)]


def test_each_epoch_ends_once_at_its_last_step():
    assert completed(Steps(per_epoch=3, accumulate=1, epochs=2)) == [[], [], [1], [], [], [2]]


def test_a_step_that_reaches_into_the_next_epoch_ends_the_first():
    # 5 micro-batches an epoch, 2 a step: epoch 1 ends inside step 3, epoch 2 with step 5
    assert completed(Steps(per_epoch=5, accumulate=2, epochs=2)) == [[], [], [1], [], [2]]


def test_a_run_whose_last_epoch_is_cut_short_still_ends_it():
    steps = Steps(per_epoch=3, accumulate=2, epochs=3)
    assert steps.total == 4
    assert completed(steps) == [[], [1], [2], [3]]


def test_a_step_of_more_than_an_epoch_ends_all_that_it_passes():
    # 9 micro-batches an epoch, 12 a step: steps end after 1.33, 2.67, 4 epochs
    assert completed(Steps(per_epoch=9, accumulate=12, epochs=4)) == [[1], [2], [3, 4]]
    assert completed(Steps(per_epoch=2, accumulate=5, epochs=6)) == [[1, 2], [3, 4, 5]]


def test_a_run_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"TRAIN.ACCUM_ITER 100 .* 18: no step .* lower TRAIN.ACCUM_ITER"):
        Steps(per_epoch=9, accumulate=100, epochs=2).check()
    Steps(per_epoch=9, accumulate=18, epochs=2).check()


def test_a_resumed_run_finds_its_place_under_another_division_into_processes():
    state = stand(epoch=2, offset=24, samples_per_micro=8)
    assert resumed_micro_step(state, samples_per_micro=8, per_epoch=10) == 23
    assert resumed_micro_step(state, samples_per_micro=4, per_epoch=20) == 46


def test_a_place_inside_a_step_of_more_micro_batches_is_refused():
    state = stand(epoch=1, offset=0, samples_per_micro=8)
    assert resumed_micro_step(state, samples_per_micro=8, per_epoch=4, accumulate=2) == 4
    with pytest.raises(ValueError, match="ACCUM_ITER"):
        resumed_micro_step(state, samples_per_micro=8, per_epoch=3, accumulate=2)


def test_a_place_between_two_batches_is_refused():
    with pytest.raises(ValueError, match="end of an epoch"):
        resumed_micro_step(stand(epoch=0, offset=24, samples_per_micro=8), samples_per_micro=5, per_epoch=9)
