"""Steps whose numbers are not finite are left out, counted, and in no file: real runs, with planted mistakes."""
import json
import math

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file

from ppim.config import get_config
from ppim.data.loader import SampleError
from ppim.engine import command
from ppim.engine.distributed import World
from ppim.engine.optimizer import state_by_structured_names
from ppim.engine.run import start
from ppim.engine.train import fit
from ppim.engine.train_state import as_arrays, capture, restore
from tests.helpers import ROOT, everything, launch, records, spoilt, weights, write_tiny_recipe

FEW = ["CHECKS", "tell", "TRAIN.NUM_EPOCHS", "2", "VALIDATE_FREQ", "99", "SAVE_FREQ", "99"]


def started(config, *options):
    resolved = get_config(config, [*FEW, *options])
    run, batches, micro = start(resolved, resolved, World())
    return run, list(batches), micro


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


def strictly(text: str):
    """JSON as a strict reader reads it."""
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def assert_all_finite(folder) -> int:
    """Whatever numbers a run has written are finite; how many files of them there are."""
    arrays = [weights(path) for path in folder.glob("*.pdparams")]
    arrays += [load_file(path) for path in folder.rglob("*.safetensors")]
    for found in arrays:
        for name, value in found.items():
            assert np.isfinite(value).all(), name
    for path in folder.rglob("*.json*"):
        for line in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
            strictly(line)
    return len(arrays)


# ---- what a step is left out for -----------------------------------------------------------------------------------


def bad_gradient(run):
    """The next gradient of one weight, which no loss shows."""
    pending = [math.inf]  # a hook that removes itself crashes Paddle
    run.state.model.head.weight.register_hook(lambda gradient: gradient * (pending.pop() if pending else 1.0))


def bad_statistics(run):
    """What the next step leaves in a BatchNorm, behind which ReLU hides it."""
    model, pending = run.state.model.patch_embed, [math.nan]

    @paddle.no_grad()
    def spoil(gradient):  # of the last layer that the backward pass comes to
        if pending:
            paddle.assign(model.bn2._variance * pending.pop(), model.bn2._variance)
        return gradient * 1.0

    model.conv1.weight.register_hook(spoil)


@pytest.mark.smoke
@pytest.mark.parametrize("what", [None, bad_gradient, bad_statistics], ids=["loss", "gradient", "statistics"])
def test_a_bad_step_is_left_out_bit_for_bit_and_counted(tiny_config, tmp_path, what):
    # two micro-batches a step; the first of step 3 is bad
    run, batches, micro = started(tiny_config, "TRAIN.ACCUM_ITER", "2", "TRAIN.MAX_STEPS", "5", "REPORT_FREQ", "1")
    seen = []

    def fed():
        for number, batch in enumerate(batches):
            if number % 2 == 0:
                seen.append(everything(run.state))
            if number == 4 and what:
                what(run)
            yield spoilt(batch) if number == 4 and not what else batch

    fit(run, fed(), micro)
    run.close()
    assert_same(seen[2], seen[3])
    assert all(p.grad is None for p in run.state.model.parameters())
    for one, other in zip((0, 1, 3), (1, 2, 4)):  # every other step moves what a step moves
        assert any((seen[one][name] != value).any() for name, value in seen[other].items() if name.startswith("model"))
    log = [strictly(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    log = [record for record in log if record["event"] == "train"]
    assert [record["left_out"] for record in log] == [0, 0, 1, 0, 0]
    assert [record["left_out_in_a_row"] for record in log] == [0, 0, 1, 0, 0]
    assert [record["loss"] is None for record in log] == [False, False, True, False, False]
    assert assert_all_finite(tmp_path / "run") == 3 + 3  # a checkpoint; last, last_ema, best


def test_bad_steps_now_and_then_do_not_end_a_run_and_people_are_told(tiny_config, tmp_path, capsys):
    options = ["TRAIN.MAX_BAD_STEPS", "3", "TRAIN.MAX_STEPS", "7", "REPORT_FREQ", "7"]
    run, batches, micro = started(tiny_config, *options)
    good = (2, 5)
    fit(run, iter([batch if number in good else spoilt(batch) for number, batch in enumerate(batches)]), micro)
    run.close()
    (record,) = [record for record in records(tmp_path / "run") if record["event"] == "train"]
    assert (record["left_out"], record["left_out_in_a_row"]) == (5, 1) and math.isfinite(record["loss"])
    assert run.state.ema.updates == 2
    assert "step 7: 5 of the steps since the last report left out" in capsys.readouterr().out


def test_too_many_bad_steps_in_a_row_end_the_run_and_the_files_are_named(tiny_config, tmp_path):
    options = ["TRAIN.MAX_BAD_STEPS", "3", "REPORT_FREQ", "2", "DATA.BATCH_SIZE", "5", "TRAIN.MAX_STEPS", "8"]
    run, batches, micro = started(tiny_config, *options)
    # one bad, one good, and bad from step 3 on; the first two of these three are reported before the last
    fed = [batch if number == 1 else spoilt(batch) for number, batch in enumerate(batches)]
    with pytest.raises(FloatingPointError) as failed:
        fit(run, iter(fed), micro)
    run.close()
    line = str(failed.value)
    paths = [run.train.images.paths[index] for index in batches[4]["index"].tolist()]
    assert f"{', '.join(paths[:3])} and 2 more" in line and "\n" not in line
    rate = run.schedule.at(run.steps.epoch(4))
    for word in ("step 5 (epoch 1.25,", f"learning rate {rate:.3g}", "loss scale 1)", "3 steps in a row", "is nan",
                 "TRAIN.MAX_BAD_STEPS"):
        assert word in line, word
    assert assert_all_finite(tmp_path / "run") == 0


def test_an_overflow_under_loss_scaling_restores_statistics_and_counts_only_when_no_smaller_scale_helps(
        tiny_config, scaler):
    run, batches, micro = started(tiny_config, "TRAIN.MAX_BAD_STEPS", "2", "TRAIN.MAX_STEPS", "20")
    run.state.scaler, scales, seen = scaler, [], []

    def fed():
        while True:
            bad_gradient(run)
            seen.append(everything(run.state))
            scales.append(run.state.loss_scale)
            yield batches[len(seen) % 2]

    with pytest.raises(FloatingPointError, match="loss scale 0.5"):
        fit(run, fed(), micro)
    run.close()
    # 1024 is halved ten times to 1; under 1 and a half the gradients are as bad without scaling
    assert scales == [1024.0 / 2**power for power in range(12)]
    for after in seen[1:]:
        assert_same(seen[0], after)


def test_a_loss_that_is_no_number_counts_under_loss_scaling_as_well(tiny_config, scaler):
    run, batches, micro = started(tiny_config, "TRAIN.MAX_BAD_STEPS", "2", "TRAIN.MAX_STEPS", "9")
    run.state.scaler = scaler
    with pytest.raises(FloatingPointError, match=r"step 2 .*loss scale 512\): 2 steps in a row"):
        fit(run, map(spoilt, batches), micro)
    run.close()


# ---- what is not saved ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def after_one_step(tiny_data, tmp_path_factory):
    """By SAVE_STEPS, "1" or "0": a run after its first step, the batches that follow, and its state then."""
    folder, found = tmp_path_factory.mktemp("planted"), {}
    for every in ("1", "0"):
        options = ["SAVE", str(folder / every), "SAVE_STEPS", every, "TRAIN.MAX_BAD_STEPS", "2", "TRAIN.MAX_STEPS", "4",
                   "MODEL.TRANS.DEPTH", "1"]
        run, batches, micro = started(write_tiny_recipe(folder, tiny_data), *options)
        with pytest.raises(StopIteration):  # there is no second batch, and so the first step is saved
            fit(run, iter(batches[:1]), micro)
        state = capture(run.state, epoch=0, offset=4, samples_per_micro=4, seed=0, processes=1, threads="")
        found[every] = run, batches[1:], state
    yield found
    for run, *_ in found.values():
        run.close()


PARTS = {
    "model": lambda state: state.model.state_dict(),
    "average": lambda state: state.ema.state_dict(),
    "optimizer": lambda state: state_by_structured_names(state.optimizer, state.model),
}


# with a save after every step, what is planted is met there; without, by what comes of it
@pytest.mark.parametrize(("every", "part", "value"), [
    ("0", "model", math.nan), ("1", "model", math.inf), ("1", "average", math.nan), ("1", "optimizer", math.inf)])
def test_one_bad_entry_anywhere_ends_the_run_and_reaches_no_file(after_one_step, every, part, value):
    run, batches, state = after_one_step[every]
    names, outcomes = list(PARTS[part](run.state)), {}
    names = names[::{"model": 1, "average": 2, "optimizer": 6}[part]]
    assert len(names) > 10
    for name in names:
        restore(run.state, state)
        tensor = PARTS[part](run.state)[name]
        array = tensor.numpy()
        array.flat[0] = value
        tensor.set_value(array)
        run.meter.left_out_in_a_row = 0
        try:
            fit(run, iter(batches), 1)
        except FloatingPointError as error:
            outcomes[name] = str(error)
    run.writer.wait()
    assert [name for name in names if name not in outcomes] == []
    assert all("\n" not in line and "files are class" in line for line in outcomes.values())
    assert assert_all_finite(run.folder.path) == 3 + 2  # of the first step


@pytest.mark.smoke
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_weights_that_have_just_diverged_are_not_saved_and_the_newest_checkpoint_goes_on(tiny_config, tmp_path,
                                                                                        optimizer):
    # the first step has the rate of a warm-up, the second one that no weights survive; its loss is still finite
    options = ["TRAIN.MAX_STEPS", "4", "SAVE_STEPS", "1", "TRAIN.OPTIMIZER.NAME", optimizer, "CHECKS", "tell"]
    with pytest.raises(FloatingPointError, match=r"^step 2 .* not finite"):
        command.run(str(tiny_config), [*options, "TRAIN.BASE_LR", "1e30"])
    run = tmp_path / "run"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000001"]
    assert assert_all_finite(run) == 3 + 2
    command.run(str(tiny_config), [*options, "TRAIN.BASE_LR", "1e-4", "MODEL.RESUME", "auto"])
    trained = {record["step"]: record for record in records(run) if record["event"] == "train"}
    assert sorted(trained) == [1, 2, 3, 4] and all(record["left_out"] == 0 for record in trained.values())
    assert assert_all_finite(run) == 2 * 3 + 3


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_pixels_that_overflow_are_no_more_learned_from_than_a_loss_that_does(tiny_config, tmp_path):
    # ReLU hides what becomes of them from the loss, and on the way back their gradients are no numbers
    options = ["TRAIN.MAX_STEPS", "2", "DATA.IMAGENET_STD", "[1e-40, 1e-40, 1e-40]", "CHECKS", "tell"]
    with pytest.raises(FloatingPointError, match="not finite"):
        command.run(str(tiny_config), options)
    assert assert_all_finite(tmp_path / "run") == 0
    assert [record["left_out"] for record in records(tmp_path / "run")] == [1, 1]


@pytest.mark.parametrize("bad", [False, True])
def test_what_is_saved_when_a_run_fails_is_what_the_newest_step_could_be_taken_from(tiny_config, tmp_path, bad):
    run, batches, micro = started(tiny_config)

    def fed():
        yield batches[0]
        yield spoilt(batches[1]) if bad else batches[1]
        raise SampleError("a photo is damaged")

    with pytest.raises(SampleError, match="was not saved" if bad else "saved after step 2"):
        fit(run, fed(), micro)
    run.close()
    assert assert_all_finite(tmp_path / "run") == (0 if bad else 3 + 2)


def test_an_evaluation_without_a_finite_loss_is_never_the_best(tiny_config, tmp_path):
    run, batches, micro = started(tiny_config, "TRAIN.MAX_STEPS", "1")
    # training takes the statistics of its batch, evaluation these, with which all that follows overflows
    for state in (run.state.model.state_dict(), run.state.ema.state_dict()):
        for name in ("patch_embed.bn3._mean", "patch_embed.bn3._variance"):
            state[name].set_value(np.full(8, -3e38 if name.endswith("_mean") else 1e-30, "float32"))
    result = fit(run, iter(batches), micro)
    run.close()
    assert not math.isfinite(result.loss) and run.state.best == {}
    folder = tmp_path / "run"
    assert not (folder / "best.pdparams").exists() and not (folder / "best.json").exists()
    assert assert_all_finite(folder) == 3 + 2
    assert [record["loss"] for record in records(folder) if record["event"].startswith("eval")] == [None, None]


def test_no_array_on_its_way_to_a_file_holds_what_is_not_finite():
    state = {"one": paddle.ones([3]), "other": paddle.to_tensor([1.0, math.inf])}
    with pytest.raises(FloatingPointError, match="other"):
        as_arrays(state)


# ---- several processes ---------------------------------------------------------------------------------------------


ONE_IS_BAD = """
import math, sys, threading
from pathlib import Path
import numpy as np
from ppim.config import get_config
from ppim.engine import train
from ppim.engine.distributed import join_world
from ppim.engine.run import start
from tests.helpers import everything, spoilt

output, config, *options = sys.argv[1:]
world, config = join_world(), get_config(config, options)
run, batches, micro = start(config, config, world)
seen = []

def fed():
    for number, batch in enumerate(batches):
        seen.append(everything(run.state))
        if world.rank == 1 and number == 1:  # neither a loss nor the averaged gradients show it
            variance = run.state.model.patch_embed.bn2._variance
            variance.set_value(variance.numpy() * math.nan)
        yield spoilt(batch) if world.rank == 1 and number in (3, 4) else batch

try:
    train.fit(run, fed(), micro)
except FloatingPointError as error:
    (Path(output) / f"said{world.rank}").write_text(str(error))
# C++ ends an interpreter that ends before its threads
assert "ppim-agreement" not in [thread.name for thread in threading.enumerate()]
batches.close()
run.close()
for step, state in enumerate(seen):
    np.savez(Path(output) / f"rank{world.rank}_{step}.npz", **state)
"""


def test_one_process_with_a_bad_batch_has_all_leave_the_step_out(tiny_config, tmp_path):
    script = tmp_path / "one_is_bad.py"
    script.write_text(ONE_IS_BAD)
    done = launch(2, script, tmp_path, tiny_config, *FEW, "DATA.BATCH_SIZE", "2", "TRAIN.MAX_BAD_STEPS", "2",
                  log_dir=tmp_path / "log", env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    states = {(rank, step): dict(np.load(tmp_path / f"rank{rank}_{step}.npz")) for rank in (0, 1) for step in range(5)}
    for step in range(5):
        for name, value in states[0, step].items():
            np.testing.assert_array_equal(value, states[1, step][name], err_msg=name)
    for before, after, left_out in ((0, 1, False), (1, 2, True), (2, 3, False), (3, 4, True)):
        head = "model: head.weight"
        assert (states[0, before][head] != states[0, after][head]).any() != left_out
        if left_out:
            assert_same(states[0, before], states[0, after])
            assert_same(states[1, before], states[1, after])
    said = [(tmp_path / f"said{rank}").read_text() for rank in (0, 1)]
    assert "of process 1 is nan" in said[1] and "of process 0 is nan" not in said[0]
    assert said[0][:20] == said[1][:20] == "step 5 (epoch 0.83, "
    assert assert_all_finite(tmp_path / "run") == 0
