"""What does each command do with a segmenter? Those that cannot take one say what they want instead."""
import os
import re

import numpy as np
import paddle
import pytest

from ppim.annotate.seen import annotator
from ppim.cli import COMMANDS, main
from ppim.trained.models import create_model
from ppim.weights import load_weights
from tests.helpers import assert_same_weights

# with a test elsewhere: train, evaluate, predict (test_runs), export (test_export), plan (tests/plan)
TAKE = {"train", "evaluate", "predict", "check", "convert", "export", "plan"}
# they know neither recipes nor weights
CANNOT = {"labels pack", "labels convert", "models", "demo", "doctor", "data check", "data index", "data shards",
          "data imagenet", "data cifar", "data collage"}
WEIGHTS = "names pixels, not photos: wanted weights of a model of whole photos"
RECIPE = "TASK segment.*wanted that of a model of whole photos"
REFUSED = [
    ("finetune {photos} --load {run} --output {out}", WEIGHTS),
    ("probe --load {run} --masks {out}", WEIGHTS),
    ("probe -c {recipe} --load {run} --masks {out}", WEIGHTS),
    ("visualize {photo} --load {run} --output {out}", WEIGHTS),
    ("visualize --sample 0 --load {run} --output {out}", RECIPE),
    ("knn --load {run}", WEIGHTS),
    ("knn --load {bare}", WEIGHTS),
    ("labels make --load {run} --images {photos} --output {out}", WEIGHTS),
    ("labels make -c lvvit_demo --load {bare} --images {photos} --output {out}", WEIGHTS),
    ("labels check {maps} --images {photos} --frame -c {recipe} --load {bare}", WEIGHTS),
    ("labels show {maps} --images {photos} --output {out} --load {run}", WEIGHTS),
    ("labels show {maps} --images {photos} --output {out} -c {recipe}", RECIPE),
    ("bench --model upernet_lvvit_s", "TASK segment.*--model lvvit_s measures"),
    ("evaluate --model lvvit_demo --load {bare} -o DATA.DATA_PATH {photos}", WEIGHTS),
    ("train --model lvvit_demo --load {bare} -o DATA.DATA_PATH {photos} SAVE {out} MODEL.NUM_CLASSES 3 "
     "TOKEN_LABEL.ENABLE False", WEIGHTS),
    ("evaluate --load {bare}", "name pixels, but do not say by which recipe: give it, with -c FILE"),
    ("export --load {run} --output {out} --tokens", "--tokens asks for the logits of tokens.*leave it out"),
]


@pytest.fixture(scope="module")
def places(whole, ade, tiny_data, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("places")
    os.link(whole[1] / "last.pdparams", folder / "bare.pdparams")
    found = {"run": whole[1], "recipe": whole[0], "bare": folder / "bare.pdparams", "out": folder / "out",
             "photos": tiny_data, "maps": tiny_data / "maps", "photo": ade / "images/validation/ADE_00000000.png"}
    return {name: str(path) for name, path in found.items()}


@pytest.mark.parametrize(("line", "says"), REFUSED, ids=lambda value: value[:34])
def test_a_command_that_asks_whole_photos_says_so_in_one_line(line, says, places, capsys):
    assert main(line.format(**places).split()) == 1
    told = capsys.readouterr().err.splitlines()
    assert len([text for text in told if text.startswith("error: ")]) == 1 and "Traceback" not in "".join(told)
    assert re.search(says, told[-1]), told[-1]
    assert not os.path.exists(places["out"])


def test_every_command_takes_a_segmenter_refuses_it_or_knows_neither_recipes_nor_weights(places):
    refuse = {name for name in COMMANDS for line, _ in REFUSED if line.startswith(f"{name} ")}
    assert (refuse - TAKE) | TAKE | CANNOT | {"labels audit"} == set(COMMANDS)
    # of `labels audit`, which wants somebody's samples first
    with pytest.raises(ValueError, match=WEIGHTS):
        annotator(places["recipe"], places["bare"], None, "ignore")


def test_a_segmenter_is_checked(places, capsys):
    assert main(["check", "-c", places["recipe"], "-o", "SAVE", places["out"], "DATA.BATCH_SIZE", "2"]) == 0
    assert "parameters moved" in capsys.readouterr().out and not os.path.exists(places["out"])


def test_a_segmenter_is_converted_and_comes_back(places, whole, tmp_path):
    there, back = tmp_path / "there.safetensors", tmp_path / "back.pdparams"
    assert main(["convert", places["bare"], str(there), "--to", "torch", "-c", places["recipe"]]) == 0
    assert main(["convert", str(there), str(back), "-c", places["recipe"]]) == 0
    assert_same_weights(whole[1] / "last.pdparams", back)


def test_a_program_gets_a_segmenter_by_the_folder_of_its_run(whole):
    model = create_model(whole[1])
    again = create_model(whole[1])
    load_weights(again, whole[1])
    x = paddle.randn([1, 3, 16, 16])
    model.eval(), again.eval()
    assert model(x).shape == [1, 3, 16, 16]
    np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())
    with pytest.raises(ValueError, match="takes no num_classes"):
        create_model(whole[1], num_classes=5)
