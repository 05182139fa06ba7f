"""Learning from another network: on the class token and on every token, against distributions written out."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest

from ppim.config import get_config, recipe_path
from ppim.engine.command import run
from ppim.mixing import Mixed, draw_mix
from ppim.models import build_model, create_model
from ppim.objective.losses import distillation, top_targets
from ppim.objective.objective import Objective
from ppim.objective.teacher import Teacher, build_teacher
from ppim.token_labels.targets import SparseTargets, dense
from ppim.weights.write import save_state
from tests.helpers import spread_weights
from tests.objective.by_hand import (
    CLASSES,
    GRID,
    MEAN,
    SIDE,
    STD,
    cross_entropy,
    make_batch,
    mixed_by,
    pictures,
    put_targets,
    weighted_dense,
)

pytestmark = pytest.mark.smoke

DEIT = ["MODEL.TYPE", "DeiT", "MODEL.NAME", "deit_tiny"]


def softmax(x):
    e = np.exp(x.astype("float64") - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def network(name, **more):
    paddle.seed(len(name))
    sizes = {"image_size": SIDE, "patch_size": 8, "num_classes": CLASSES, "embed_dim": 12, "depth": 1, "num_heads": 3}
    net = create_model(name, **{**sizes, **more})
    spread_weights(net)
    return net


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_soft_distillation_is_the_divergence_at_a_temperature(tau):
    rng = np.random.RandomState(0)
    student, teacher = (rng.standard_normal((4, 7)).astype("float32") * 3 for _ in range(2))
    p, q = softmax(teacher / tau), softmax(student / tau)
    expected = tau**2 * (p * np.log(p / q)).sum(1).mean()
    got = distillation(paddle.to_tensor(student), paddle.to_tensor(teacher), "soft", tau)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_hard_distillation_is_cross_entropy_with_the_best_class():
    rng = np.random.RandomState(0)
    student, teacher = (rng.standard_normal((4, 7)).astype("float32") for _ in range(2))
    expected = cross_entropy(student, np.eye(7)[teacher.argmax(1)])
    got = distillation(paddle.to_tensor(student), paddle.to_tensor(teacher), "hard")
    assert got.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("top_k", [1, 3, 6])
def test_sparse_targets_of_logits_keep_the_best_and_spread_the_rest(top_k):
    logits = np.random.RandomState(1).standard_normal((5, 7)).astype("float32") * 2
    got = dense(SparseTargets(*(field.numpy() for field in top_targets(paddle.to_tensor(logits), top_k))), 7)
    probabilities = softmax(logits)
    for row, p in zip(got, probabilities):
        kept = np.argsort(-p)[:top_k]
        expected = np.full(7, (1 - p[kept].sum()) / (7 - top_k))
        expected[kept] = p[kept]
        np.testing.assert_allclose(row, expected, atol=1e-6)


@pytest.mark.parametrize("distilled", [False, True])
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_class_token_learns_from_the_teachers_view_of_the_mixed_picture(kind, distilled):
    student = network("deit_tiny", distilled=distilled)
    teacher = Teacher(network("lvvit_t", stem_channels=4, num_heads=2), kind=kind, alpha=0.3, tau=2.0)
    rng = np.random.default_rng(3)
    batch, class_targets, _ = make_batch(rng, 2)
    batch["erase_value"] = paddle.zeros([2, 3])
    mix = draw_mix(rng, 2, (SIDE, SIDE), GRID, mixup_alpha=0.8)
    image, a = pictures(batch), mix.blend.astype("float64")
    image = a[:, None, None, None] * image + (1 - a)[:, None, None, None] * image[mix.partner]
    x = paddle.to_tensor(image.astype("float32"))
    output, target = student.classes(x), weighted_dense(class_targets)
    labels = cross_entropy(output.class_logits.numpy(), a[:, None] * target + (1 - a)[:, None] * target[mix.partner])
    learned = (output.dist_logits if distilled else output.class_logits).numpy()
    theirs = teacher.model(x).numpy()
    if kind == "hard":
        taught = cross_entropy(learned, np.eye(CLASSES)[theirs.argmax(1)])
    else:
        p, q = softmax(theirs / 2), softmax(learned / 2)
        taught = 4 * (p * np.log(p / q)).sum(1).mean()
    terms = Objective(student, 1.0, 0.0, MEAN, STD, teacher=teacher)(mixed_by(mix, batch))
    assert terms.classes.item() == pytest.approx(0.7 * labels + 0.3 * taught, abs=5e-5)
    terms.total.backward()
    assert all(p.grad is None for p in teacher.model.parameters())


def cells_exchanged(image, owner):
    """Each cell of a picture (B, 3, SIDE, SIDE) taken from the picture that owns its token, cell by cell."""
    out, side = image.copy(), SIDE // GRID[0]
    for place, source in enumerate(owner):
        (picture, token), (other, same) = (divmod(int(at), GRID[0] * GRID[1]) for at in (place, source))
        assert token == same
        row, column = (side * at for at in divmod(token, GRID[1]))
        cell = slice(row, row + side), slice(column, column + side)
        out[(picture, slice(None), *cell)] = image[(other, slice(None), *cell)]
    return out


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_class_token_learns_from_the_teachers_view_of_exchanged_tokens(kind):
    student = network("deit_tiny")
    teacher = Teacher(network("lvvit_t", stem_channels=4, num_heads=2), kind=kind, alpha=1)
    rng = np.random.default_rng(3)
    batch, _, _ = make_batch(rng, 2)
    batch["erase_value"] = paddle.zeros([2, 3])
    mixed = mixed_by(draw_mix(rng, 2, (SIDE, SIDE), GRID, token_alpha=1.0), batch)
    image, owner = pictures(batch), mixed["mix_owner"].numpy()
    assert 0 < (owner != np.arange(len(owner))).mean() < 1
    x, shown = (paddle.to_tensor(one.astype("float32")) for one in (image, cells_exchanged(image, owner)))
    taught = distillation(student.classes(x, Mixed.of_batch(mixed)).class_logits, teacher.model(shown), kind)
    terms = Objective(student, 1.0, 0.0, MEAN, STD, teacher=teacher)(mixed)
    assert terms.classes.item() == pytest.approx(taught.item(), abs=5e-5)


def test_a_network_has_nothing_to_learn_from_itself_whatever_is_mixed():
    rng = np.random.default_rng(4)
    batch, _, _ = make_batch(rng, 4)
    student, itself = network("deit_tiny"), Teacher(network("deit_tiny"), kind="soft", alpha=1)
    for how in ({}, {"mixup_alpha": 0.8}, {"cutmix_alpha": 1.0}, *4 * [{"token_alpha": 1.0}],
                *4 * [{"mixup_alpha": 0.8, "token_alpha": 1.0}]):
        mix = draw_mix(rng, 4, (SIDE, SIDE), GRID, **how)
        loss = Objective(student, 1.0, 0.0, MEAN, STD, teacher=itself)(mixed_by(mix, batch)).classes
        assert loss.item() == pytest.approx(0, abs=1e-6), how


@pytest.mark.parametrize("how", [{}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.8, "token_alpha": 1.0}])
def test_tokens_learn_from_the_teachers_view_of_the_pictures_before_mixing(how):
    student = network("deit_tiny", dense_head=True)
    annotator = network("lvvit_t", stem_channels=4, num_heads=2, patch_size=12)  # another grid: 2 x 2 for 3 x 3
    teacher = Teacher(annotator, dense_weight=0.5, top_k=2)
    rng = np.random.default_rng(5)
    batch, _, _ = make_batch(rng, 4)
    mix = draw_mix(rng, 4, (SIDE, SIDE), GRID, **how)

    terms = Objective(student, 1.0, 0.0, MEAN, STD, teacher=teacher)(mixed_by(mix, batch))
    # the same as label maps whose targets are those of the teacher
    image = pictures(batch)
    logits = annotator.tokens(paddle.to_tensor(image.astype("float32"))).token_logits.numpy().reshape(4, 2, 2, CLASSES)
    # two cells seen at three places: a sixth of a cell outside is clamped, the middle is the mean
    ends = np.array([[1, 0], [0.5, 0.5], [0, 1]])
    logits = np.einsum("ri,cj,bijk->brck", ends, ends, logits).reshape(-1, CLASSES)
    targets = top_targets(paddle.to_tensor(logits.astype("float32")), 2)
    put_targets(batch, "token", targets)
    expected = Objective(student, 1.0, 0.5, MEAN, STD)(mixed_by(mix, batch))
    assert terms.tokens.item() == pytest.approx(expected.tokens.item(), abs=1e-5)
    assert terms.total.item() == pytest.approx(expected.total.item(), abs=1e-5)


def test_maps_and_a_teacher_add_up():
    student, annotator = network("deit_tiny", dense_head=True), network("lvvit_t", stem_channels=4, num_heads=2)
    rng = np.random.default_rng(6)
    batch, _, _ = make_batch(rng, 2)
    mix = draw_mix(rng, 2, (SIDE, SIDE), GRID)

    def total(dense_weight, teacher_weight):
        teacher = Teacher(annotator, dense_weight=teacher_weight, top_k=2)
        return Objective(student, 1.0, dense_weight, MEAN, STD, teacher=teacher)(mixed_by(mix, batch)).total.item()

    assert total(0.7, 0.4) == pytest.approx(total(0.7, 0) + total(0, 0.4) - total(0, 0), abs=1e-5)


def test_a_network_without_logits_of_tokens_cannot_teach_tokens():
    with pytest.raises(ValueError, match="DISTILL.DENSE_WEIGHT wants a teacher with logits of tokens.*DeiT"):
        Teacher(network("deit_tiny"), dense_weight=1.0)


def test_a_network_of_one_class_cannot_teach_tokens():
    with pytest.raises(ValueError, match="DISTILL.DENSE_WEIGHT wants a teacher of two classes or more; got one"):
        Teacher(network("lvvit_t", stem_channels=4, num_heads=2, num_classes=1), dense_weight=1.0)


def test_a_teacher_gives_the_same_answer_twice_and_learns_nothing():
    net = network("deit_tiny", dropout=0.5, dense_head=True)
    net.train()
    teacher = Teacher(net, dense_weight=1.0)
    x = paddle.to_tensor(pictures(make_batch(np.random.default_rng(2), 2)[0]).astype("float32"))
    np.testing.assert_array_equal(teacher.class_logits(x).numpy(), teacher.class_logits(x).numpy())
    first, second = teacher.token_targets(x, net.grid), teacher.token_targets(x, net.grid)
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert all(parameter.stop_gradient for parameter in net.parameters())


def test_a_teacher_of_few_classes_keeps_all_but_one():
    net = network("deit_tiny", dense_head=True)
    assert Teacher(net, top_k=CLASSES + 5).top_k == CLASSES - 1 and Teacher(net, top_k=2).top_k == 2


def test_a_teacher_of_other_pixels_is_refused(tmp_path):
    recipe = tmp_path / "teacher.yaml"
    recipe.write_text(f"BASE: [{recipe_path('lvvit_demo')}]\nDATA: {{IMAGENET_STD: [0.1, 0.2, 0.3]}}\n")
    config = get_config("lvvit_demo", ["DISTILL.TYPE", "soft", "DISTILL.TEACHER", str(recipe), "DISTILL.WEIGHTS", "w"])
    with pytest.raises(ValueError, match=r"DATA.IMAGENET_STD is \[0.5.* teacher's recipe has \[0.1.* make them equal"):
        build_teacher(config)


def test_a_recipe_may_name_a_teacher_and_training_says_so(tiny_config, tiny_data, tmp_path, capsys):
    teacher_recipe = tmp_path / "teacher.yaml"
    teacher_recipe.write_text(tiny_config.read_text().replace("DEPTH: 2", "DEPTH: 1"))
    save_state(build_model(get_config(teacher_recipe)).state_dict(), tmp_path / "teacher.pdparams")
    options = {
        "DISTILL.TYPE": "hard", "DISTILL.TEACHER": teacher_recipe, "DISTILL.WEIGHTS": tmp_path / "teacher",
        "DISTILL.DENSE_WEIGHT": 0.5, "TOKEN_LABEL.ENABLE": False, "TRAIN.MAX_STEPS": 2, "TRAIN.MIXUP_ALPHA": 0.8,
        "MIX.CLASS_SHARE": "alignment", "DISTILL.TOP_K": 2,
    }
    result = run(str(tiny_config), [str(part) for pair in options.items() for part in pair])
    assert result.count == 11 and np.isfinite(result.loss)
    printed = capsys.readouterr().out
    assert "teacher: weights from" in printed and "classes hard, tokens 0.5" in printed
    assert json.loads((tmp_path / "run" / "best.json").read_text())["count"] == 11


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["DISTILL.TYPE", "soft"], "needs DISTILL.TEACHER, a recipe"),
        (["DISTILL.DENSE_WEIGHT", "1", "DISTILL.TEACHER", "lvvit_s"], "needs DISTILL.WEIGHTS"),
        (["DISTILL.TYPE", "warm"], "DISTILL.TYPE wants one of none, soft, hard"),
        (["MODEL.TYPE", "paddle_vision", "MODEL.NAME", "resnet18", "MIX.CLASS_SHARE", "alignment"],
         "needs a model with attention"),
        ([*DEIT, "TOKEN_LABEL.ENABLE", "True"], "MODEL.DENSE_HEAD True"),
        ([*DEIT, "DISTILL.DENSE_WEIGHT", "1"], "MODEL.DENSE_HEAD True"),
        (["MODEL.TYPE", "T2T-ViT", "MODEL.NAME", "t2t_vit_7", "MODEL.DISTILLED", "True"],
         "MODEL.DISTILLED is for MODEL.TYPE DeiT"),
        (["MODEL.DENSE_HEAD", "True"], "DeiT, T2T-ViT, ViT, got LV-ViT"),
    ],
)
def test_a_configuration_that_cannot_teach_says_what_it_lacks(wrong, words):
    with pytest.raises(ValueError, match=words):
        get_config(None, wrong)
