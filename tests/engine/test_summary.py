"""What a run says before its first step about where it departs, from its recipe and from the model it names."""
from ppim.config import get_config
from ppim.engine.schedule import schedule_of
from ppim.engine.steps import Steps
from ppim.engine.summary import departures, summary


def test_a_run_says_where_it_differs_from_its_model_and_its_recipe():
    recipe = get_config("lvvit_demo")
    assert departures(recipe, recipe, global_batch=32) == []
    stated = ["MODEL.TRANS.NUM_HEADS", "2", "MODEL.TRANS.PATCH_SIZE", "8"]  # as the model has it
    config = get_config("lvvit_demo", [*stated, "MODEL.TRANS.DEPTH", "4", "TRAIN.SMOOTHING", "0.1"])
    assert departures(config, recipe, global_batch=32) == [
        "differs from lvvit_demo: MODEL.TRANS.DEPTH 4 (3)",
        "differs from the recipe: TRAIN.SMOOTHING 0.1 (0)",
    ]


def test_a_run_says_that_its_rates_are_scaled_to_another_batch():
    recipe = get_config("lvvit_demo")
    line, = departures(recipe, recipe, global_batch=64)
    assert line == "differs from the recipe: batch 64 (32, so rates are scaled by 2)"


def test_all_differences_are_one_line_and_what_matters_most_comes_first():
    recipe = get_config("lvvit_demo")
    config = get_config("lvvit_demo", ["MODEL.DROPPATH", "0.5", "DATA.CROP_SCALE", "[0.2, 1.0]", "TRAIN.SMOOTHING",
                                       "0.1", "DATA.BATCH_SIZE", "16", "TRAIN.NUM_EPOCHS", "30", "SEED", "7"])
    line, = departures(config, recipe, global_batch=16)
    assert line == (
        f"differs from the recipe: batch 16 (32, so rates are scaled by 0.5), TRAIN.NUM_EPOCHS 30 (10), "
        f"DATA.CROP_SCALE [0.2, 1.0] ({recipe.DATA.CROP_SCALE}), MODEL.DROPPATH 0.5 ({recipe.MODEL.DROPPATH:g}), "
        "TRAIN.SMOOTHING 0.1 (0)")


def said(options: list[str], processes: int = 1, accumulate: int = 1) -> dict[str, str]:
    """The lines of a summary by their first words."""
    config = get_config("lvvit_demo", options)
    steps = Steps(per_epoch=10, accumulate=accumulate, epochs=config.TRAIN.NUM_EPOCHS)
    lines = summary(config, config, schedule_of(config, 32), steps, processes=processes, parameters=1234,
                    images=(100, 10))
    return {line.split()[0]: line for line in lines}


def test_what_fine_tuning_keeps_slows_down_and_ends_by_is_said():
    lines = said(["TRAIN.FREEZE", "1", "TRAIN.LAYER_DECAY", "0.75", "TRAIN.MAX_HOURS", "0.5", "TRAIN.EARLY_STOP", "3"])
    assert lines["model"].endswith("classes; kept as it is: the embedding and 1 block")
    assert lines["rate"].endswith(" to 1e-05, x 0.75 from layer to layer")
    assert lines["length"].endswith(" steps; ends after 0.5 hours; ends after 3 evaluations without a better best")
    assert said(["TRAIN.FREEZE", "backbone"])["model"].endswith("; kept as it is: all but the heads")


def test_what_is_off_and_what_is_one_goes_unsaid():
    nothing = ["TRAIN.MIXUP_ALPHA", "0", "TRAIN.CUTMIX_ALPHA", "0", "MIX.TOKEN_ALPHA", "0"]
    assert said(nothing)["mixing"] == "mixing     none"
    assert said(["MIX.TOKEN_ALPHA", "1", *nothing[:4]])["mixing"].startswith("mixing     MixToken 1, one draw for ")
    aligned = said(["TRAIN.CUTMIX_ALPHA", "1", "MIX.CUTMIX_GRID", "tokens", "MIX.CLASS_SHARE", "alignment"])["mixing"]
    sides = said([*nothing, "TRAIN.CUTMIX_MINMAX", "[0.2, 0.75]"])["mixing"]
    assert sides.startswith("mixing     cutmix 0.2 to 0.75 of a side, one draw for ")
    assert "cutmix 1 on the token grid, " in aligned and aligned.endswith("class target shared by alignment")
    assert said(["DATA.BATCH_SIZE", "1"])["batch"] == "batch      1 image"
    assert said(["DATA.BATCH_SIZE", "4"], 2, 3)["batch"] == "batch      24 images = 2 processes x 4 x 3 accumulated"
    assert said(["DATA.BATCH_SIZE", "4"], 2)["batch"] == "batch      8 images = 2 processes x 4"
    assert said(["TRAIN.NUM_EPOCHS", "1", "TRAIN.WARMUP_EPOCHS", "0"])["length"] == "length     1 epoch, 10 steps"
    assert said(["TRAIN.WARMUP_EPOCHS", "0"])["rate"] == "rate       0.002, cosine to 1e-05"
    assert said(["TRAIN.WARMUP_EPOCHS", "1"])["rate"] == "rate       0.002 after 1 epoch of warm-up, cosine to 1e-05"
    assert said(["TRAIN.WARMUP_EPOCHS", "0", "TRAIN.LR_SCHEDULER.NAME", "constant"])["rate"].endswith("0.002, constant")


def told(*options, processes=1, accumulate=1) -> list[str]:
    recipe = get_config("lvvit_demo")
    config = get_config("lvvit_demo", options)
    steps = Steps(per_epoch=5, accumulate=accumulate, epochs=2)
    schedule = schedule_of(config, processes * config.DATA.BATCH_SIZE * accumulate)
    return summary(config, recipe, schedule, steps, processes=processes, parameters=12345, images=(2500, 500))


def test_the_batch_is_that_of_all_processes_and_of_a_whole_step():
    lines = told("DATA.BATCH_SIZE", "8", processes=3, accumulate=2)
    assert "batch      48 images = 3 processes x 8 x 2 accumulated" in lines
    assert any("batch 48 (32, so rates are scaled by 1.5)" in line for line in lines)


def test_what_changes_no_result_is_no_departure():
    options = ("DATA.BATCH_SIZE_EVAL", "7", "TRAIN.MAX_STEPS", "3", "TRAIN.RECOMPUTE", "True")
    assert [line for line in told(*options) if "differs" in line] == []
    assert [line for line in told("TRAIN.WEIGHT_DECAY", "0.5") if "differs" in line]


def test_mixed_precision_that_a_device_lacks_is_told_and_only_where_it_was_asked_for():
    assert [line for line in told("AMP", "always") if line.startswith("note: AMP is asked for")]
    for quiet in ("auto", "never"):
        lines = told("AMP", quiet)
        assert not [line for line in lines if line.startswith("note: AMP")]
        assert any(line.startswith("computing  float32 on cpu") for line in lines)
