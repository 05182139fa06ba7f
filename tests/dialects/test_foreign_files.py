"""PaddleViT's yaml files, written here with its keys, load unchanged and mean what they mean there."""
import pytest

from ppim.config import differences, find_recipe, get_config, published_recipes
from ppim.dialects import translate_file
from ppim.models import build_model, create_model

T2T = """
DATA:
    IMAGE_SIZE: 224
    CROP_PCT: 0.9
MODEL:
    TYPE: T2T-ViT
    NAME: t2t-vit-t-14
    TRANS:
        TOKEN_TYPE: transformer
        EMBED_DIM: 384
        DEPTH: 14
        NUM_HEADS: 6
        MLP_RATIO: 3.0
        QKV_BIAS: False
        QK_SCALE: None
TRAIN:
    NUM_EPOCHS: 300
    WARMUP_EPOCHS: 3
    WEIGHT_DECAY: 0.3
    BASE_LR: 0.003
    WARMUP_START_LR: 1e-6
    END_LR: 5e-4
    ACCUM_ITER: 2
"""
DEIT = """
DATA: {IMAGE_SIZE: 224, CROP_PCT: 0.875}
MODEL:
    TYPE: DeiT
    NAME: deit_tiny_patch16_224
    TRANS: {PATCH_SIZE: 16, IN_CHANNELS: 3, EMBED_DIM: 192, MLP_RATIO: 4.0, DEPTH: 12, NUM_HEADS: 3, QKV_BIAS: True}
TRAIN: {NUM_EPOCHS: 300, WARMUP_EPOCHS: 5, WEIGHT_DECAY: 0.05, BASE_LR: 5e-4, WARMUP_START_LR: 1e-6, END_LR: 1e-5,
        ACCUM_ITER: 1, LINEAR_SCALED_LR: 512}
"""

# The same network as its newest files have it, without the section TRANS.
FLAT_T2T = T2T.replace("    TRANS:\n", "").replace("        ", "    ")

# Everything that its configurations of these models declare, with the values they declare.
EVERYTHING = """
BASE: ['']
DATA: {BATCH_SIZE: 256, BATCH_SIZE_EVAL: 8, DATA_PATH: /dataset/imagenet/, DATASET: imagenet2012, IMAGE_SIZE: 224,
       IMAGE_CHANNELS: 3, CROP_PCT: 0.875, NUM_WORKERS: 2, IMAGENET_MEAN: "[0.5, 0.5, 0.5]",
       IMAGENET_STD: [0.5, 0.5, 0.5]}
MODEL:
    TYPE: DeiT
    NAME: DeiT
    RESUME: None
    RESUME_EMA: None
    PRETRAINED: None
    NUM_CLASSES: 1000
    DROPOUT: 0.1
    DROPPATH: 0.1
    ATTENTION_DROPOUT: 0.0
    TRANS: {TOKEN_TYPE: performer, PATCH_SIZE: 16, IN_CHANNELS: 3, EMBED_DIM: 192, DEPTH: 12, MLP_RATIO: 4.,
            NUM_HEADS: 4, QKV_BIAS: True, QK_SCALE: None, INIT_VALUES: 1e-5}
TRAIN:
    LAST_EPOCH: 0
    NUM_EPOCHS: 300
    WARMUP_EPOCHS: 3
    WEIGHT_DECAY: 0.05
    BASE_LR: 0.001
    WARMUP_START_LR: 1e-6
    END_LR: 5e-4
    GRAD_CLIP: 1.0
    ACCUM_ITER: 2
    LINEAR_SCALED_LR: None
    MODEL_EMA: True
    MODEL_EMA_DECAY: 0.99996
    MODEL_EMA_FORCE_CPU: True
    LR_SCHEDULER: {NAME: warmupcosine, MILESTONES: "30, 60, 90", DECAY_EPOCHS: 30, DECAY_RATE: 0.1}
    OPTIMIZER: {NAME: AdamW, EPS: 1e-8, BETAS: "(0.9, 0.95)", MOMENTUM: 0.9}
    MIXUP_ALPHA: 0.8
    CUTMIX_ALPHA: 1.0
    CUTMIX_MINMAX: None
    MIXUP_PROB: 1.0
    MIXUP_SWITCH_PROB: 0.5
    MIXUP_MODE: batch
    SMOOTHING: 0.1
    COLOR_JITTER: 0.4
    AUTO_AUGMENT: False
    RAND_AUGMENT: True
    RAND_AUGMENT_LAYERS: 3
    RAND_AUGMENT_MAGNITUDE: 7
    RANDOM_ERASE_PROB: 0.25
    RANDOM_ERASE_MODE: pixel
    RANDOM_ERASE_COUNT: 1
    RANDOM_ERASE_SPLIT: False
    DISTILLATION_TYPE: none
    DISTILLATION_ALPHA: 0.3
    DISTILLATION_TAU: 2.0
    TEACHER_MODEL: ./regnety_160
AUG: {COLOR_JITTER: 0.4, AUTO_AUGMENT: rand-m9-mstd0.5-inc1, RE_PROB: 0.25, MIXUP: 0.2}
SAVE: ./output
TAG: default
SAVE_FREQ: 5
REPORT_FREQ: 100
VALIDATE_FREQ: 100
SEED: 42
EVAL: False
AMP: False
LOCAL_RANK: 0
NGPUS: -1
"""


def read(tmp_path, text):
    (tmp_path / "theirs.yaml").write_text(text)
    return get_config(tmp_path / "theirs.yaml")


def test_a_t2t_file_makes_the_published_model_and_is_never_scaled(tmp_path):
    config = read(tmp_path, T2T)
    ours, published = build_model(config), create_model("t2t_vit_t_14")
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in published.named_parameters()}
    train = config.TRAIN
    assert (train.BASE_LR, train.WARMUP_START_LR, train.END_LR, train.LINEAR_SCALED_LR) == (0.003, 1e-6, 5e-4, None)
    assert train.LR_SCHEDULER.NAME == "warmupcosine" and train.ACCUM_ITER == 2 and train.WEIGHT_DECAY == 0.3


def test_a_deit_file_makes_the_published_model_and_is_scaled_from_512(tmp_path):
    config = read(tmp_path, DEIT)
    ours, published = build_model(config), create_model("deit_tiny")
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in published.named_parameters()}
    assert config.TRAIN.LINEAR_SCALED_LR == 512 and config.DATA.CROP_PCT == 0.875


def test_a_network_directly_below_model_is_the_same_network(tmp_path):
    assert "TRANS" not in FLAT_T2T and "    EMBED_DIM: 384" in FLAT_T2T
    assert read(tmp_path, FLAT_T2T) == read(tmp_path, T2T)
    flat = "MODEL: {TYPE: DeiT, NAME: deit, PATCH_SIZE: 16, IN_CHANNELS: 3, EMBED_DIM: 192, DEPTH: 12, NUM_HEADS: 3}"
    trans = read(tmp_path, flat).MODEL.TRANS
    assert (trans.PATCH_SIZE, trans.EMBED_DIM, trans.DEPTH, trans.NUM_HEADS) == (16, 192, 12, 3)


def test_a_network_in_both_places_must_be_one(tmp_path):
    assert read(tmp_path, "MODEL: {DEPTH: 7, TRANS: {DEPTH: 7}}").MODEL.TRANS.DEPTH == 7
    with pytest.raises(ValueError, match="theirs.yaml: MODEL.DEPTH 7 and MODEL.TRANS.DEPTH 8 contradict"):
        read(tmp_path, "MODEL: {DEPTH: 7, TRANS: {DEPTH: 8}}")
    with pytest.raises(ValueError, match="MODEL.TRANS is a section"):
        read(tmp_path, "MODEL: {TRANS: 5, DEPTH: 7}")


def test_a_file_with_every_key_loads(tmp_path):
    config = read(tmp_path, EVERYTHING)
    train = config.TRAIN
    assert config.DATA.IMAGENET_MEAN == [0.5, 0.5, 0.5] and train.OPTIMIZER.BETAS == [0.9, 0.95]
    assert train.AUTO_AUGMENT == "rand-m7-n3" and train.MIXUP_ALPHA == 0.8 and train.GRAD_CLIP == 1.0
    assert (config.DISTILL.TYPE, config.DISTILL.ALPHA, config.DISTILL.TAU) == ("none", 0.3, 2.0)
    assert config.MODEL.PRETRAINED is None and train.LINEAR_SCALED_LR is None and config.EVAL.ONLY is False
    assert (config.SAVE, config.SAVE_FREQ, config.VALIDATE_FREQ, config.SEED) == ("./output", 5, 100, 42)


def test_keys_that_change_nothing_leave_no_trace(tmp_path):
    text = """
DATA: {DATASET: cifar10}
TRAIN: {LAST_EPOCH: 0, RANDOM_ERASE_SPLIT: False, LR_SCHEDULER: {MILESTONES: "5, 7", DECAY_EPOCHS: 2, DECAY_RATE: 0.5}}
TAG: mine
LOCAL_RANK: 3
NGPUS: 8
"""
    assert differences(read(tmp_path, text), get_config()) == []


@pytest.mark.parametrize(("text", "words"), [
    ("TRAIN: {LAST_EPOCH: 5}", r"theirs.yaml: TRAIN.LAST_EPOCH 5: .* --resume"),
    ("TRAIN: {RANDOM_ERASE_SPLIT: True}", r"theirs.yaml: TRAIN.RANDOM_ERASE_SPLIT True: every sample stands alone"),
])
def test_keys_that_ask_for_what_there_is_not_are_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


def test_rand_augment_switched_off_leaves_auto_augment_to_itself(tmp_path):
    text = "TRAIN: {AUTO_AUGMENT: %s, RAND_AUGMENT: False, RAND_AUGMENT_LAYERS: 2}"
    assert read(tmp_path, text % "False").TRAIN.AUTO_AUGMENT == ""
    assert read(tmp_path, text % "rand-m5").TRAIN.AUTO_AUGMENT == "rand-m5"


@pytest.mark.parametrize(("spelling", "family"), [("T2T_ViT", "T2T-ViT"), ("deit", "DeiT"), ("LVViT", "LV-ViT"),
                                                  ("Swin", "Swin")])
def test_the_family_is_read_in_any_spelling_of_it(spelling, family):
    assert translate_file({"MODEL": {"TYPE": spelling}}) == {"MODEL": {"TYPE": family}}


def test_the_content_handed_in_is_left_as_it_was():
    content = {"TRAIN": {"TEACHER_MODEL": "w", "OPTIMIZER": {"BETAS": "(0.9, 0.95)"}}}
    assert translate_file(content) == {"DISTILL": {"WEIGHTS": "w"}, "TRAIN": {"OPTIMIZER": {"BETAS": [0.9, 0.95]}}}
    assert content == {"TRAIN": {"TEACHER_MODEL": "w", "OPTIMIZER": {"BETAS": "(0.9, 0.95)"}}}


def test_mistakes_in_a_file_are_still_told(tmp_path):
    for text, words in (("TRAIN: 5", "TRAIN is a section"),
                        ("{DISTILL: 3, TRAIN: {DISTILLATION_TYPE: hard}}", "DISTILL is a section"),
                        ("TRAIN: {BASE_LRR: 1}", "did you mean TRAIN.BASE_LR"),
                        ("TRAIN.BASE_LR: 1", "unknown key TRAIN.BASE_LR")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, text)


def test_a_file_where_paddlevit_keeps_it_is_the_published_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe("./configs/t2t_vit_7.yaml") == published_recipes()["t2t_vit_7"]
    assert get_config("./configs/t2t_vit_7.yaml").MODEL.NAME == "t2t_vit_7"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "t2t_vit_7.yaml").write_text("SEED: 5\n")
    assert get_config("./configs/t2t_vit_7.yaml").SEED == 5
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        get_config("./configs/nowhere.yaml")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        get_config("./elsewhere/t2t_vit_7.yaml")
