"""Uneven classes: what a photo counts, against sums by hand, and how often it is drawn, against plain counting."""
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppim.config import get_config
from ppim.data.balance import balanced, class_weights, occurrences, told
from ppim.data.batches import TrainBatches
from ppim.data.datasets import find_images
from ppim.engine import build
from ppim.engine.distributed import World

pytestmark = pytest.mark.smoke

UNEVEN = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)


@given(UNEVEN, st.sampled_from(["inverse", "effective"]), st.sampled_from([0.0, 0.9, 0.999, 0.999999]))
def test_weights_have_mean_one_over_the_photos_and_fall_with_their_number(counts, kind, beta):
    counts = np.array(counts)
    weights = class_weights(counts, kind, beta)
    assert weights.dtype == np.float32 and (weights[counts == 0] == 0).all()
    # one photo after the other
    photos = [weights[label] for label, count in enumerate(counts) for _ in range(count)]
    assert np.mean(photos) == pytest.approx(1, rel=1e-5)
    order = np.argsort(counts[counts > 0], kind="stable")
    assert (np.diff(weights[counts > 0][order]) <= 1e-6).all()


@given(UNEVEN, st.sampled_from([0.5, 0.9, 0.99]))
def test_the_effective_number_is_the_sum_of_a_geometric_series(counts, beta):
    there = np.array([count for count in counts if count])
    # a photo adds beta times as much as the one before it
    effective = np.array([sum(beta**i for i in range(count)) for count in there])
    found = class_weights(there, "effective", beta)
    np.testing.assert_allclose(found * effective, (found * effective)[0], rtol=1e-5)


def test_weights_by_hand():
    assert class_weights([10, 30], "inverse").tolist() == pytest.approx([2.0, 2 / 3])
    assert class_weights([10, 30], "none").tolist() == [1.0, 1.0]
    assert class_weights([10, 30], "effective", 0.0).tolist() == [1.0, 1.0]
    assert class_weights([10, 30], "effective", 0.999999).tolist() == pytest.approx([2.0, 2 / 3], rel=1e-4)
    # 1.9 and 2.71 effective photos: weights in proportion 2.71 : 1.9, their mean over 2 + 3 photos 1
    assert class_weights([2, 3], "effective", 0.9).tolist() == pytest.approx(
        [2.71 * 5 / (2 * 2.71 + 3 * 1.9), 1.9 * 5 / (2 * 2.71 + 3 * 1.9)], rel=1e-5)


@given(UNEVEN, st.integers(0, 5))
def test_classes_and_the_photos_of_each_are_drawn_equally_often_over_any_number_of_epochs(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn: Counter = Counter()
    for epoch in range(4):
        index = balanced(labels, seed, epoch)
        assert len(index) == len(labels)
        of_class = Counter(labels[index].tolist())
        assert max(of_class.values()) - min(of_class.get(label, 0) for label in set(labels.tolist())) <= 1
        drawn.update(index.tolist())
        of_class = Counter()
        for photo, times in drawn.items():
            of_class[int(labels[photo])] += times
        assert max(of_class.values()) - min(of_class.get(label, 0) for label in set(labels.tolist())) <= 1
        for label in set(labels.tolist()):
            times = [drawn[photo] for photo in np.flatnonzero(labels == label).tolist()]
            assert max(times) - min(times) <= 1


def test_other_seeds_and_epochs_draw_other_photos_and_the_same_ones_the_same():
    labels = np.repeat([0, 1, 2], [50, 6, 4])
    first = balanced(labels, 0, 0)
    np.testing.assert_array_equal(first, balanced(labels, 0, 0))
    for other in (balanced(labels, 1, 0), balanced(labels, 0, 1)):
        assert sorted(first[:20]) != sorted(other[:20])


@given(st.lists(st.integers(0, 4), max_size=30))
def test_occurrences_are_counted(numbers):
    seen: Counter = Counter()
    for number, times in zip(numbers, occurrences(np.array(numbers, np.int64)).tolist()):
        assert times == seen[number]
        seen[number] += 1


LABELS = np.repeat(np.arange(4), [40, 3, 9, 2])


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize(("world", "batch"), [(1, 6), (2, 3), (3, 2)])
def test_processes_take_a_balanced_epoch_apart_and_go_on_anywhere(world, batch, copies):
    how = {"length": len(LABELS), "seed": 3, "labels": LABELS, "copies": copies}
    alone = list(TrainBatches(batch_size=6, stop=20, **how))
    steps = len(LABELS) // 6
    ranks = [list(TrainBatches(batch_size=batch, stop=20, rank=rank, world=world, **how)) for rank in range(world)]
    assert [sum((parts[step] for parts in ranks), []) for step in range(20)] == alone
    assert list(TrainBatches(batch_size=6, start=13, stop=20, **how)) == alone[13:]
    # a photo that comes again in an epoch is another copy, drawn by another key
    for epoch in (0, 1):
        keys = [key for part in alone[epoch * steps:(epoch + 1) * steps] for key in part]
        assert len(set(keys)) == len(keys) and {key[0] for key in keys} == {epoch}


def test_a_balanced_epoch_is_mixed_and_holds_its_classes_equally():
    batches = TrainBatches(len(LABELS), 6, seed=3, stop=9, labels=LABELS)
    order = LABELS[batches.order(0)[:, 0]]
    assert sorted(Counter(order.tolist()).values()) == [13, 13, 14, 14]
    assert len(set(order[:8].tolist())) > 1 and Counter(order.tolist()) != Counter(LABELS.tolist())


# ---- what a photo counts, on its way to a batch --------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven(tiny_data, tmp_path_factory):
    """tiny_data with 8, 4 and 2 training photos, one file each."""
    root = tmp_path_factory.mktemp("uneven")
    for label, count in enumerate((8, 4, 2)):
        for path in sorted((tiny_data / "train" / f"class{label}").iterdir())[:count]:
            target = root / "train" / f"class{label}" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    (root / "val").symlink_to(tiny_data / "val")
    return root


def samples_of(uneven, tiny_data, *options):
    config = get_config(None, ["DATA.DATA_PATH", str(uneven), "TOKEN_LABEL.PATH", str(tiny_data / "maps"),
                               "TOKEN_LABEL.FRAME", "whole", "MODEL.NUM_CLASSES", "3", "DATA.IMAGE_SIZE", "32",
                               *options])
    return build.train_samples(config, config, find_images(str(uneven), "train"), (4, 4))


@pytest.mark.parametrize("tokens", ["True", "False"])
def test_class_target_and_all_tokens_of_a_photo_count_what_its_class_does(uneven, tiny_data, tokens):
    plain = samples_of(uneven, tiny_data, "TOKEN_LABEL.ENABLE", tokens)
    even = samples_of(uneven, tiny_data, "TOKEN_LABEL.ENABLE", tokens, "LOSS.CLASS_BALANCE", "inverse")
    total = 0.0
    for index in range(len(plain)):
        one, other = plain[0, index, 0], even[0, index, 0]
        weight = 14 / (3 * (8, 4, 2)[one["label"]])
        for kind in ("class_targets", "token_targets") if tokens == "True" else ("class_targets",):
            np.testing.assert_allclose(other[kind].const[:, 2], one[kind].const[:, 2] * weight, rtol=1e-6)
            np.testing.assert_array_equal(other[kind].const[:, :2], one[kind].const[:, :2])
            for field in ("row", "id", "weight"):
                np.testing.assert_array_equal(getattr(other[kind], field), getattr(one[kind], field))
        np.testing.assert_array_equal(one["image"], other["image"])
        total += weight
    assert total == pytest.approx(14)
    assert plain.weights is None and replace(plain, weights=None) == plain


def test_what_is_done_is_told_and_both_at_once_are_refused():
    assert told(np.array([8, 0, 2]), "none", 0.9, "all") == []
    assert told(np.array([8, 0, 2]), "inverse", 0.9, "all") == [
        "classes have 2 to 8 photos: a photo counts 2.5 to 0.625 (LOSS.CLASS_BALANCE inverse)"]
    assert told(np.array([8, 0, 2]), "none", 0.9, "balanced") == [
        "classes have 2 to 8 photos: all are drawn equally often (DATA.SAMPLING balanced)"]
    with pytest.raises(ValueError, match="choose one"):
        get_config(None, ["LOSS.CLASS_BALANCE", "inverse", "DATA.SAMPLING", "balanced"])


def test_a_configured_run_draws_as_configured(uneven):
    images = find_images(str(uneven), "train")
    orders = {}
    for sampling in ("all", "balanced"):
        config = get_config(None, ["DATA.SAMPLING", sampling, "DATA.BATCH_SIZE", "2"])
        orders[sampling] = build.train_batches(config, len(images), World(), 0, 7, images.labels).order(0)[:, 0]
    assert sorted(orders["all"]) == list(range(14))
    assert sorted(Counter(images.labels[orders["balanced"]].tolist()).values()) == [4, 5, 5]
