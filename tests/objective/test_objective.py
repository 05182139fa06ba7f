"""The whole loss of a batch, mixed in every way, against dense arrays and loops."""
import numpy as np
import paddle
import pytest

from ppim.data.balance import weighted
from ppim.mixing import Mix, Mixed, draw_mix
from ppim.models import create_model
from ppim.objective.objective import Objective
from ppim.token_labels.targets import SparseTargets, concat, label_targets
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

def owners(mix) -> np.ndarray:
    """(B * N,) whose token stands where after MixToken, one by one."""
    tokens = np.arange(len(mix.partner) * GRID[0] * GRID[1]).reshape(-1, *GRID)
    owner = tokens.copy()
    for b, (top, left, bottom, right) in enumerate(mix.token_box):
        owner[b, top:bottom, left:right] = tokens[mix.partner[b], top:bottom, left:right]
    return owner.reshape(-1)


def mixed_by_hand(mix, class_targets, token_targets, size):
    """Class and token targets after mixing, pixel by pixel and token by token."""
    rows, columns = GRID
    patch = SIDE // rows
    own_pixel = np.empty((size, SIDE, SIDE))
    for b in range(size):
        own_pixel[b] = mix.blend[b]
        top, left, bottom, right = mix.pixel_box[b]
        own_pixel[b, top:bottom, left:right] = 0.0
    token = weighted_dense(token_targets).reshape(size, rows, columns, CLASSES)
    cls = weighted_dense(class_targets)
    shown = np.empty_like(token)
    own_of_cell = np.empty((size, rows, columns))
    for b in range(size):
        for r in range(rows):
            for c in range(columns):
                share = own_pixel[b, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].mean()
                own_of_cell[b, r, c] = share
                shown[b, r, c] = share * token[b, r, c] + (1 - share) * token[mix.partner[b], r, c]
    mixed_token, class_share = shown.copy(), np.empty(size)
    for b in range(size):
        p = mix.partner[b]
        top, left, bottom, right = mix.token_box[b]
        mixed_token[b, top:bottom, left:right] = shown[p, top:bottom, left:right]
        taken = np.zeros((rows, columns), bool)
        taken[top:bottom, left:right] = True
        own = own_pixel[b].mean()
        class_share[b] = (1 - taken.mean()) * own + taken.mean() * (1 - own_pixel[p].mean())
    mixed_class = class_share[:, None] * cls + (1 - class_share[:, None]) * cls[mix.partner]
    return mixed_class, mixed_token.reshape(-1, CLASSES), own_pixel


MIXES = {
    "nothing": {},
    "mixup": {"mixup_alpha": 0.8},
    "cutmix": {"cutmix_alpha": 1.0},
    "pairs of mixup or cutmix": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "mode": "pair"},
    "elements": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "mode": "elem"},
    "MixToken": {"token_alpha": 1.0},
    "MixToken on cutmix": {"cutmix_alpha": 1.0, "token_alpha": 1.0},
    "MixToken on mixup": {"mixup_alpha": 0.8, "token_alpha": 1.0},
}


@pytest.fixture(scope="module")
def model():
    paddle.seed(0)
    net = create_model("lvvit_t", image_size=SIDE, patch_size=8, num_classes=CLASSES, embed_dim=8, depth=1, num_heads=2,
                       stem_channels=4, stem_bn="frozen")
    net.eval()
    return net


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("how", MIXES, ids=list(MIXES))
def test_the_loss_is_the_cross_entropy_against_targets_mixed_by_hand(model, how, size):
    rng = np.random.default_rng(size * 31 + len(how))
    batch, class_targets, token_targets = make_batch(rng, size)
    mix = draw_mix(rng, size, (SIDE, SIDE), GRID, **MIXES[how])
    mixed_class, mixed_token, own_pixel = mixed_by_hand(mix, class_targets, token_targets, size)

    # the mixed picture, by hand: normalised, erased, mixed
    image, own = pictures(batch), own_pixel[:, None]
    image = own * image + (1 - own) * image[mix.partner]
    swapped = Mixed(owner=paddle.to_tensor(owners(mix)))
    output = model.tokens(paddle.to_tensor(image.astype("float32")), swapped)

    terms = Objective(model, 0.7, 0.4, MEAN, STD)(mixed_by(mix, batch))
    classes = cross_entropy(output.class_logits.numpy(), mixed_class)
    tokens = cross_entropy(output.token_logits.numpy().reshape(-1, CLASSES), mixed_token)
    assert terms.classes.item() == pytest.approx(classes, abs=2e-5)
    assert terms.tokens.item() == pytest.approx(tokens, abs=2e-5)
    assert terms.total.item() == pytest.approx(0.7 * classes + 0.4 * tokens, abs=2e-5)


def of_photo(targets, photo, rows):
    """The part of a batch's targets that belongs to one photo, of `rows` rows each."""
    row, ids, weight, const = targets
    here = row // rows == photo
    return SparseTargets(row[here] - photo * rows, ids[here], weight[here], const[photo * rows:(photo + 1) * rows])


@pytest.mark.parametrize("how", MIXES, ids=list(MIXES))
def test_a_photo_that_counts_more_does_so_with_its_part_of_every_mix(model, how):
    counts, cells, rng = np.array([3.0, 0.5, 0.0, 1.25], "float32"), GRID[0] * GRID[1], np.random.default_rng(len(how))
    batch, class_targets, token_targets = make_batch(rng, 4)
    mix = draw_mix(rng, 4, (SIDE, SIDE), GRID, **MIXES[how])
    scaled = []
    for kind, targets, rows in (("class", class_targets, 1), ("token", token_targets, cells)):
        put_targets(batch, kind, concat([weighted(of_photo(targets, b, rows), counts[b]) for b in range(4)]))
        # by hand: the photo's targets themselves, probabilities that sum to what it counts
        count = counts.repeat(rows)
        const = targets.const * np.stack([count, count, np.ones_like(count)], axis=1)
        scaled.append(targets._replace(weight=targets.weight * count[targets.row], const=const))
    mixed_class, mixed_token, own_pixel = mixed_by_hand(mix, *scaled, 4)
    image, own = pictures(batch), own_pixel[:, None]
    image = own * image + (1 - own) * image[mix.partner]
    output = model.tokens(paddle.to_tensor(image.astype("float32")), Mixed(owner=paddle.to_tensor(owners(mix))))
    terms = Objective(model, 1.0, 1.0, MEAN, STD)(mixed_by(mix, batch))
    assert terms.classes.item() == pytest.approx(cross_entropy(output.class_logits.numpy(), mixed_class), abs=5e-5)
    tokens = cross_entropy(output.token_logits.numpy().reshape(-1, CLASSES), mixed_token)
    assert terms.tokens.item() == pytest.approx(tokens, abs=5e-5)


def test_without_a_token_loss_the_token_head_is_not_run(model):
    rng = np.random.default_rng(0)
    batch, _, _ = make_batch(rng, 2)
    labels = label_targets(np.array([1, 4]), CLASSES, 0.1)
    put_targets(batch, "class", labels)
    terms = Objective(model, 1.0, 0.0, MEAN, STD)(batch)
    terms.total.backward()
    assert terms.tokens.item() == 0.0
    assert model.aux_head.weight.grad is None and model.head.weight.grad is not None
    model.clear_gradients()


def test_an_empty_mix_changes_nothing(model):
    rng = np.random.default_rng(1)
    batch, _, _ = make_batch(rng, 2)
    nothing = draw_mix(rng, 2, (SIDE, SIDE), GRID)
    whole = Mix(nothing.partner, nothing.blend, nothing.pixel_box, np.array([[0, 0, 3, 3]] * 2))
    plain, swapped = (Objective(model, 1.0, 1.0, MEAN, STD)(mixed_by(mix, batch)) for mix in (nothing, whole))
    # a box over the whole grid exchanges the two samples, tokens and targets alike
    assert swapped.total.item() == pytest.approx(plain.total.item(), abs=1e-5)


@pytest.mark.parametrize("rule", ["attention", "alignment"])
@pytest.mark.parametrize("how", ["mixup", "cutmix", "elements", "MixToken on cutmix"])
def test_the_class_target_takes_the_share_the_model_works_out(model, how, rule):
    rng = np.random.default_rng([1, len(how)])  # of which "elements" draws boxes and blends
    spread_weights(model, gain=3)  # attention as uneven as a trained model's
    batch, class_targets, token_targets = make_batch(rng, 4)
    mix = draw_mix(rng, 4, (SIDE, SIDE), GRID, **MIXES[how])
    assert mix.pixel_box.any() == (how != "mixup"), "the draw shows nothing: take another"
    _, mixed_token, own_pixel = mixed_by_hand(mix, class_targets, token_targets, 4)
    image = pictures(batch)
    image = own_pixel[:, None] * image + (1 - own_pixel[:, None]) * image[mix.partner]
    # the partner's part of every token, counted in pixels
    patches = (1 - own_pixel).reshape(4, 3, SIDE // 3, 3, SIDE // 3).mean((2, 4))
    share = patches.copy()
    for b, (top, left, bottom, right) in enumerate(mix.token_box):
        share[b, top:bottom, left:right] = 1 - patches[mix.partner[b], top:bottom, left:right]
    told = Mixed(owner=paddle.to_tensor(owners(mix)),
                 partner_share=paddle.to_tensor(share.reshape(4, -1).astype("float32")))
    model.share_rule = rule
    output = model.tokens(paddle.to_tensor(image.astype("float32")), told)
    own = output.share.numpy().astype("float64")[:, None]
    target = weighted_dense(class_targets)

    terms = Objective(model, 1.0, 1.0, MEAN, STD)(mixed_by(mix, batch))
    expected = cross_entropy(output.class_logits.numpy(), own * target + (1 - own) * target[mix.partner])
    assert terms.classes.item() == pytest.approx(expected, abs=2e-5)
    tokens = cross_entropy(output.token_logits.numpy().reshape(-1, CLASSES), mixed_token)
    assert terms.tokens.item() == pytest.approx(tokens, abs=2e-5)  # token targets keep their place
    model.share_rule = "area"
    by_area = Objective(model, 1.0, 1.0, MEAN, STD)(mixed_by(mix, batch)).classes.item()
    assert (abs(by_area - expected) < 1e-5) == (how == "mixup")  # mixup leaves every token the same share


def test_both_heads_of_a_distilled_model_learn_the_labels_where_there_is_no_teacher():
    paddle.seed(1)
    net = create_model("deit_tiny_distilled_patch16_224", image_size=SIDE, patch_size=8, num_classes=CLASSES,
                       embed_dim=12, depth=1, num_heads=3)
    rng = np.random.default_rng(0)
    batch, _, _ = make_batch(rng, 2)
    labels = label_targets(np.array([1, 4]), CLASSES, 0.1)
    put_targets(batch, "class", labels)
    mix = draw_mix(rng, 2, (SIDE, SIDE), GRID, mixup_alpha=0.8)
    net.share_rule = "alignment"
    terms = Objective(net, 1.0, 0.0, MEAN, STD)(mixed_by(mix, batch))
    terms.total.backward()
    assert np.abs(net.head.weight.grad.numpy()).max() > 0 and np.abs(net.head_dist.weight.grad.numpy()).max() > 0
    target, a = weighted_dense(labels), mix.blend[:, None].astype("float64")
    image = pictures(batch)
    image = a[..., None, None] * image + (1 - a[..., None, None]) * image[mix.partner]
    output = net.classes(paddle.to_tensor(image.astype("float32")))
    # under mixup every token starts from lambda and stays there
    mixed = a * target + (1 - a) * target[mix.partner]
    expected = [cross_entropy(logits.numpy(), mixed) for logits in (output.class_logits, output.dist_logits)]
    assert terms.classes.item() == pytest.approx(sum(expected) / 2, abs=2e-5)
