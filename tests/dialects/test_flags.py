"""Command lines of other projects: what each is in our spelling, and what is refused in which words."""
import shlex

import pytest

from ppim.cli import train_parser
from ppim.config import differences, get_config, published_recipes, recipe_path
from ppim.dialects import recipe_name, translate

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
TOKEN_LABELING_EVAL = "/val --model lvvit_s --checkpoint /m/lvvit_s.tar --no-test-pool --amp --img-size 384 -b 64"


def understood(line: str):
    """(options, configuration) of a command line."""
    options = train_parser().parse_args(translate(shlex.split(line, comments=True), published_recipes()).argv)
    return options, get_config(options.config, options.override)


def changes(line: str) -> dict:
    """Keys on which a command line departs from the recipe it names."""
    options, config = understood(line)
    return {key: value for key, value, _ in differences(config, get_config(options.config))}


# ---- the published command lines -----------------------------------------------------------------------------------


def test_paddlevits_evaluation():
    options, config = understood(PADDLEVIT_EVAL)
    assert options.evaluate_only and options.load == "/path/to/pretrained/model/t2t_vit_7" and options.resume is None
    assert config.MODEL.NAME == "t2t_vit_7"
    assert changes(PADDLEVIT_EVAL) == {
        "DATA.BATCH_SIZE": 16, "DATA.BATCH_SIZE_EVAL": 16, "DATA.DATA_PATH": "/path/to/dataset/imagenet/val"}


def test_paddlevits_training_leaves_the_evaluation_batch_alone():
    options, config = understood(PADDLEVIT_TRAIN)
    assert not options.evaluate_only and options.load is None and config.MODEL.NAME == "t2t_vit_7"
    assert changes(PADDLEVIT_TRAIN) == {"DATA.BATCH_SIZE": 32, "DATA.DATA_PATH": "/data/imagenet/train"}


def test_tl_aligns_training_is_the_published_recipe_of_it():
    _, config = understood(TL_ALIGN_TRAIN)
    rest = differences(config, get_config(recipe_path("deit_small_tla")))
    assert {key: value for key, value, _ in rest} == {"DATA.DATA_PATH": "/path/to/imagenet", "SAVE": "/path/to/output"}


def test_tl_aligns_evaluation_takes_its_weights_from_resume():
    options, config = understood(TL_ALIGN_EVAL)
    assert options.evaluate_only and options.resume == "checkpoint.pth" and options.load is None
    assert config.MODEL.NAME == "deit_small_patch16_224"
    assert changes(TL_ALIGN_EVAL) == {"DATA.DATA_PATH": "/path/to/imagenet"}


def test_t2ts_training_is_its_published_recipe():
    assert changes(T2T_TRAIN) == {"DATA.DATA_PATH": "path/to/data"}
    assert understood(T2T_TRAIN)[1].MODEL.NAME == "t2t_vit_t_14"


def test_t2ts_and_token_labelings_evaluation_name_their_weights_checkpoint():
    options, config = understood(T2T_EVAL)
    assert options.evaluate_only and options.load == "path/to/checkpoint" and config.MODEL.NAME == "t2t_vit_t_24"
    options, config = understood(TOKEN_LABELING_EVAL)
    assert options.evaluate_only and options.load == "/m/lvvit_s.tar" and config.AMP
    assert (config.MODEL.NAME, config.DATA.DATA_PATH, config.DATA.BATCH_SIZE_EVAL) == ("lvvit_s_384", "/val", 64)


def test_token_labelings_training():
    line = """/imagenet --model lvvit_s -b 128 --apex-amp --img-size 224 --drop-path 0.1 --token-label \
        --token-label-data /maps --token-label-size 14 --model-ema"""
    assert changes(line) == {"AMP": True, "DATA.DATA_PATH": "/imagenet", "TOKEN_LABEL.PATH": "/maps"}


def test_our_own_spelling_passes_through():
    line = "-c lvvit_s --load w.pdparams --new-heads --resume run --debug -o MODEL.NUM_CLASSES 10 TRAIN.BASE_LR -1"
    options = train_parser().parse_args(translate(line.split()).argv)
    assert (options.config, options.load, options.resume) == ("lvvit_s", "w.pdparams", "run")
    assert options.new_heads and options.debug and not options.evaluate_only
    assert options.override == ["MODEL.NUM_CLASSES", "10", "TRAIN.BASE_LR", "-1"]


# ---- single flags --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ("-num_classes=10", "MODEL.NUM_CLASSES", 10), ("-image_size=384", "DATA.IMAGE_SIZE", 384),
        ("-accum_iter 4", "TRAIN.ACCUM_ITER", 4), ("-output=/runs", "SAVE", "/runs"), ("-amp", "AMP", True),
        ("--input-size 192", "DATA.IMAGE_SIZE", 192), ("--input-size 3 192 192", "DATA.IMAGE_SIZE", 192),
        ("--lr 1e-3", "TRAIN.BASE_LR", 1e-3), ("--min-lr 0", "TRAIN.END_LR", 0.0),
        ("--warmup-lr=1e-7", "TRAIN.WARMUP_START_LR", 1e-7), ("--opt sgd", "TRAIN.OPTIMIZER.NAME", "SGD"),
        ("--opt-betas 0.9 0.95", "TRAIN.OPTIMIZER.BETAS", [0.9, 0.95]), ("--clip-grad 1", "TRAIN.GRAD_CLIP", 1.0),
        ("--aa none", "TRAIN.AUTO_AUGMENT", ""), ("--reprob 0", "TRAIN.RANDOM_ERASE_PROB", 0.0),
        ("--cutmix-minmax 0.2 0.8", "TRAIN.CUTMIX_MINMAX", [0.2, 0.8]), ("--mixup-prob 0.5", "TRAIN.MIXUP_PROB", 0.5),
        ("--no-repeated-aug", "DATA.REPEATED_AUG", 1), ("--no-model-ema", "TRAIN.MODEL_EMA", False),
        ("--num_workers 2", "DATA.NUM_WORKERS", 2), ("--num-workers 2", "DATA.NUM_WORKERS", 2),
        ("--drop-path 0.3", "MODEL.DROPPATH", 0.3), ("--drop 0.2", "MODEL.DROPOUT", 0.2),
        ("--epochs 100", "TRAIN.NUM_EPOCHS", 100), ("--smoothing 0.0", "TRAIN.SMOOTHING", 0.0),
        ("--mean 0.5 0.5 0.5", "DATA.IMAGENET_MEAN", [0.5, 0.5, 0.5]), ("--seed 7", "SEED", 7),
        ("--use-ema", "EVAL.WEIGHTS", "ema"), ("--data-set IMNET --crop-pct 1.0", "DATA.CROP_PCT", 1.0),
    ],
)
def test_a_flag_sets_its_key_and_no_other(flags, key, value):
    assert changes(f"--model deit_small {flags}") == {key: value}


def test_a_teacher_is_named_by_its_model():
    found = changes("--model deit_tiny --distillation-type soft --teacher-model deit_base_patch16_224 "
                    "--teacher-path w.pth --distillation-alpha 0.1 --distillation-tau 3.0")
    assert found == {"DISTILL.TYPE": "soft", "DISTILL.TEACHER": "deit_base", "DISTILL.WEIGHTS": "w.pth",
                     "DISTILL.ALPHA": 0.1, "DISTILL.TAU": 3.0}


def test_alignment_switches_mixup_off_and_cutmix_to_the_token_grid():
    assert changes("--model deit_small --tl-align") == {
        "MIX.CLASS_SHARE": "alignment", "MIX.CUTMIX_GRID": "tokens", "TRAIN.MIXUP_ALPHA": 0.0,
    }


def test_a_mixup_that_is_given_stays_with_alignment():
    found = changes("--model deit_small --tl-align --mixup 0.8")
    assert found == {"MIX.CLASS_SHARE": "alignment", "MIX.CUTMIX_GRID": "tokens"}


def test_paddlevit_evaluates_in_float32_whatever_amp_says():
    assert changes("-cfg=t2t_vit_7 -eval -amp -pretrained=w")["AMP"] is False
    assert changes("-cfg=t2t_vit_7 -amp")["AMP"] is True


def test_resume_without_a_path_is_the_newest_checkpoint():
    for line in ("--resume", "--resume --model deit_small", "--autoresume"):
        assert train_parser().parse_args(translate(line.split()).argv).resume == "auto"


def test_an_empty_value_says_nothing():
    options, _ = understood("--model deit_small --resume= --finetune= --load w")
    assert options.resume is None and options.finetune is None and options.load == "w"


def test_what_means_nothing_here_is_told_in_one_line():
    found = translate("-c a --device cuda --pin-mem --world_size 8 --dist_url env:// -o SEED 1".split())
    assert found.argv == ["--config=a", "-o", "SEED", "1"]
    assert len(found.notes) == 1 and "--device, --pin-mem, --world-size, --dist-url" in found.notes[0]


def test_flags_nobody_knows_are_left_to_be_refused():
    assert translate(["-c", "a", "--lrr=1", "2"]).argv == ["--lrr=1", "2", "--config=a"]
    with pytest.raises(SystemExit):
        train_parser().parse_args(translate(["-c", "a", "--lrr=1"]).argv)


# ---- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-c a -batch_size=8 --batch-size 16", ["-batch_size 8", "--batch-size 16"]),
        ("-c a --lr 1 -o TRAIN.BASE_LR 2", ["--lr 1", "-o TRAIN.BASE_LR 2"]),
        ("-c a -o TRAIN.BASE_LR 2 --lr 1", ["--lr 1", "-o TRAIN.BASE_LR 2"]),
        ("-c a -pretrained=x --load y", ["-pretrained x", "--load y"]),
        ("-c a.yaml -cfg=b.yaml", ["-c a.yaml", "-cfg b.yaml"]),
        ("-c lvvit_s --model lvvit_m", ["-c lvvit_s", "--model lvvit_m"]),
        ("--model-ema --no-model-ema", ["--model-ema True", "--no-model-ema False"]),
        ("--tl-align -o MIX.CLASS_SHARE area", ["--tl-align alignment", "-o MIX.CLASS_SHARE area"]),
        ("-c a --lr", ["--lr wants a value"]),
        ("-c a -o SEED", ["SEED", "has no value"]),
        ("-c a -eval=True", ["-eval takes no value"]),
        ("-c a --input-size 3 224 192", ["--input-size", "3 224 192"]),
        ("--model a --data-set CIFAR", ["--data-set CIFAR", "--data-path"]),
        ("--model a --start_epoch 5", ["--start-epoch 5", "--resume"]),
        ("--model a --pretrained", ["--pretrained", "--load FILE"]),
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


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("LV-ViT-S", "lvvit_s"), ("lvvit_t", "lvvit_tiny"), ("LV-ViT-M-384", "lvvit_m_384"),
        ("T2t_vit_14", "t2t_vit_14"),
        ("t2t-vit-t-24", "t2t_vit_t_24"), ("T2T-ViT_t-14", "t2t_vit_t_14"), ("deit_s", "deit_small"),
        ("deit_ti_distilled", "deit_tiny_distilled"), ("deit_b_distilled_384", "deit_base_distilled_384"),
        ("deit_base_patch16_384", "deit_base_384"), ("deit_small_distilled_patch16_224", "deit_small_distilled"),
        ("deit_small_tla", "deit_small_tla"),
    ],
)
def test_a_models_name_in_any_spelling_finds_its_recipe(name, recipe):
    assert recipe_name(name) == recipe and recipe_path(name).stem == recipe


def test_every_published_model_finds_a_recipe_of_that_model():
    from ppim.models import deit, lvvit, normalise_name, t2t_vit

    names = [*lvvit.VARIANTS, *t2t_vit.VARIANTS, *deit.VARIANTS, *deit.ALIASES, *lvvit.ALIASES]
    for name in names:
        assert normalise_name(get_config(recipe_path(name)).MODEL.NAME) == normalise_name(name)
