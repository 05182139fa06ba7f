"""What is trained and what is evaluated of a model follows from what it is taught."""
import paddle
import pytest

from ppim.config import get_config
from ppim.engine.distributed import World
from ppim.engine.train_state import build_model_for, build_train_state, eval_token_weight
from ppim.models import create_model

SMALL = ["MODEL.NAME", "small", "MODEL.TYPE", "LV-ViT", "MODEL.NUM_CLASSES", "3", "DATA.IMAGE_SIZE", "16",
         "MODEL.TRANS.PATCH_SIZE", "8", "MODEL.TRANS.EMBED_DIM", "8", "MODEL.TRANS.DEPTH", "1",
         "MODEL.TRANS.NUM_HEADS", "1", "MODEL.TRANS.STEM_CHANNELS", "4", "MODEL.TRANS.MLP_RATIO", "2",
         "MODEL.TRANS.QKV_BIAS", "False", "MODEL.TRANS.SKIP_LAM", "1.0"]


def config_of(*options):
    return get_config(None, [*SMALL, *options])


@pytest.mark.parametrize(
    ("setting", "trained", "weight"),
    [("always", False, 0.5), ("always", True, 0.5), ("auto", True, 0.5), ("auto", False, 0.0), ("never", True, 0.0)],
)
def test_the_token_head_speaks_in_evaluation_where_it_was_taught_or_is_asked_to(setting, trained, weight):
    assert eval_token_weight(build_model_for(config_of()), setting, trained) == weight
    headless = create_model("deit_tiny", image_size=16, num_classes=3, embed_dim=6, depth=1, num_heads=1)
    assert eval_token_weight(headless, setting, trained) == 0.0


@pytest.mark.parametrize("taught", [True, False])
def test_a_token_head_without_a_loss_is_not_trained(taught):
    config = config_of("TOKEN_LABEL.ENABLE", str(taught))
    model = build_model_for(config)
    assert model.eval_token_weight == (0.5 if taught else 0.0)
    state = build_train_state(config, model, World())
    assert {parameter.stop_gradient for parameter in model.aux_head.parameters()} == {not taught}
    assert not any(parameter.stop_gradient for parameter in model.head.parameters())
    before = model.aux_head.weight.numpy().copy()
    for parameter in model.parameters():
        if not parameter.stop_gradient:
            parameter.grad = paddle.ones_like(parameter)
    state.optimizer.set_lr(0.1)
    state.optimizer.step()
    assert (model.aux_head.weight.numpy() == before).all() == (not taught)
