"""Command lines of other projects: what each is in our spelling, and what is refused in which words."""
import shlex

import pytest

from ppim.commands.train import train_parser
from ppim.config import differences, get_config, published_recipes, recipe_path
from ppim.dialects import translate
from ppim.engine.schedule import schedule_of

# As their documents have them, the program's name and the launcher aside.
PADDLEVIT_EVAL = """-cfg=./configs/t2t_vit_7.yaml -dataset=imagenet2012 -batch_size=16 \
    -data_path=/path/to/dataset/imagenet/val -eval \
    -pretrained=/path/to/pretrained/model/t2t_vit_7  # .pdparams is NOT needed
"""
PADDLEVIT_TRAIN = "-cfg=./configs/t2t_vit_7.yaml -dataset=imagenet2012 -batch_size=32 -data_path=/data/imagenet/train"
TL_ALIGN_TRAIN = """--model deit_small_patch16_224 --batch-size 128    --mixup 0.0 --tl-align \
    --data-path /path/to/imagenet  --output_dir /path/to/output
"""
TL_ALIGN_EVAL = "--eval --resume checkpoint.pth --model deit_small_patch16_224 --data-path /path/to/imagenet"
T2T_TRAIN = "path/to/data --model T2t_vit_t_14 -b 64 --lr 5e-4 --weight-decay .05 --img-size 224"
T2T_EVAL = "path/to/data --model T2t_vit_t_24 -b 100 --eval_checkpoint path/to/checkpoint"
# its fine-tuning on other data; there, no folder of maps means plain labels, whatever --token-label says
TOKEN_LABELING_FINETUNE = """/path/to/dataset --model lvvit_s -b 64 --apex-amp --img-size 224 --drop-path 0.1 \
    --token-label --token-label-size 14 --dense-weight 0.0 --num-classes 10 --finetune /path/to/checkpoint"""
TOKEN_LABELING_EVAL = "/val --model lvvit_s --checkpoint /m/lvvit_s.tar --no-test-pool --amp --img-size 384 -b 64"


def options_of(line: str):
    """Recipe and overrides of a command line."""
    words = translate(shlex.split(line, comments=True), published_recipes()).argv
    return train_parser("ppim train").parse_args(words)


def understood(line: str):
    """The configuration of a command line."""
    options = options_of(line)
    return get_config(options.config, options.override)


def changes(line: str) -> dict:
    """Keys on which a command line departs from the recipe it names."""
    recipe = get_config(options_of(line).config)
    return {key: value for key, value, _ in differences(understood(line), recipe)}


# ---- the published command lines -----------------------------------------------------------------------------------


def test_paddlevits_evaluation():
    assert understood(PADDLEVIT_EVAL).MODEL.NAME == "t2t_vit_7"
    assert changes(PADDLEVIT_EVAL) == {
        "EVAL.ONLY": True, "MODEL.PRETRAINED": "/path/to/pretrained/model/t2t_vit_7",
        "DATA.BATCH_SIZE": 16, "DATA.BATCH_SIZE_EVAL": 16, "DATA.DATA_PATH": "/path/to/dataset/imagenet/val"}


def test_paddlevits_training_leaves_the_evaluation_batch_alone():
    assert understood(PADDLEVIT_TRAIN).MODEL.NAME == "t2t_vit_7"
    assert changes(PADDLEVIT_TRAIN) == {"DATA.BATCH_SIZE": 32, "DATA.DATA_PATH": "/data/imagenet/train"}


def test_tl_aligns_training_is_the_published_recipe_of_it():
    rest = differences(understood(TL_ALIGN_TRAIN), get_config(recipe_path("deit_small_tla")))
    assert {key: value for key, value, _ in rest} == {"DATA.DATA_PATH": "/path/to/imagenet", "SAVE": "/path/to/output"}


def test_tl_aligns_evaluation_takes_its_weights_from_resume():
    assert understood(TL_ALIGN_EVAL).MODEL.NAME == "deit_small"
    assert changes(TL_ALIGN_EVAL) == {
        "DATA.DATA_PATH": "/path/to/imagenet", "EVAL.ONLY": True, "EVAL.WEIGHTS": "raw",
        "MODEL.RESUME": "checkpoint.pth"}


def test_t2ts_training_is_its_published_recipe_but_for_the_rate_that_does_not_follow_the_batch():
    assert changes(T2T_TRAIN) == {
        "DATA.DATA_PATH": "path/to/data", "TRAIN.LINEAR_SCALED_LR": None, "TRAIN.SCALED_RATES": "base"}
    assert understood(T2T_TRAIN).MODEL.NAME == "t2t_vit_t_14"


def test_t2ts_and_token_labelings_evaluation_name_their_weights_checkpoint():
    config = understood(T2T_EVAL)
    assert (config.EVAL.ONLY, config.MODEL.PRETRAINED) == (True, "path/to/checkpoint")
    assert config.MODEL.NAME == "t2t_vit_t_24"
    config = understood(TOKEN_LABELING_EVAL)
    assert (config.EVAL.ONLY, config.MODEL.PRETRAINED, config.AMP) == (True, "/m/lvvit_s.tar", "always")
    assert (config.MODEL.NAME, config.DATA.DATA_PATH, config.DATA.BATCH_SIZE_EVAL) == ("lvvit_s_384", "/val", 64)


def test_token_labelings_training():
    line = """/imagenet --model lvvit_s -b 128 --apex-amp --img-size 224 --drop-path 0.1 --token-label \
        --token-label-data /maps --token-label-size 14 --model-ema"""
    assert changes(line) == {"AMP": "always", "DATA.DATA_PATH": "/imagenet", "TOKEN_LABEL.PATH": "/maps"}


def test_token_labelings_fine_tuning_without_maps_has_plain_labels():
    assert changes(TOKEN_LABELING_FINETUNE) == {
        "DATA.DATA_PATH": "/path/to/dataset", "DATA.BATCH_SIZE": 64, "AMP": "always", "MODEL.NUM_CLASSES": 10,
        "TOKEN_LABEL.ENABLE": False, "LOSS.DENSE_WEIGHT": 0.0, "MODEL.PRETRAINED": "/path/to/checkpoint",
        "MODEL.NEW_HEADS": "auto"}
    assert understood(TOKEN_LABELING_FINETUNE).MIX.TOKEN_ALPHA == 1.0  # MixToken stays, as there


@pytest.mark.parametrize(
    ("flags", "enabled", "weight"),
    [
        ("--token-label", True, 1.0), ("--token-label --dense-weight 0.5", True, 0.5),
        ("--token-label --dense-weight 0 --token-label-data /maps", True, 0.0), ("--dense-weight 0", True, 0.0),
        ("--token-label --dense-weight 0 -o TOKEN_LABEL.PATH /maps", True, 0.0),
        ("--token-label --dense-weight 0.0 --token-label-data=", False, 0.0),
    ],
)
def test_token_labels_without_maps_and_weight_are_plain_labels_and_else_what_they_say(flags, enabled, weight):
    config = understood(f"/imagenet --model lvvit_s {flags}")
    assert (config.TOKEN_LABEL.ENABLE, config.LOSS.DENSE_WEIGHT) == (enabled, weight)


def test_our_own_flags_are_keys_as_well():
    line = "-c lvvit_s --load w.pdparams --new-heads --resume run -o MODEL.NUM_CLASSES 10 TRAIN.END_LR 0"
    assert changes(line) == {
        "MODEL.PRETRAINED": "w.pdparams", "MODEL.NEW_HEADS": "always", "MODEL.RESUME": "run", "MODEL.NUM_CLASSES": 10,
        "TRAIN.END_LR": 0.0}
    assert options_of(line).override[-4:] == ["MODEL.NUM_CLASSES", "10", "TRAIN.END_LR", "0"]
    assert changes("-c lvvit_s --evaluate-only --load w") == {"EVAL.ONLY": True, "MODEL.PRETRAINED": "w"}
    assert changes("-c lvvit_s --finetune w") == {"MODEL.PRETRAINED": "w", "MODEL.NEW_HEADS": "auto"}
    assert changes("-c lvvit_s --finetune w --new-heads")["MODEL.NEW_HEADS"] == "always"


def test_a_value_may_begin_with_a_minus():
    assert options_of("-c lvvit_s -o TRAIN.BASE_LR -1 SEED 3").override == ["TRAIN.BASE_LR", "-1", "SEED", "3"]


# ---- single flags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ("-num_classes=10", "MODEL.NUM_CLASSES", 10), ("-image_size=384", "DATA.IMAGE_SIZE", 384),
        ("-accum_iter 4", "TRAIN.ACCUM_ITER", 4), ("-output=/runs", "SAVE", "/runs"), ("-amp", "AMP", "always"),
        ("--input-size 192", "DATA.IMAGE_SIZE", 192), ("--input-size 3 192 192", "DATA.IMAGE_SIZE", 192),
        ("--input-size 3 160 288", "DATA.IMAGE_SIZE", [160, 288]),
        ("--opt sgd", "TRAIN.OPTIMIZER.NAME", "SGD"),
        ("--opt-betas 0.9 0.95", "TRAIN.OPTIMIZER.BETAS", [0.9, 0.95]), ("--clip-grad 1", "TRAIN.GRAD_CLIP", 1.0),
        ("--aa none", "TRAIN.AUTO_AUGMENT", ""), ("--reprob 0", "TRAIN.RANDOM_ERASE_PROB", 0.0),
        ("--cutmix-minmax 0.2 0.8", "TRAIN.CUTMIX_MINMAX", [0.2, 0.8]), ("--mixup-prob 0.5", "TRAIN.MIXUP_PROB", 0.5),
        ("--no-repeated-aug", "DATA.REPEATED_AUG", 1), ("--no-model-ema", "TRAIN.MODEL_EMA", False),
        ("--num_workers 2", "DATA.NUM_WORKERS", 2), ("--num-workers 2", "DATA.NUM_WORKERS", 2),
        ("--drop-path 0.3", "MODEL.DROPPATH", 0.3), ("--drop 0.2", "MODEL.DROPOUT", 0.2),
        ("--epochs 100", "TRAIN.NUM_EPOCHS", 100), ("--smoothing 0.0", "TRAIN.SMOOTHING", 0.0),
        ("--mean 0.5 0.5 0.5", "DATA.IMAGENET_MEAN", [0.5, 0.5, 0.5]), ("--seed 7", "SEED", 7),
        ("--data-set IMNET --crop-pct 1.0", "DATA.CROP_PCT", 1.0),
    ],
)
def test_a_flag_sets_its_key_and_no_other(flags, key, value):
    assert changes(f"--model deit_small {flags}") == {key: value}


# ---- learning rates ------------------------------------------------------------------------------------------------


def rates(line: str, processes: int) -> list[float]:
    """[first, highest, last] learning rate of a run of so many processes."""
    config = understood(line)
    plan = schedule_of(config, config.DATA.BATCH_SIZE * config.TRAIN.ACCUM_ITER * processes)
    return [plan.start, plan.base, plan.end]


@pytest.mark.parametrize("processes", [1, 4, 8])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/imagenet --model lvvit_s -b 64 --lr 4.e-4", [1e-6, 4e-4, 1e-5]),
        ("/imagenet --model lvvit_l -b 128 --lr 1.e-3 --min-lr 2e-5", [1e-6, 1e-3, 2e-5]),
        ("--data-dir /imagenet --model lvvit_s -b 64 --lr 4.e-4", [1e-6, 4e-4, 1e-5]),
        ("/imagenet --model t2t_vit_7 -b 128 --lr 1e-3 --warmup-lr 3e-6", [3e-6, 1e-3, 1e-5]),
        ("/imagenet --model deit_small -b 64 --lr 4e-4", [1e-6, 4e-4, 1e-5]),
        ("""/path/to/imagenet --model lvvit_s -b 64 --apex-amp --img-size 384 --drop-path 0.1 --token-label \
            --token-label-data /path/to/label_data --token-label-size 24 --lr 5.e-6 --min-lr 5.e-6 \
            --weight-decay 1.e-8 --finetune /path/to/checkpoint""", [1e-6, 5e-6, 5e-6]),
    ],
)
def test_rates_of_token_labeling_and_t2t_vit_are_what_is_typed_at_any_batch(line, expected, processes):
    assert rates(line, processes) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("processes", [1, 4, 8])
@pytest.mark.parametrize("batch", [32, 128, 256])
def test_deits_rate_is_for_a_batch_of_512_and_its_start_and_end_are_not_scaled(batch, processes):
    peak = 3e-4 * batch * processes / 512
    line = f"--model deit_small_patch16_224 --data-path /imagenet --batch-size {batch}"
    assert rates(f"{line} --lr 3e-4", processes) == pytest.approx([1e-6, peak, 1e-5], rel=1e-12)
    found = rates(f"{line} --lr 3e-4 --warmup-lr 2e-6 --min-lr 3e-5 --tl-align", processes)
    assert found == pytest.approx([2e-6, peak, 3e-5], rel=1e-12)


def test_a_rate_that_is_not_typed_is_the_recipes():
    plain = "--model deit_small --data-path /imagenet --batch-size 64"
    assert rates(f"{plain} --min-lr 3e-5", 4) == pytest.approx([1e-6, rates(plain, 4)[1], 3e-5], rel=1e-12)
    assert rates("/imagenet --model lvvit_s -b 64", 4) == pytest.approx([2.5e-7, 4e-4, 2.5e-6], rel=1e-12)


def test_beside_our_own_recipe_option_a_rate_is_only_a_key():
    assert changes("-c lvvit_s --lr 1e-3") == {"TRAIN.BASE_LR": 1e-3}
    assert changes("--model lvvit_s --data-path /imagenet --lr 1e-3 --min-lr 2e-5 --warmup-lr 3e-6") == {
        "DATA.DATA_PATH": "/imagenet", "TRAIN.BASE_LR": 1e-3, "TRAIN.END_LR": 2e-5, "TRAIN.WARMUP_START_LR": 3e-6}


def test_how_a_rate_follows_the_batch_may_still_be_said():
    assert changes("/imagenet --model lvvit_s --lr 1e-3 -o TRAIN.LINEAR_SCALED_LR 256")["TRAIN.LINEAR_SCALED_LR"] == 256


# ---- which weights are evaluated -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "weights"),
    [
        ("--eval --resume checkpoint.pth --model deit_small", "raw"),
        ("--eval --resume checkpoint.pth --model deit_small -o EVAL.WEIGHTS ema", "ema"),
        ("--eval --finetune checkpoint.pth --model deit_small", "raw"),
        ("/val --model lvvit_s --checkpoint c.pth.tar", "raw"),
        ("/val --model lvvit_s --checkpoint c.pth.tar --use-ema", "auto"),
        ("/val --model t2t_vit_14 --eval_checkpoint c.pth.tar", "auto"),
        ("-cfg=t2t_vit_7 -eval -pretrained=w", "auto"),
        ("-c deit_small --evaluate-only --resume run", "auto"),
        ("-c deit_small --eval --load w", "auto"),
        ("--resume run --model deit_small", "auto"),
    ],
)
def test_the_weights_evaluated_are_those_the_project_evaluates(line, weights):
    assert understood(line).EVAL.WEIGHTS == weights


# ---- other things that follow --------------------------------------------------------------------------------------


def test_a_teacher_is_named_by_its_model():
    found = changes("--model deit_tiny --distillation-type soft --teacher-model deit_base_patch16_224 "
                    "--teacher-path w.pth --distillation-alpha 0.1 --distillation-tau 3.0")
    assert found == {"DISTILL.TYPE": "soft", "DISTILL.TEACHER": "deit_base", "DISTILL.WEIGHTS": "w.pth",
                     "DISTILL.ALPHA": 0.1, "DISTILL.TAU": 3.0}


def test_deits_rate_is_meant_for_512_images_and_follows_the_batch_alone():
    typed = {"TRAIN.BASE_LR": 4e-4, "TRAIN.SCALED_RATES": "base"}
    assert changes("--model deit_small --lr 4e-4") == {**typed, "TRAIN.LINEAR_SCALED_LR": 512}
    assert changes("--model deit_small --lr 4e-4 -o TRAIN.LINEAR_SCALED_LR 1024") == typed
    assert changes("-c deit_small -o TRAIN.BASE_LR 4e-4") == {"TRAIN.BASE_LR": 4e-4}
    published = "--model deit_base_patch16_384 --lr 5e-6 --min-lr 5e-6 --epochs 30 --weight-decay 1e-8"
    assert changes(published) == {"TRAIN.SCALED_RATES": "base"}


def test_alignment_switches_mixup_and_the_average_off_and_cutmix_to_the_token_grid():
    assert changes("--model deit_small --tl-align") == {
        "MIX.CLASS_SHARE": "alignment", "MIX.CUTMIX_GRID": "tokens", "TRAIN.MIXUP_ALPHA": 0.0, "TRAIN.MODEL_EMA": False,
    }


def test_what_is_given_stays_with_alignment():
    found = changes("--model deit_small --tl-align --mixup 0.8 --model-ema")
    assert found == {"MIX.CLASS_SHARE": "alignment", "MIX.CUTMIX_GRID": "tokens"}


def test_paddlevit_evaluates_in_float32_whatever_amp_says():
    assert changes("-cfg=t2t_vit_7 -eval -amp -pretrained=w")["AMP"] == "never"
    assert changes("-cfg=t2t_vit_7 -amp")["AMP"] == "always"


def test_resume_without_a_path_is_the_newest_checkpoint():
    for line in ("--resume", "--resume --model deit_small", "--autoresume"):
        assert translate(line.split()).argv[-3:] == ["-o", "MODEL.RESUME", "auto"]


def test_an_empty_value_says_nothing():
    assert changes("--model deit_small --resume= --finetune= --load w") == {"MODEL.PRETRAINED": "w"}


def test_what_means_nothing_here_is_told_in_one_line():
    line = "-c a --device cuda --pin-mem --world_size 8 --dist_url env:// -ngpus=8 -last_epoch 0 -dataset=x -o SEED 1"
    found = translate(line.split())
    assert found.argv == ["--config=a", "-o", "SEED", "1"]
    assert len(found.notes) == 1
    assert "--device, --pin-mem, --world-size, --dist-url, -ngpus, -dataset: nothing to set" in found.notes[0]


def test_keys_take_their_values_with_a_space_or_an_equals_sign():
    found = translate(["-c", "a", "-o", "SEED=1", "SAVE", "x=y", "TRAIN.BASE_LR=-1e-3", "--epochs", "3"])
    assert found.argv == ["--config=a", "-o", "SEED", "1", "SAVE", "x=y", "TRAIN.BASE_LR", "-1e-3",
                          "TRAIN.NUM_EPOCHS", "3"]
    with pytest.raises(ValueError, match="--epochs 3 and -o TRAIN.NUM_EPOCHS 4 contradict each other"):
        translate(["-c", "a", "--epochs", "3", "-o", "TRAIN.NUM_EPOCHS=4"])


def test_flags_nobody_knows_are_left_to_be_refused():
    assert translate(["-c", "a", "--lrr=1", "2"]).argv == ["--lrr=1", "2", "--config=a"]
    with pytest.raises(SystemExit):
        train_parser("ppim train").parse_args(translate(["-c", "a", "--lrr=1"]).argv)


# ---- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-c a -batch_size=8 --batch-size 16", ["-batch_size 8", "--batch-size 16"]),
        ("-c a --lr 1 -o TRAIN.BASE_LR 2", ["--lr 1", "-o TRAIN.BASE_LR 2"]),
        ("-c a -o TRAIN.BASE_LR 2 --lr 1", ["--lr 1", "-o TRAIN.BASE_LR 2"]),
        ("-c a -pretrained=x --load y", ["-pretrained x", "--load y"]),
        ("-c a --load x --finetune y", ["--load x", "--finetune y"]),
        ("-c a --load x -o MODEL.PRETRAINED y", ["--load x", "-o MODEL.PRETRAINED y"]),
        ("-c a --evaluate-only -o EVAL.ONLY False", ["--evaluate-only True", "-o EVAL.ONLY False"]),
        ("-c a.yaml -cfg=b.yaml", ["-c a.yaml", "-cfg b.yaml"]),
        ("-c lvvit_s --model lvvit_m", ["-c lvvit_s", "--model lvvit_m"]),
        ("--model-ema --no-model-ema", ["--model-ema True", "--no-model-ema False"]),
        ("--tl-align -o MIX.CLASS_SHARE area", ["--tl-align alignment", "-o MIX.CLASS_SHARE area"]),
        ("-c a --lr", ["--lr wants a value"]),
        ("-c a -o SEED", ["SEED", "has no value"]),
        ("-c a -eval=True", ["-eval takes no value"]),
        ("-c a --input-size 224 192", ["--input-size", "224 192"]),
        ("--model a --data-set CIFAR", ["--data-set CIFAR", "--data-path"]),
        ("--model a --start_epoch 5", ["--start-epoch 5", "--resume"]),
        ("--model a --pretrained", ["--pretrained", "--load FILE"]),
        ("-cfg=a -last_epoch=5", ["-last_epoch 5", "--resume"]),
        ("--model a --resplit", ["--resplit", "every sample stands alone"]),
    ],
)
def test_contradictions_and_the_impossible_name_what_was_typed(line, words):
    with pytest.raises(ValueError) as error:
        translate(line.split())
    assert [word for word in words if word not in str(error.value)] == []


@pytest.mark.parametrize("line", ["--batch-size 8 -batch_size=8", "--mixup 0 -o TRAIN.MIXUP_ALPHA 0.0",
                                  "-c lvvit_s --model LV-ViT-S", "--lr 1 --lr 2", "-o SEED 1 SEED 2"])
def test_saying_it_twice_is_no_contradiction(line):
    translate(line.split())
