"""`ppim plan`: what it says of a recipe, its arithmetic by hand, and what it says of what it is not."""
import json

import paddle
import pytest

from ppim.cli import main
from ppim.commands.plan import show
from ppim.config import get_config
from ppim.engine.task import task_of
from ppim.models import create_model
from ppim.plan import loader, roofline
from ppim.plan.estimate import Job, estimate
from ppim.plan.gpus import find, known, published
from ppim.plan.task import looks_of
from ppim.plan.tell import as_record, others, rows
from ppim.zoo.macs import count_macs

with_paddle_3 = pytest.mark.skipif(paddle.version.major == "2", reason="plans are made with Paddle 3")


def test_a_ring_by_hand():
    # of 100 MB each of 8 GPUs sends 2 x 7 / 8: 175 MB, at 100 GB/s
    assert roofline.ring_seconds(100e6, 8, 100) == pytest.approx(1.75e-3)
    assert roofline.ring_seconds(100e6, 1, 100) == 0
    gpu, assumed = find("a100"), roofline.Assumed(network_gbs=25, per_node=8)
    assert roofline.all_reduce_seconds(100e6, 8, gpu, assumed) == pytest.approx(1.75e-1 / 300)
    assert roofline.all_reduce_seconds(100e6, 16, gpu, assumed) == pytest.approx(2 * 15 / 16 * 0.1 / 25)


def test_every_gpu_has_all_of_its_row_and_a_source():
    for name, gpu in known().items():
        assert gpu.source and gpu.memory_gb >= 16 and gpu.link_gbs <= gpu.bandwidth_gbs, name
        assert ("bfloat16" in gpu.tflops) == (gpu.generation >= 8) == ("tf32" in gpu.tflops), name
        assert gpu.tflops["float16"] >= 1.9 * gpu.tflops["float32"], name
    assert find("A100") == known()["a100-80"] and find("RTX 3090") == known()["rtx3090"]
    assert find("v100").peak("float32") == 15.7e12 and find("a100").peak("float32") == 156e12
    with pytest.raises(ValueError, match="h100-sxm.*got 'b200'"):
        find("b200")


def test_published_rates_come_to_the_share_of_peak_that_their_authors_state():
    found = {(row.model, row.rate): row.share_of_peak for row in published()}
    # its authors: 22.9 % at 8,003 images per second
    assert found["ViT-5-S", 7716] == pytest.approx(0.229 * 7716 / 8003, rel=0.03)
    assert all(0 < share < 0.6 for share in found.values()) and len(others()) == len(found)


def test_what_a_loader_needs_by_hand():
    config = get_config("lvvit_s")
    fields = loader.batch_fields(config, (14, 14), 1000, 2)
    # pictures, label and index, erased pixels, targets of 2 + 392 rows of six triplets, owners, partner and share
    erased = int(2 * 224 * 224 * config.TRAIN.RANDOM_ERASE_PROB * 0.17)
    by_hand = 2 * 3 * 224**2 + 2 * 16 + erased * 20 + 394 * (6 * 12 + 12) + 392 * 8 + 2 * 12
    assert loader.batch_bytes(fields) == by_hand
    need = loader.needs(3800.0, loader.Rate(380.0, 1e5, ""), fields, 8, 4)
    # 3 slots for each of 8 workers of 4 processes
    assert need["cores"] == 10 and need["disk_mb_per_second"] == 380 and need["workers"] == 32
    assert need["prefetched_gb"] == pytest.approx(4 * 8 * 3 * by_hand / 1e9)


# heads of 20, which the fused kernel takes widened to 24
TINY = ["MODEL.TRANS.DEPTH", "2", "MODEL.TRANS.EMBED_DIM", "60", "MODEL.TRANS.NUM_HEADS", "3", "DATA.IMAGE_SIZE", "64",
        "DATA.BATCH_SIZE", "16"]


@pytest.fixture(scope="module")
def plans():
    """A small recipe on 4 V100, plain; and with recompute and three micro-batches a step."""
    if paddle.version.major == "2":
        pytest.skip("plans are made with Paddle 3")
    jobs = [Job(get_config("lvvit_tiny", [*TINY, *more]), find("v100"), 4, images=64_000)
            for more in ([], ["TRAIN.RECOMPUTE", "True", "TRAIN.ACCUM_ITER", "3"])]
    return [(job, estimate(job)) for job in jobs]


def test_a_plan_adds_up(plans):
    (job, plan), (_, again) = plans
    assert plan.step_seconds == pytest.approx(max(plan.launch_seconds, plan.gpu_seconds)
                                              + 0.3 * plan.all_reduce_seconds)
    assert plan.bound == "launches" and plan.launch_seconds == pytest.approx(15e-6 * sum(plan.operators.values()))
    assert plan.images_per_second == pytest.approx(64 / plan.step_seconds) and plan.global_batch == 64
    # 310 epochs of 1,000 steps
    assert plan.steps == 310_000 and plan.training_gflop == pytest.approx(6 * plan.giga_macs)
    assert plan.hours == pytest.approx(plan.steps * plan.step_seconds / 3600 + plan.evaluation_hours)
    assert plan.gpu_hours == 4 * plan.hours and plan.precision == "float16"
    assert again.operators["forward"] == 3 * plan.operators["forward"] and again.global_batch == 192
    # the two blocks' forward products once more: of 17 tokens, a width of 60 and three times that inside
    block = 17 * 60 * 60 * (4 + 2 * 3) + 2 * 17 * 17 * 60
    assert again.step_tflop_of_gpu / 3 - plan.step_tflop_of_gpu == pytest.approx(2 * 16 * 2 * block / 1e12, rel=1e-6)
    assert again.memory_gb == pytest.approx(plan.other_memory_gb) and again.memory_gb < plan.memory_gb
    assert plan.memory_gb == pytest.approx(sum(plan.state_gb.values()) + plan.activations_gb)
    assert plan.largest_batch < plan.other_largest_batch and plan.fits


@with_paddle_3
def test_as_many_evaluations_are_counted_as_a_run_makes():
    # 4 GPUs x 16 of 640 photos: 10 steps an epoch
    of_each = [estimate(Job(get_config("lvvit_tiny", [*TINY, "TRAIN.COOLDOWN_EPOCHS", "0", "TRAIN.NUM_EPOCHS", "10",
                                                      *more]), find("v100"), 4, images=640)).evaluation_hours
               for more in (["VALIDATE_FREQ", "10"], ["VALIDATE_FREQ", "4"], ["TRAIN.MAX_STEPS", "25"])]
    # behind the last epoch; behind the fourth, the eighth and the last; behind two epochs and where it ends
    assert [hours / of_each[0] for hours in of_each] == pytest.approx([1, 3, 3])


@with_paddle_3
def test_photos_that_do_not_fill_a_step_make_no_plan():
    with pytest.raises(ValueError, match="63 photos do not fill one batch of 16 on each of 4 GPUs"):
        estimate(Job(get_config("lvvit_tiny", TINY), find("v100"), 4, images=63))
    with pytest.raises(ValueError, match="lower TRAIN.ACCUM_ITER"):
        estimate(Job(get_config("lvvit_tiny", [*TINY, "TRAIN.ACCUM_ITER", "999"]), find("v100"), 4, images=64))


def test_it_is_told_that_nothing_was_measured(plans):
    job, plan = plans[0]
    told = dict(row[:2] for row in rows(job, plan))
    assert told["job"].startswith("4 x Tesla V100") and told["memory of a GPU"] == f"{plan.memory_gb:.1f} GB"
    assert "unmeasured" in as_record(job, plan)["note"] and as_record(job, plan)["published"]


@with_paddle_3
def test_a_plan_of_windows_and_class_attention_has_the_products_of_the_network():
    size = {"layers": [1, 1, 1, 1], "embed_dim": 48, "num_heads": 3, "outlook_heads": 3}
    keys = [word for key, value in size.items() for word in (f"MODEL.TRANS.{key.upper()}", str(value))]
    job = Job(get_config("volo_d1", [*keys, "DATA.IMAGE_SIZE", "64", "DATA.BATCH_SIZE", "4"]), find("a100"), 2)
    plan, counted = estimate(job), count_macs(create_model("volo_d1", **size, image_size=64))
    # besides, the means of 4 x 4 cells of the first stage: two products, over 8 x 8 tokens and over half of them; and
    # the loss of 17 rows of logits
    assert plan.giga_macs * 1e9 == pytest.approx(counted + (64 + 32) * 24 + 17 * 1000, rel=1e-9)
    assert plan.memory_gb > plan.other_memory_gb and plan.precision == "bfloat16"


@with_paddle_3
def test_a_plan_of_a_segmenter_has_its_products_its_batch_and_its_windows(capsys):
    size = ["MODEL.TRANS.DEPTH", "4", "MODEL.TRANS.EMBED_DIM", "48", "MODEL.TRANS.NUM_HEADS", "3", "SEGMENT.LAYERS",
            "[0, 1, 2, 3]", "SEGMENT.CHANNELS", "16", "SEGMENT.TOP_CHANNELS", "32", "DATA.IMAGE_SIZE", "64",
            "SEGMENT.STRIDE", "43", "SEGMENT.SCALE", "[256, 64]"]
    config = get_config("upernet_lvvit_s", size)
    model = task_of(config).model(config)
    counted = count_macs(model)
    # two transposed convolutions on 4 x 4 tokens, fourfold and twofold; the small head, which evaluation leaves out
    counted += 16 * 48 * 48 * (16 + 4) + 16 * (9 * 48 * 16 + 16 * 150)
    assert main(["plan", "-c", "upernet_lvvit_s", "--gpus", "2", "--images", "800", "--json", "-o", *size]) == 0
    told = json.loads(capsys.readouterr().out)
    plan = told["plan"]
    assert plan["giga_macs"] * 1e9 == pytest.approx(counted, rel=1e-9) and plan["precision"] == "bfloat16"
    assert (plan["global_batch"], plan["steps"]) == (8, 127 * 100) and plan["memory_gb"] > plan["other_memory_gb"]
    assert told["published"] == [] and "683 x 512" in told["loader_rate"]["source"]
    need = loader.pixel_fields(config)
    assert loader.batch_bytes(need) == 4 * (4 * 64 * 64 + 8)
    # windows of 64 over a photo of 4 x 3, which is brought to 85 x 64 pixels
    assert looks_of(config) == 2 and looks_of(get_config("upernet_lvvit_s", [*size, "SEGMENT.STRIDE", "20"])) == 3
    assert looks_of(get_config("upernet_lvvit_s", [*size, "SEGMENT.MODE", "whole"])) == 85 / 64
    with pytest.raises(SystemExit):
        main(["plan", "-c", "upernet_lvvit_s", "--images", "0"])


@with_paddle_3
def test_the_command_prints_json_with_a_teacher_alignment_and_a_loader_that_was_measured(capsys, tiny_data):
    teacher = ["DISTILL.TYPE", "hard", "DISTILL.TEACHER", "deit_tiny", "DISTILL.WEIGHTS", "none.pdparams",
               "MIX.CLASS_SHARE", "alignment", "TRAIN.CUTMIX_ALPHA", "1.0"]
    photos = ["DATA.DATA_PATH", str(tiny_data), "TOKEN_LABEL.PATH", str(tiny_data / "maps"), "TOKEN_LABEL.FRAME",
              "whole"]
    code = main(["plan", "-c", "lvvit_tiny", "--gpus", "2", "--gpu", "h100", "--json", "--measure-loader", "4", "-o",
                 *TINY, "DATA.IMAGE_SIZE", "32", *photos, *teacher])
    found = json.loads(capsys.readouterr().out)
    plan = found["plan"]
    assert code == 0 and found["gpu"]["title"].startswith("H100") and plan["operators"]["teacher"] > 100
    assert plan["training_gflop"] == pytest.approx(6 * plan["giga_macs"] + 2 * plan["teacher_giga_macs"])
    rate, photos = found["loader_rate"], sorted((tiny_data / "train" / "class0").iterdir())[:4]
    assert rate["source"].startswith("measured here on 4 photos") and rate["per_core"] > 1
    assert rate["file_bytes"] == sum(photo.stat().st_size for photo in photos) / 4
    assert plan["loader"]["cores"] == pytest.approx(plan["images_per_second"] / rate["per_core"])
    assert plan["state_gb"]["teacher"] == pytest.approx(4 * 5_5e5 / 1e9, rel=0.1)


@pytest.mark.parametrize(("words", "said"), [
    (["-c", "lvvit_s", "--gpu", "b200"], "--gpu wants one of"),
    (["-c", "no_such_recipe"], "no_such_recipe"),
])
def test_mistakes_are_told_before_anything_is_built(capsys, words, said):
    assert main(["plan", *words]) == 1
    assert said in capsys.readouterr().err


def test_numbers_that_make_no_sense_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "-c", "lvvit_s", "--gpus", "0"])
    assert "--gpus: wants" in capsys.readouterr().err


@pytest.mark.smoke
def test_paddle_2_is_told_that_a_plan_wants_paddle_3(capsys):
    if paddle.version.major != "2":
        pytest.skip("this is Paddle 3")
    assert main(["plan", "-c", "lvvit_tiny", "--gpus", "1", "-o", *TINY]) == 1
    assert "Paddle 3" in capsys.readouterr().err


def test_sources_in_brackets_are_told_on_a_terminal_as_well(capsys, monkeypatch):
    for is_terminal in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", is_terminal)
        monkeypatch.setenv("COLUMNS", "200")
        show("published", others())
        told = capsys.readouterr().out
        assert all(f"[{row.source}]" in told for row in published()) and ("━" in told) == bool(is_terminal)
