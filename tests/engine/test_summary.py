"""What a run says before its first step about where it departs, from its recipe and from the model it names."""
from ppim.config import get_config
from ppim.engine.summary import departures


def test_a_run_says_where_it_differs_from_its_model_and_its_recipe():
    recipe = get_config("lvvit_demo")
    assert departures(recipe, recipe, global_batch=32) == []
    stated = ["MODEL.TRANS.NUM_HEADS", "2", "MODEL.TRANS.PATCH_SIZE", "8"]  # as the model has it
    config = get_config("lvvit_demo", [*stated, "MODEL.TRANS.DEPTH", "4", "TRAIN.SMOOTHING", "0.1"])
    assert departures(config, recipe, global_batch=32) == [
        "differs from lvvit_demo: MODEL.TRANS.DEPTH is 4, the model has 3",
        "differs from the recipe: TRAIN.SMOOTHING is 0.1, the recipe has 0.0",
    ]


def test_a_run_says_that_its_rates_are_scaled_to_another_batch():
    recipe = get_config("lvvit_demo")
    line, = departures(recipe, recipe, global_batch=64)
    assert line == "differs from the recipe: the global batch is 64, the rate is meant for 32 and scaled by 2"
