"""Evaluation by paddle.inference: the same answers, from whatever batch; which engine is taken, and when."""
import json

import numpy as np
import paddle
import pytest

from ppim.config import get_config
from ppim.engine import inference
from ppim.engine.command import run
from ppim.engine.inference import Inferred, answerer, has_products, prefers
from ppim.models.deit import DeiT
from ppim.models.merging import Merging
from tests.helpers import SMALL, run_python, small_lvvit, small_t2t_vit, spread_weights, write_tiny_recipe

MODELS = {
    "LV-ViT": lambda: small_lvvit(num_classes=7),
    "T2T-ViT": lambda: small_t2t_vit(num_classes=7),
    "distilled DeiT": lambda: DeiT(**{**SMALL, 'num_classes': 7, 'patch_size': 8, 'distilled': True}),
}


def images(count, model):
    return paddle.to_tensor(np.random.default_rng(count).normal(0, 1, (count, 3, *model.image_size)).astype(np.float32))


@pytest.mark.smoke
@pytest.mark.parametrize("name", MODELS)
def test_a_program_answers_what_the_model_does_for_batches_of_any_size(name):
    paddle.seed(3)
    model = MODELS[name]()
    model.train()
    one, short = Inferred(model, tokens=True), Inferred(model)
    assert model.training  # as it was
    model.eval()
    for count in (3, 1, 5):
        batch = images(count, model)
        with paddle.no_grad():
            wanted, logits = model.evaluate_tokens(batch), model(batch)
        found = one.evaluate_tokens(batch)
        np.testing.assert_allclose(found.class_logits.numpy(), wanted.class_logits.numpy(), atol=1e-5)
        np.testing.assert_allclose(found.token_logits.numpy(), wanted.token_logits.numpy(), atol=1e-5)
        np.testing.assert_allclose(short(batch).numpy(), logits.numpy(), atol=1e-5)


# How many threads MKL and OpenMP give to products, asked of the libraries that Paddle has loaded.
THREADS = """
import ctypes
import ppim
import paddle
from ppim.engine.inference import Inferred
from tests.helpers import small_lvvit

def threads():
    loaded = {line.split()[-1] for line in open("/proc/self/maps") if "libiomp5" in line or "libmklml_intel" in line}
    asked = {name: getattr(ctypes.CDLL(path), name, None) for path in loaded
             for name in ("omp_get_max_threads", "MKL_Get_Max_Threads")}
    return sorted((name, ask()) for name, ask in asked.items() if ask)

model = small_lvvit(num_classes=7)
images = paddle.rand([1, 3, *model.image_size])
model(images)
before = threads()
Inferred(model)(images)
print(before, threads() == before)
"""


@pytest.mark.smoke
def test_what_is_computed_after_a_program_has_all_threads():
    done = run_python("-c", THREADS)
    assert "('omp_get_max_threads', 2)" in done.stdout and done.stdout.endswith("True\n"), done.stdout + done.stderr


@pytest.mark.smoke
def test_tracing_leaves_no_translation_behind():
    model = small_lvvit(num_classes=7)
    Inferred(model, tokens=True)
    assert not [name for name, layer in model.named_sublayers(include_self=True) if "forward" in vars(layer)]


def test_later_weights_are_not_those_of_the_program():
    paddle.seed(0)
    model = small_lvvit(num_classes=7)
    program, batch = Inferred(model), images(2, model)
    before = program(batch).numpy()
    for parameter in model.parameters():
        parameter.set_value(parameter * 0.5)
    np.testing.assert_array_equal(program(batch).numpy(), before)


@pytest.mark.parametrize(("times", "same", "wanted"), [
    ((1.0, 0.5), True, True), ((1.0, 0.97), True, False), ((1.0, 1.5), True, False), ((1.0, 0.5), False, False),
])
def test_the_program_is_taken_where_it_is_clearly_faster_and_says_the_same(times, same, wanted):
    logits = np.eye(4, dtype=np.float32)
    other = logits if same else logits[::-1]
    assert prefers(times, logits, other) is wanted


def test_logits_that_differ_by_rounding_alone_are_the_same():
    logits = np.random.default_rng(0).normal(0, 1, (8, 10)).astype(np.float32)
    assert prefers((1.0, 0.5), logits, logits + 1e-6)
    assert not prefers((1.0, 0.5), logits, logits + 1e-2)


def test_few_images_are_not_worth_a_program():
    model = small_lvvit(num_classes=7)
    answers, note = answerer(model, 20, "auto", batch_size=8)
    assert answers is model and note == ""
    answers, note = answerer(model, 10**6, "dygraph", batch_size=8)
    assert answers is model and note == ""


def test_for_many_images_both_are_tried_and_the_choice_is_told():
    model = small_lvvit(num_classes=7)
    answers, note = answerer(model, 10**6, "auto", batch_size=4)
    assert note.startswith("engine: paddle.inference") is isinstance(answers, Inferred)
    assert answers is model or isinstance(answers, Inferred)
    assert " times as fast" in note


def test_bfloat16_is_refused_where_the_processor_has_no_products_of_it(monkeypatch):
    model = small_lvvit(num_classes=7)
    monkeypatch.setattr(inference, "describe_processor", lambda: "flags\t\t: fpu sse2 avx512f\n")
    with pytest.raises(ValueError, match="EVAL.PRECISION bfloat16 .* avx512_bf16"):
        answerer(model, 10**6, "inference", batch_size=4, precision="bfloat16")


@pytest.mark.skipif(not has_products("bfloat16"), reason="this processor has no bfloat16 products")
def test_bfloat16_is_near_and_is_not_float32():
    paddle.seed(1)
    model = small_lvvit(num_classes=7)
    model.eval()
    batch = images(8, model)
    answers, _ = answerer(model, 8, "inference", batch_size=8, precision="bfloat16")
    found = answers(batch).numpy()
    with paddle.no_grad():
        wanted = model(batch).numpy()
    away = np.abs(found - wanted).max() / wanted.std()
    assert 1e-4 < away < 0.2


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="EVAL.PRECISION bfloat16 .* EVAL.ENGINE dygraph"):
        get_config("lvvit_demo", ["EVAL.PRECISION", "bfloat16"])


def test_fewer_tokens_are_asked_of_either_engine():
    paddle.seed(4)
    model = small_lvvit(num_classes=7)
    spread_weights(model)  # no two tokens are alike by rounding alone
    model.eval()
    batch = images(2, model)
    answers, _ = answerer(model, 8, "dygraph", batch_size=8, keep=0.5)
    program, _ = answerer(model, 8, "inference", batch_size=8, keep=0.5)
    with paddle.no_grad():
        found = answers(batch).numpy()
    assert isinstance(answers, Merging)
    np.testing.assert_allclose(program(batch).numpy(), found, atol=1e-4)


def test_evaluation_counts_the_same_by_either_engine(tiny_data, tmp_path, capsys):
    run(str(write_tiny_recipe(tmp_path, tiny_data)), ["TRAIN.MAX_STEPS", "2"])
    told = {}
    for engine in ("dygraph", "inference"):
        capsys.readouterr()
        run(None, ["MODEL.PRETRAINED", str(tmp_path / "run"), "EVAL.ONLY", "True", "EVAL.ENGINE", engine])
        said = capsys.readouterr().out
        told[engine] = json.loads(said.splitlines()[-1])
        assert ("paddle.inference" in said) is (engine == "inference")
    run(None, ["MODEL.PRETRAINED", str(tmp_path / "run"), "EVAL.ONLY", "True", "EVAL.KEEP", "0.5"])
    fewer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert fewer["count"] == told["dygraph"]["count"] and fewer["loss"] != told["dygraph"]["loss"]
    for name, value in told["dygraph"].items():
        assert told["inference"][name] == (pytest.approx(value, rel=1e-5) if name == "loss" else value)
