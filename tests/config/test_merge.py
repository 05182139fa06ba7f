"""Files and options: what is read from where, and what is refused in which words."""
import pytest

from ppim.config import get_config, save

# As PaddleViT's own files write such values: None and 1e-3 are text to yaml, 1 and 2.0 change places.
PADDLEVIT = """
DATA: {IMAGE_SIZE: 224, CROP_PCT: 0.9}
MODEL:
    TYPE: T2T-ViT
    NAME: t2t-vit-7
    TRANS: {TOKEN_TYPE: performer, EMBED_DIM: 256, DEPTH: 7.0, NUM_HEADS: 4, MLP_RATIO: 2, QKV_BIAS: False,
            QK_SCALE: None}
TRAIN: {NUM_EPOCHS: 300, WARMUP_EPOCHS: 10, BASE_LR: 1e-3, GRAD_CLIP: None, AUTO_AUGMENT: True}
"""


def test_paddlevits_files_load_unchanged(tmp_path):
    (tmp_path / "t2t.yaml").write_text(PADDLEVIT)
    config = get_config(tmp_path / "t2t.yaml")
    assert config.MODEL.TRANS.QK_SCALE is None and config.TRAIN.GRAD_CLIP is None
    assert config.TRAIN.BASE_LR == 0.001 and config.MODEL.TRANS.MLP_RATIO == 2.0 and config.MODEL.TRANS.DEPTH == 7
    assert config.TRAIN.AUTO_AUGMENT == "rand-m9-mstd0.5-inc1"


def test_a_file_starts_from_its_base_and_options_win_over_both(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text("TRAIN: {NUM_EPOCHS: 7, BASE_LR: 0.5}\nSEED: 3\n")
    (tmp_path / "b.yaml").write_text("BASE: [base/a.yaml]\nTRAIN: {NUM_EPOCHS: 8}\n")
    config = get_config(tmp_path / "b.yaml", ["SEED", "4"])
    assert (config.TRAIN.NUM_EPOCHS, config.TRAIN.BASE_LR, config.SEED) == (8, 0.5, 4)


def test_a_base_that_leads_back_to_itself_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text("BASE: [b.yaml]\n")
    (tmp_path / "b.yaml").write_text("BASE: [a.yaml]\n")
    with pytest.raises(ValueError, match="leads back"):
        get_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["TRAIN.BASE_LRR", "1"], "did you mean TRAIN.BASE_LR"),
        (["TRAIN.HFLIP", "0"], "did you mean DATA.HFLIP"),
        (["TRIAN.NUM_EPOCHS", "1"], "did you mean TRAIN"),
        (["TRAIN.NUM_EPOCHS", "many"], "TRAIN.NUM_EPOCHS wants a whole number, got 'many'"),
        (["TRAIN.BASE_LR", "fast"], "TRAIN.BASE_LR wants a number, got 'fast'"),
        (["AMP", "1"], "AMP wants one of auto, always, never; got '1'"),
        (["DETERMINISTIC", "1"], "DETERMINISTIC wants True or False, got 1"),
        (["TRAIN.GRAD_CLIP", "tight"], "a number or None"),
        (["TRAIN.GRAD_CLIP", "True"], "a number or None, got True"),
        (["TRAIN", "5"], "TRAIN is a section"),
        (["SEED"], "has no value"),
        (["SEED=1", "SAVE"], "'SAVE' has no value"),
        (["train.num_epochs", "3"], "unknown key train.num_epochs; did you mean TRAIN.NUM_EPOCHS?"),
        (["Train.Base_Lr=1"], "unknown key Train.Base_Lr; did you mean TRAIN.BASE_LR?"),
        (["seed", "3"], "unknown key seed; did you mean SEED?"),
        (["TRAIN.MIXUP_PROB", "1.5"], "-o: TRAIN.MIXUP_PROB wants 0 to 1"),
        (["TRAIN.GRAD_CLIP", "-1"], "TRAIN.GRAD_CLIP wants above 0 or None; got -1.0"),
        (["TRAIN.GRAD_CLIP", "0"], "TRAIN.GRAD_CLIP wants above 0 or None; got 0.0"),
        (["TRAIN.OPTIMIZER.MOMENTUM", "-1"], "TRAIN.OPTIMIZER.MOMENTUM wants at least 0 and below 1; got -1.0"),
        (["TRAIN.OPTIMIZER.MOMENTUM", "1"], "TRAIN.OPTIMIZER.MOMENTUM wants at least 0 and below 1; got 1.0"),
        (["TRAIN.OPTIMIZER.EPS", "0"], "TRAIN.OPTIMIZER.EPS wants above 0; got 0.0"),
        (["TRAIN.OPTIMIZER.BETAS", "[0.9]"], r"TRAIN.OPTIMIZER.BETAS wants a list of 2 numbers.*got \[0.9\]"),
        (["TRAIN.OPTIMIZER.BETAS", "[0.9, 1]"], r"BETAS wants .*each at least 0 and below 1, as \[0.9, 0.999\]"),
        (["TRAIN.WARMUP_START_LR", "-1e-6"], "TRAIN.WARMUP_START_LR wants at least 0"),
        (["TRAIN.END_LR", "-1e-6"], "TRAIN.END_LR wants at least 0"),
        (["TRAIN.BASE_LR", "nan"], "TRAIN.BASE_LR wants a finite number, got 'nan'"),
        (["TRAIN.MAX_HOURS", "1e400"], "TRAIN.MAX_HOURS wants a finite number, got inf"),
        (["SEED", str(2**64)], "SEED wants 0 to 18446744073709551615; got 18446744073709551616"),
        (["TRAIN.RANDOM_ERASE_COUNT", "0"], "TRAIN.RANDOM_ERASE_COUNT wants at least 1; got 0"),
        (["TRAIN.COLOR_JITTER", "-1"], "TRAIN.COLOR_JITTER wants at least 0; got -1.0"),
        (["DATA.IMAGENET_MEAN", '["a", 1, 2]'], r"DATA.IMAGENET_MEAN wants a list of 3 numbers.*got \['a', 1, 2\]"),
        (["DATA.IMAGENET_MEAN", "[0.5]"], "DATA.IMAGENET_MEAN wants a list of 3 numbers, each 0 to 1"),
        (["DATA.IMAGENET_MEAN", "[123.675, 116.28, 103.53]"], "DATA.IMAGENET_MEAN wants .*each 0 to 1, as"),
        (["DATA.IMAGENET_STD", "[0, 0, 0]"], "DATA.IMAGENET_STD wants a list of 3 numbers, each above 0 and at most 1"),
        (["SEGMENT.LAYERS", '["a", 1, 2, 3]'], "SEGMENT.LAYERS wants a list of 4 whole numbers, each at least 0, or"),
        (["SEGMENT.LAYERS", "[1.5, 2, 3, 3]"], r"SEGMENT.LAYERS wants .* got \[1.5, 2, 3, 3\]"),
        (["MODEL.TRANS.LAYERS", "[1, 2, 3]"], "MODEL.TRANS.LAYERS wants a list of 4 whole numbers, each at least 1"),
        (["MODEL.TRANS.NUM_HEADS", "0"], "MODEL.TRANS.NUM_HEADS wants at least 1 or None; got 0"),
        (["MODEL.TRANS.PATCH_SIZE", "-16"], "MODEL.TRANS.PATCH_SIZE wants at least 1 or None"),
        (["MODEL.TRANS.SKIP_LAM", "0"], "MODEL.TRANS.SKIP_LAM wants above 0 or None"),
        (["MODEL.TRANS.MLP_RATIO", "0"], "MODEL.TRANS.MLP_RATIO wants above 0 or None"),
        (["TRAIN.LINEAR_SCALED_LR", "0"], "wants at least 1 or None; got 0"),
        (["EVAL.WEIGHTS", "best"], "one of auto, raw, ema; got 'best'"),
        (["EVAL", "True", "EVAL.WEIGHTS", "ema"], "EVAL is a section, wanted keys below it, got True"),
        (["TRAIN.LAST_EPOCH", "5"], "-o: TRAIN.LAST_EPOCH 5: .* --resume"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words_that_help(options, words):
    with pytest.raises(ValueError, match=words):
        get_config(None, options)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        get_config(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("TRAIN: [1,\n")
    with pytest.raises(ValueError, match="broken.yaml"):
        get_config(tmp_path / "broken.yaml")


def test_a_wrong_value_is_told_with_the_file_it_stands_in(tmp_path):
    (tmp_path / "base.yaml").write_text("TRAIN: {NUM_EPOCHS: 0}\n")
    (tmp_path / "mine.yaml").write_text("BASE: base.yaml\nSEED: 1\n")
    with pytest.raises(ValueError, match=r"base\.yaml: TRAIN\.NUM_EPOCHS wants at least 1; got 0"):
        get_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("MODEL.EVAL_TOKENS", ("on", "'on'", "yes", "True", "always"), "always"),
        ("MODEL.EVAL_TOKENS", ("off", "'off'", "no", "False", "never"), "never"),
        ("TOKEN_LABEL.GEOMETRY", ("true", "'true'", "True", "exact"), "exact"),
        ("DISTILL.TYPE", ("none", "None", "null", "~"), "none"),
        ("TRAIN.AUTO_AUGMENT", ("False", "None", "null", "''"), ""),
    ],
)
def test_words_of_old_and_what_yaml_makes_of_words_are_read_in_a_file(key, written, value, tmp_path):
    section, name = key.split(".")
    for word in written:
        (tmp_path / "words.yaml").write_text(f"{section}: {{{name}: {word}}}\n")
        assert get_config(tmp_path / "words.yaml")[section][name] == value, word


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("MODEL.EVAL_TOKENS", ("on", "ON", "True", "true", "always"), "always"),
        ("MODEL.EVAL_TOKENS", ("off", "False", "never"), "never"),
        ("TOKEN_LABEL.GEOMETRY", ("true", "True", "exact"), "exact"),
        ("DISTILL.TYPE", ("none", "None", "null"), "none"),
        ("TRAIN.AUTO_AUGMENT", ("False", "none", ""), ""),
    ],
)
def test_the_same_words_are_read_as_options(key, typed, value):
    section, name = key.split(".")
    for word in typed:
        assert get_config(None, [key, word])[section][name] == value, word


def test_options_may_say_what_a_file_may_say():
    config = get_config(None, ["EVAL", "True", "TAG", "mine", "TRAIN.RAND_AUGMENT", "True",
                               "TRAIN.RAND_AUGMENT_MAGNITUDE", "7", "SEED", "1", "SEED", "2"])
    assert config.EVAL.ONLY is True and config.TRAIN.AUTO_AUGMENT == "rand-m7-n2" and config.SEED == 2
    assert "TAG" not in config


def test_a_key_and_its_value_may_be_one_word():
    mixed = get_config(opts=["SEED=7", "SAVE", "a=b", "TRAIN.BASE_LR=1e-3", "DATA.CROP_SCALE=[0.5, 1.0]"])
    assert (mixed.SEED, mixed.SAVE, mixed.TRAIN.BASE_LR, mixed.DATA.CROP_SCALE) == (7, "a=b", 1e-3, [0.5, 1.0])


@pytest.mark.parametrize("said", ["[-1]", "5", "{a: b}", "[[a.yaml]]", "[a.yaml, 2]"])
def test_bases_that_are_no_paths_are_named_with_their_file(tmp_path, said):
    (tmp_path / "a.yaml").write_text("SEED: 3\n")
    (tmp_path / "b.yaml").write_text(f"BASE: {said}\n")
    with pytest.raises(ValueError, match="b.yaml: BASE wants paths of yaml files, got"):
        get_config(tmp_path / "b.yaml")


@pytest.mark.parametrize("content", ["", "#", "# sha256", "---\n"])
def test_a_file_with_nothing_in_it_is_no_configuration(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path}: nothing is in it"):
        get_config(path)


@pytest.mark.parametrize("text", ["2024_05_01", "1.10", "010", "1_0", "12:30", "0x10", "+5", "1e3", "'a'", "(1)", "猫"])
def test_typed_text_stays_as_it_is_typed(text, tmp_path):
    config = get_config(None, ["SAVE", text, f"DATA.DATA_PATH={text}", "MODEL.CLASSES", text])
    assert (config.SAVE, config.DATA.DATA_PATH, config.MODEL.CLASSES) == (text, text, text)
    save(config, tmp_path / "config.yaml")
    assert get_config(tmp_path / "config.yaml") == config
    assert get_config(None, ["MODEL.CLASSES", "None"]).MODEL.CLASSES is None


@pytest.mark.parametrize(("written", "read"), [
    ("1.10", "1.1"), ("010", "8"), ("12:30", "750"), ("2024_05_01", "20240501"), ("+5", "5"), ("0x10", "16"),
])
@pytest.mark.parametrize("line", ["SAVE: {}", "MODEL: {{CLASSES: {}}}", "MODEL:\n  <<: {{CLASSES: {}}}\n  DROPOUT: 0"])
def test_a_number_that_is_no_more_the_text_in_the_file_is_to_be_put_in_quotes(written, read, line, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(line.format(written))
    with pytest.raises(ValueError) as error:
        get_config(path)
    key = "SAVE" if line.startswith("SAVE") else "MODEL.CLASSES"
    assert str(error.value) == (f"{path}: {key} wants text; {written} is a number to yaml, {read}; put it in quotes: "
                                f"'{written}'")
    path.write_text(line.format(f"'{written}'"))
    config = get_config(path)
    assert (config.SAVE or config.MODEL.CLASSES) == written


def test_a_number_that_is_the_text_in_the_file_is_that_text(tmp_path):
    (tmp_path / "a.yaml").write_text("SAVE: 2024\nTRAIN: {FREEZE: 2, BASE_LR: 0.10}\nMODEL: {CLASSES: 1.5}\n")
    config = get_config(tmp_path / "a.yaml")
    assert (config.SAVE, config.TRAIN.FREEZE, config.TRAIN.BASE_LR, config.MODEL.CLASSES) == ("2024", "2", 0.1, "1.5")


@pytest.mark.parametrize(("content", "said"), [
    ("SEED: 1\nSAVE: x\nSEED: 2\n", "SEED stands twice, in line 1 and in line 3"),
    ("TRAIN: {NUM_EPOCHS: 3}\nSEED: 1\nTRAIN:\n  BASE_LR: 1\n", "TRAIN stands twice, in line 1 and in line 3"),
    ("TRAIN:\n  OPTIMIZER:\n    EPS: 1\n    EPS: 1\n", "TRAIN.OPTIMIZER.EPS stands twice, in line 3 and in line 4"),
    ("SEED: 1\n'SEED': 1\n", "SEED stands twice, in line 1 and in line 2"),
    ("BASE: &b [*b, {A: 1, A: 2}]\n", "BASE.A stands twice, in line 1 and in line 1"),
])
def test_a_key_that_stands_twice_is_refused_with_its_lines(content, said, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(ValueError) as error:
        get_config(path)
    assert str(error.value) == f"{path}: {said}; put what is to count in one place"


def test_what_is_merged_may_be_said_again(tmp_path):
    (tmp_path / "a.yaml").write_text("TRAIN: &t {<<: &u {NUM_EPOCHS: 30, BASE_LR: 0.5}, BASE_LR: 0.25}\n"
                                     "DATA: {<<: {HFLIP: 0.1}, <<: {HFLIP: 0.2}, HFLIP: 0.3}\n")
    config = get_config(tmp_path / "a.yaml")
    assert (config.TRAIN.NUM_EPOCHS, config.TRAIN.BASE_LR, config.DATA.HFLIP) == (30, 0.25, 0.3)
