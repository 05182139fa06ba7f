"""Pictures and the gradients' norm of a run under way: they show what is there, and change nothing."""
import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.config import get_config
from ppim.engine import pictures
from ppim.engine.distributed import World
from ppim.engine.optimizer import gradient_norm
from ppim.engine.run import start
from ppim.engine.train import fit
from tests.helpers import curves, everything, records, write_tiny_recipe


@pytest.fixture(scope="module")
def runs(tiny_data, tmp_path_factory):
    """The same three steps with pictures and without: what the log says, all that was trained, the folder."""
    root, found = tmp_path_factory.mktemp("pictures"), {}
    recipe = write_tiny_recipe(root, tiny_data)
    for count in (2, 0):
        words = ["SAVE", str(root / f"run{count}"), "PICTURES", str(count), "TRAIN.MAX_STEPS", "3", "REPORT_FREQ", "2",
                 "MODEL.DROPPATH", "0.2", "MODEL.DROPOUT", "0.1", "SAVE_STEPS", "1"]
        config = get_config(str(recipe), words)
        run, batches, micro = start(config, get_config(str(recipe)), World())
        try:
            pictures.show_samples(run)
            fit(run, batches, micro)
        finally:
            batches.close()
            run.close()
        found[count] = records(run.folder.path), everything(run.state), run.folder
    return found


def test_a_run_that_is_drawn_is_bit_for_bit_the_one_that_is_not(runs):
    (_, drawn, _), (_, plain, folder) = runs[2], runs[0]
    assert drawn.keys() == plain.keys() and len(drawn) > 50
    for name in drawn:
        np.testing.assert_array_equal(drawn[name], plain[name], err_msg=name)
    assert not folder.pictures.exists()


def test_samples_are_drawn_at_the_start_and_tokens_at_evaluations(runs):
    said, _, folder = runs[2]
    told = [{key: value for key, value in record.items() if key not in ("time", "event")}
            for record in said if record["event"] == "pictures"]
    assert told == [{"step": 0, "samples": "samples_00000000.png"}, {"step": 3, "tokens": "tokens_00000003.png"}]
    assert sorted(path.name for path in folder.pictures.iterdir()) == ["samples_00000000.png", "tokens_00000003.png"]
    for path in folder.pictures.iterdir():
        assert len(np.unique(np.asarray(Image.open(path)).reshape(-1, 3), axis=0)) > 20


def test_a_picture_that_cannot_be_had_is_told_of_and_ends_nothing(runs, capsys, tiny_config, tmp_path):
    config = get_config(str(tiny_config), ["PICTURES", "2"])
    run, batches, _ = start(config, config, World())
    try:
        run.folder.pictures.write_text("in the way")
        pictures.show_samples(run)
    finally:
        batches.close()
        run.close()
    assert "step 0: no picture of samples (" in capsys.readouterr().out
    assert records(tmp_path / "run") == []


def test_the_gradients_norm_is_logged_with_the_lines_and_not_in_between(runs):
    said, _, folder = runs[2]
    norms = {record["step"]: record.get("gradient_norm") for record in said if record["event"] == "train"}
    assert set(norms) == {1, 2, 3} and norms[1] is None and norms[2] > 0 and norms[3] > 0
    assert [point.id for point in curves(folder.path)["train/gradient_norm"]] == [2, 3]
    assert norms == {record["step"]: record.get("gradient_norm") for record in runs[0][0]
                     if record["event"] == "train"}


@pytest.mark.smoke
def test_the_norm_is_of_all_gradients_together_and_free_of_the_loss_scale():
    layers = [paddle.nn.Linear(2, 2, bias_attr=False) for _ in range(3)]
    parameters = [layer.weight for layer in layers]
    optimizer = paddle.optimizer.SGD(0.1, parameters=[{"params": parameters[:1]}, {"params": parameters[1:]}])
    (parameters[0] * 3 + parameters[1] * 4).sum().backward()  # the last has none
    assert gradient_norm(optimizer) == pytest.approx(10.0)  # sqrt(4 * 9 + 4 * 16)
    assert gradient_norm(optimizer, loss_scale=8.0) == pytest.approx(1.25)
