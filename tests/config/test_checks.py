"""Keys that contradict each other are refused in words that name them."""
import pytest

from ppim.config import get_config

VOLO = ["MODEL.TYPE", "VOLO", "MODEL.NAME", "volo_d1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["MODEL.TRANS.EMBED_DIM", "65"], "EMBED_DIM (65) must be a multiple of MODEL.TRANS.NUM_HEADS (6)"),
        (["MODEL.NAME", "deit_s"], "MODEL.NAME deit_s is a model of MODEL.TYPE DeiT, got LV-ViT"),
        (["DATA.IMAGE_SIZE", "230"], "the nearest are 224 and 240"),
        (["TASK", "segment", "DATA.IMAGE_SIZE", "[64, 32]"], "wants one side in pixels, got [64, 32]"),
        (["TOKEN_LABEL.GEOMETRY", "released", "DATA.AUG_ORDER", "crop-first"],
         "-o DATA.AUG_ORDER released TOKEN_LABEL.FRAME whole as well"),
        (["MIX.GROUP", "127"], "MIX.GROUP wants an even number of images, since pairs are mixed; got 127, try 128"),
        (["TOKEN_LABEL.GEOMETRY", "released", "DATA.AUG_ORDER", "released", "TOKEN_LABEL.FILL", "ignore"],
         "FILL uniform"),
        (["TRAIN.WARMUP_EPOCHS", "300"], "must be less than TRAIN.NUM_EPOCHS"),
        (["DATA.CROP_SCALE", "[1.0, 0.5]"], "DATA.CROP_SCALE"),
        (["TOKEN_LABEL.ENABLE", "True", "TOKEN_LABEL.PATH", ""], "TOKEN_LABEL.PATH"),
        (["DATA.CROP_RATIO", "[1.0]"], "DATA.CROP_RATIO wants [least, most] with 0 < least <= most; got [1.0]"),
        (["TRAIN.CUTMIX_MINMAX", "[0.2, 1.0]"], "TRAIN.CUTMIX_MINMAX wants [least, most] with 0 < least <= most < 1"),
        (["TRAIN.CUTMIX_MINMAX", "[0.2, 'wide']"], "TRAIN.CUTMIX_MINMAX wants [least, most]"),
        ([*VOLO, "MIX.CLASS_SHARE", "alignment"], "set it to attention or area"),
        ([*VOLO, "TRAIN.FREEZE", "19"], "wants at most the 18 blocks of volo_d1"),
        (["MODEL.DENSE_HEAD", "True"], "MODEL.DENSE_HEAD is for MODEL.TYPE DeiT, T2T-ViT, ViT, got LV-ViT"),
    ],
)
def test_what_makes_no_sense_together_is_refused_in_words_that_help(options, words):
    with pytest.raises(ValueError) as error:
        get_config(None, options)
    assert words in str(error.value)


def test_shares_of_the_whole_are_no_mistake_but_for_cutmix():
    assert get_config(None, ["DATA.CROP_SCALE", "[1, 1]"]).DATA.CROP_SCALE == [1.0, 1.0]
