"""Samples, their order and their workers, on real files."""
from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.data.augment import Policy, draw_view, parse_rand_augment
from ppim.data.batches import EvalBatches, TrainBatches, rank_rows
from ppim.data.datasets import find_images
from ppim.data.loader import EvalSamples, TrainSamples, make_loader, released_history
from ppim.data.making import Making, Samples, collate
from ppim.data.transforms import Colour, CropResize, HFlip, Warp, eval_view
from ppim.mixing import Mixed
from ppim.seeds import sample_rng
from ppim.token_labels.card import Reading
from ppim.token_labels.maps import map_path, write_map
from ppim.token_labels.store import MapFolder
from ppim.token_labels.targets import SparseTargets, dense

POLICY = Policy((32, 32), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(13):
        path = folder / "abc"[i % 3] / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        coarse.resize((61, 40 + i)).save(path)
    return find_images(folder)


@pytest.fixture(scope="module")
def maps(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(1)
    for path in photos.paths:
        ids = rng.permuted(np.tile(np.arange(3)[:, None, None], (1, 4, 5)), axis=0)[:2]
        write_map(map_path(folder, path), rng.normal(2, 3, (2, 4, 5)), ids)
    return MapFolder(folder, num_classes=3)


def samples_of(photos, seed=5, **arguments):
    return TrainSamples(photos, POLICY, seed=seed, num_classes=3, **arguments)


def run(photos, maps, workers, rank=0, world=1, batch=6, start=0, stop=5):
    """The batches of one rank as arrays."""
    batches = TrainBatches(len(photos), batch, seed=5, start=start, stop=stop, rank=rank, world=world)
    return [{name: value.numpy() for name, value in batch.items()}
            for batch in make_loader(samples_of(photos, maps=maps, grid=(2, 2)), batches, workers)]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.keys() == b.keys()
        for name in a:
            assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name


@pytest.fixture(scope="module")
def alone(photos, maps):
    return run(photos, maps, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_are_bit_equal_for_any_number_of_workers(photos, maps, alone, workers):
    assert_equal(run(photos, maps, workers), alone)


@pytest.mark.parametrize("world, batch", [(2, 3), (3, 2)])
def test_samples_are_bit_equal_for_any_number_of_processes(photos, maps, alone, world, batch):
    ranks = [run(photos, maps, 0, rank, world, batch) for rank in range(world)]
    plane = 32 * 32
    for step, whole in enumerate(alone):
        parts = [rank[step] for rank in ranks]
        for name in ("image", "label", "index", "class_id", "class_const", "token_id", "token_weight", "token_const"):
            assert np.array_equal(np.concatenate([part[name] for part in parts]), whole[name]), name
        rows = np.cumsum([0] + [len(part["label"]) for part in parts])
        erased = [(part["erase_at"] + row * plane, part["erase_value"]) for part, row in zip(parts, rows)
                  if not np.isnan(part["erase_value"]).any()]
        assert np.array_equal(np.concatenate([at for at, _ in erased]), whole["erase_at"])
        assert np.array_equal(np.concatenate([value for _, value in erased]), whole["erase_value"])


@pytest.mark.parametrize("start", [1, 2, 4])
def test_a_run_goes_on_at_any_step_as_if_it_had_never_stopped(photos, maps, alone, start):
    assert_equal(run(photos, maps, 0, start=start), alone[start:])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_brings_the_mix_of_its_micro_step_wherever_a_run_goes_on(photos, workers):
    def mix(step):
        return Mixed(partner=np.full(6, step), blend=np.full(6, 0.5, "float32"))

    batches = TrainBatches(len(photos), 6, seed=5, start=3, stop=6)
    seen = list(make_loader(samples_of(photos), batches, workers, mix))
    assert [batch["mix_partner"].tolist() for batch in seen] == [[step] * 6 for step in (3, 4, 5)]
    assert all(batch["mix_blend"].dtype == paddle.float32 and "mix_owner" not in batch for batch in seen)


def test_a_batch_is_announced_then_its_photos_are_made_and_then_all_the_rest():
    class Seen(Samples):
        def __init__(self):
            self.seen = []

        def path(self, key):
            return f"{key}.jpg"

        def in_order_of_reading(self, keys):
            return range(len(keys))[::-1]

        def expect(self, keys):
            self.seen += [("expected", key) for key in keys]

        def begin(self, key):
            self.seen.append(("begun", key))
            return -key

        def finish(self, begun):
            self.seen.append(("finished", -begun))
            return {"index": np.int64(-begun)}

    samples, told = Seen(), []
    assert Making(samples, None)(0, [4, 7], told.append)["index"].tolist() == [4, 7]
    assert samples.seen == [("expected", 4), ("expected", 7), ("begun", 7), ("begun", 4), ("finished", 7),
                            ("finished", 4)]
    assert told == ["7.jpg", "4.jpg"] * 2 and samples[5] == {"index": 5}


def test_views_change_with_epoch_copy_and_seed_but_not_otherwise(photos):
    samples = samples_of(photos)
    first = samples[0, 3, 0]["image"]
    assert np.array_equal(first, samples[0, 3, 0]["image"])
    others = [samples[1, 3, 0], samples[0, 3, 1], samples_of(photos, 6)[0, 3, 0]]
    assert all((first != other["image"]).any() for other in others)


def targets_of(batch, kind):
    return dense(SparseTargets(*(batch[f"{kind}_{field}"] for field in SparseTargets._fields)), 3)


def test_a_batch_has_the_promised_types_and_shapes(alone):
    kinds = {"image": "uint8", "label": "int64", "index": "int64", "erase_at": "int64", "erase_value": "float32",
             "class_row": "int32", "class_id": "int32", "class_weight": "float32", "class_const": "float32",
             "token_row": "int32", "token_id": "int32", "token_weight": "float32", "token_const": "float32"}
    batch = alone[0]
    assert {name: str(value.dtype) for name, value in batch.items()} == kinds
    assert batch["image"].shape == (6, 3, 32, 32)
    assert batch["class_const"].shape == (6, 3) and batch["token_const"].shape == (6 * 4, 3)


def test_plain_targets_are_smoothed_labels(photos):
    batch = collate([samples_of(photos)[0, i, 0] for i in range(13)])
    np.testing.assert_allclose(targets_of(batch, "class"), np.eye(3)[photos.labels] * 0.9 + 0.1 / 3, atol=1e-6)
    assert "token_row" not in batch


def test_the_label_draws_the_class_target_towards_it_where_asked(photos, maps):
    keys = [(0, i, 0) for i in range(13)]
    plain = targets_of(collate([samples_of(photos, maps=maps, grid=(2, 2))[key] for key in keys]), "class")
    drawn = samples_of(photos, maps=maps, grid=(2, 2), ground_truth=True)
    mixed = targets_of(collate([drawn[key] for key in keys]), "class")
    right = plain.argmax(1) == photos.labels
    ratio = np.where(right, 0.5, 0.9)[:, None]
    truth = np.eye(3)[photos.labels] * 0.9 + 0.1 / 3
    assert 0 < right.sum() < 13
    np.testing.assert_allclose(mixed, plain * ratio + truth * (1 - ratio), atol=1e-5)


@pytest.mark.parametrize("ground_truth", [False, True])
def test_where_the_map_has_little_of_the_view_the_class_is_the_photos_own_label(tmp_path, ground_truth):
    """Photos five times as wide as high, whose maps show the middle fifth and call it class 2."""
    Image.new("RGB", (100, 20), (90, 120, 150)).save(tmp_path / "plain.png")
    for name in "abc":
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "x.png").write_bytes((tmp_path / "plain.png").read_bytes())
        write_map(tmp_path / "maps" / name / "x.npy", np.full((1, 4, 4), 20.0), np.full((1, 4, 4), 2))
    policy = Policy((32, 32), scale=(0.08, 0.3))
    samples = TrainSamples(find_images(tmp_path / "photos"), policy, seed=0, num_classes=3, smoothing=0.3, grid=(2, 2),
                           maps=MapFolder(tmp_path / "maps", 3, Reading("centre-crop")), ground_truth=ground_truth)
    seen = {"own label": 0, "map": 0}
    for epoch in range(60):
        for index, label in enumerate(samples.images.labels[:2]):
            box = next(op.box for op in draw_view(sample_rng(0, epoch, index, 0), (100, 20), policy)
                       if isinstance(op, CropResize))
            labelled = (min(60, box[0] + box[2]) - max(40, box[0])) / box[2]
            batch = collate([samples[epoch, index, 0]])
            target = targets_of(batch, "class")[0]
            assert batch["class_const"][0, 2] == 1
            if labelled < 0.4:
                np.testing.assert_allclose(target, np.eye(3)[label] * 0.7 + 0.1, atol=1e-6)
                seen["own label"] += 1
            elif labelled > 0.6:
                assert target.argmax() == 2
                seen["map"] += 1
    assert min(seen.values()) > 10


def test_the_released_history_names_moves_and_the_crop_in_shares():
    ops = [HFlip(), Colour("Invert"), Warp("Rotate", 9.0), Warp("TranslateX", 0.1)]
    moves, crop = released_history([*ops, CropResize((10, 30, 50, 60), (8, 8))], (100, 300))
    assert moves == [("hflip",), ("rotate", 9.0), ("translate_x_rel", 0.1)] and crop == (0.1, 0.1, 0.2, 0.5)


def test_released_geometry_serves_every_operation_of_the_policy(photos, maps):
    policy = POLICY._replace(order="released", rand_augment=parse_rand_augment("rand-m9-n4-p1-inc1"))
    samples = TrainSamples(photos, policy, seed=0, num_classes=3, maps=maps, grid=(2, 2), geometry="released")
    true = TrainSamples(photos, policy, seed=0, num_classes=3, maps=maps, grid=(2, 2))
    batches = [collate([one[epoch, 0, 0] for epoch in range(40)]) for one in (samples, true)]
    assert np.array_equal(batches[0]["image"], batches[1]["image"])
    assert not np.allclose(targets_of(batches[0], "token"), targets_of(batches[1], "token"))


def test_evaluation_ships_the_best_class_of_what_each_token_shows(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (64, 32)).save(tmp_path / "a" / "x.png")
    # 2 x 4 cells over a photo twice as wide as high: the centre square shows the two middle columns
    ids = np.array([[[0, 1, 2, 3], [4, 5, 6, 7]]])
    write_map(tmp_path / "maps" / "a" / "x.npy", np.full((1, 2, 4), 9.0), ids)
    (tmp_path / "maps").rename(tmp_path.with_name("maps_of_x"))
    samples = EvalSamples(find_images(tmp_path), eval_view((32, 32), 1.0), num_classes=8, grid=(2, 2),
                          maps=MapFolder(tmp_path.with_name("maps_of_x"), 8))
    assert collate([samples[0]])["token_best"].tolist() == [[1, 2, 5, 6]]


@pytest.mark.parametrize("shift", [0.0, -20.0])
def test_evaluation_asks_of_maps_with_log_sum_exp_for_the_most_probable_class(tmp_path, shift):
    """Whatever number stands before all logits of the annotator, also where they are logarithms of probabilities."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "a" / "x.png")
    logits = rng.normal(0, 3, (8, 4, 4))
    log_z = np.log(np.exp(logits).sum(axis=0))
    ids = np.argsort(-logits, axis=0)[:3]
    write_map(tmp_path / "maps" / "a" / "x.npy", np.take_along_axis(logits, ids, 0) + shift, ids, log_z + shift)
    samples = EvalSamples(find_images(tmp_path / "photos"), eval_view((32, 32), 1.0), num_classes=8, grid=(4, 4),
                          maps=MapFolder(tmp_path / "maps", 8))
    assert samples[0]["token_best"].tolist() == logits.argmax(axis=0).ravel().tolist()


def test_a_photo_turned_upright_is_the_photo_that_was_stored_upright(tmp_path):
    """Pixels and labels: maps are of the photo as it is read."""
    rng = np.random.default_rng(2)
    upright = Image.fromarray(rng.integers(0, 256, (60, 40, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("turned", "upright"):
        (tmp_path / name / "a").mkdir(parents=True)
    upright.save(tmp_path / "upright" / "a" / "0.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned" / "a" / "0.png", exif=exif)
    ids = rng.permuted(np.tile(np.arange(3)[:, None, None], (1, 6, 4)), axis=0)
    write_map(tmp_path / "maps" / "a" / "0.npy", rng.normal(2, 3, ids.shape), ids)
    maps = MapFolder(tmp_path / "maps", 3, Reading("centre-crop", 0.9))
    made = {}
    for name in ("turned", "upright"):
        images = find_images(tmp_path / name)
        train = samples_of(images, maps=maps, grid=(2, 2), exif="apply")[1, 0, 0]
        ops = eval_view((32, 32), 0.9)
        made[name] = [collate([train]), collate([EvalSamples(images, ops, 3, maps, (2, 2), "apply")[0]]),
                      collate([EvalSamples(images, ops, 3, maps, (2, 2), "ignore")[0]])]
    assert_equal(made["turned"][:2], made["upright"][:2])
    assert not np.array_equal(made["turned"][2]["image"], made["upright"][2]["image"])


def test_erased_positions_belong_to_their_image(photos):
    samples = [samples_of(photos)[0, i, 0] for i in range(8)]
    erased = [i for i, sample in enumerate(samples) if len(sample["erase_at"])]
    assert 0 < len(erased) < 8
    batch = collate(samples)
    assert sorted(set((batch["erase_at"] // (32 * 32)).tolist())) == erased
    untouched = collate([samples[i] for i in range(8) if i not in erased])
    assert untouched["erase_at"].tolist() == [0] and np.isnan(untouched["erase_value"]).all()


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch", [2, 3, 5])
def test_every_epoch_deals_whole_pairs_and_each_image_once(world, batch):
    length, steps = 47, 3 * (47 // (world * batch))
    ranks = [list(TrainBatches(length, batch, seed=1, stop=steps, rank=rank, world=world)) for rank in range(world)]
    alone = list(TrainBatches(length, batch * world, seed=1, stop=steps))
    assert [sum((rank[step] for rank in ranks), []) for step in range(steps)] == alone
    assert all(len(rank[step]) % 2 == 0 for rank in ranks[:-1] for step in range(steps))
    per_epoch = 47 // (world * batch)
    for epoch in range(3):
        dealt = sum(alone[epoch * per_epoch:(epoch + 1) * per_epoch], [])
        assert {key[0] for key in dealt} == {epoch} and {key[2] for key in dealt} == {0}
        assert len({key[1] for key in dealt}) == len(dealt) == per_epoch * world * batch
    orders = [[key[1] for key in sum(alone[e * per_epoch:(e + 1) * per_epoch], [])] for e in range(3)]
    assert orders[0] != orders[1] != orders[2]


def test_the_odd_row_goes_to_the_last_rank():
    assert [rank_rows(7, rank, 3) for rank in range(3)] == [(0, 2), (2, 4), (4, 7)]
    assert [rank_rows(8, rank, 2) for rank in range(2)] == [(0, 4), (4, 8)]
    assert rank_rows(5, 0, 1) == (0, 5)


def test_repeated_augmentation_shows_each_image_three_times_a_step_and_never_beside_itself():
    batches = TrainBatches(60, 12, seed=0, stop=5, copies=3)
    dealt = list(batches)
    for batch in dealt:
        images, times = np.unique([key[1] for key in batch], return_counts=True)
        assert len(images) == 4 and (times == 3).all()
        assert len(set(batch)) == 12
        assert all(batch[i][1] != batch[i + 1][1] for i in range(0, 12, 2))
    assert len({key[1] for batch in dealt for key in batch}) == 20


def test_batches_that_cannot_be_filled_are_refused_with_what_to_set():
    with pytest.raises(ValueError, match="at most 5"):
        TrainBatches(10, 6, seed=0, stop=1, world=2)
    with pytest.raises(ValueError, match="set it to 2"):
        TrainBatches(10, 1, seed=0, stop=1, world=2)


@pytest.mark.parametrize("world", [1, 2, 3, 5, 20])
def test_evaluation_sees_each_image_once_for_any_number_of_processes(world):
    dealt = [list(EvalBatches(13, 4, rank=rank, world=world)) for rank in range(world)]
    assert sum(sum(dealt, []), []) == list(range(13))
    for rank, batches in enumerate(dealt):
        assert len(batches) == len(EvalBatches(13, 4, rank=rank, world=world))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_counts_are_exact_and_an_empty_share_is_no_batch(photos, workers):
    samples = EvalSamples(photos, eval_view((32, 32), 0.9), num_classes=3)
    shares = [EvalBatches(13, 4, rank=rank, world=2) for rank in range(2)]
    seen = [batch for share in shares for batch in make_loader(samples, share, workers)]
    assert np.concatenate([batch["index"].numpy() for batch in seen]).tolist() == list(range(13))
    assert np.array_equal(np.concatenate([batch["label"].numpy() for batch in seen]), photos.labels)
    assert list(make_loader(samples, EvalBatches(13, 4, rank=0, world=20), workers)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_photo_ends_the_run_with_one_line_that_names_it(photos, tmp_path, workers):
    for i in range(4):
        path = tmp_path / "a" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(open(photos.full_path(i), "rb").read()[:None if i != 2 else 200])
    broken = find_images(tmp_path)
    with pytest.raises(ValueError, match=r"2\.jpg") as caught:
        for _ in make_loader(samples_of(broken), TrainBatches(4, 2, seed=0, stop=2), workers):
            pass
    assert "\n" not in str(caught.value)


def test_the_benchmark_measures_every_task_on_a_folder_or_a_tar(photos, tmp_path):
    tool = Path(__file__).resolve().parents[2] / "tools" / "benchmark" / "loader.py"
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos.root, "photos")
    for source in (photos.root, tmp_path / "photos.tar"):
        done = subprocess.run([sys.executable, tool, "--photos", source, "--rounds", "1", "--count", "2"],
                              capture_output=True, text=True, check=True)
        assert done.stdout.count("/s/core") == 7 and "1.00 of decode-only" in done.stdout


def test_released_geometry_needs_maps_of_the_whole_photo(photos, maps):
    cropped = MapFolder(maps.path, 3, Reading("centre-crop", 0.9), "annotation.json there")
    with pytest.raises(ValueError, match=r"geometry 'released'.*centre-crop 0\.9.*annotation\.json"):
        TrainSamples(photos, POLICY._replace(order="released"), seed=0, num_classes=3, maps=cropped, grid=(2, 2),
                     geometry="released")


def test_released_geometry_needs_the_released_order(photos):
    with pytest.raises(ValueError, match="order 'released', got 'crop-first'"):
        TrainSamples(photos, POLICY, seed=0, num_classes=3, geometry="released")
