"""How many operators does a training step start? Each costs a GPU's host some 15 microseconds, whatever its size.

    python tools/benchmark/operator_counts.py [flash | heads]
    PYTHONPATH=CHECKOUT python tools/benchmark/operator_counts.py       the same of another version of this repository

Counted on a CPU for narrow layers in the structure of LV-ViT-S, as a GPU would take them: the fused attention
kernel stands for one operator (`flash`), or all heads go in one product (`heads`, V100 and older); our own gradients,
which are for CPUs, are left out.
"""
from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

import ppim  # noqa: F401, E402, I001  (before Paddle: it sets the threads)
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402
from paddle import profiler  # noqa: E402

from ppim.engine.ema import Ema  # noqa: E402
from ppim.engine.optimizer import build_optimizer  # noqa: E402
from ppim.models import create_model, layers  # noqa: E402


class OneOperator(paddle.autograd.PyLayer):
    """Stands for the fused kernel: one operator forward, one backward."""

    @staticmethod
    def forward(ctx, q, k, v):
        return q.clone()

    @staticmethod
    def backward(ctx, upstream):
        return upstream, upstream, upstream


def pretend_a_gpu(way: str) -> None:
    """Make this process take the operators a GPU would."""
    with contextlib.suppress(ImportError):  # older versions have no such file
        from ppim.models import operators

        operators.eager_on_cpu = lambda *_: False
    if way == "flash":
        layers.flash_attention_runs = lambda *_: True
        F.scaled_dot_product_attention = lambda q, k, v: OneOperator.apply(q, k, v)
    else:
        layers.heads_go_together = lambda x: True


def counted(run: Callable[[], object]) -> tuple[int, int]:
    """Operators that `run` starts: (by name, as nodes of the backward graph)."""
    told, targets = io.StringIO(), [profiler.ProfilerTarget.CPU]
    # told to do nothing with its trace, the profiler writes no files
    with contextlib.redirect_stdout(told), profiler.Profiler(targets=targets, on_trace_ready=lambda _: None) as record:
        run()
    with contextlib.redirect_stdout(told):
        record.summary(op_detail=False)
    rows = [line.split() for line in told.getvalue().splitlines()]
    forward = sum(int(row[2]) for row in rows if len(row) > 2 and row[1] == "dygraph" and row[2].isdigit())
    nodes = (row for row in rows if len(row) > 1 and row[0].startswith("Global_") and "Accumulation" not in row[0])
    return forward, sum(int(row[1]) for row in nodes if row[1].isdigit())


def main(way: str) -> None:
    """Print the counts of one step."""
    pretend_a_gpu(way)
    model = create_model("lvvit_s", image_size=64, num_classes=10, embed_dim=48, stem_channels=8, drop_path=0.1)
    model.train()
    optimizer, average = build_optimizer(model, "AdamW", weight_decay=0.05), Ema(model, 0.999)
    images, losses = paddle.randn([2, 3, 64, 64]), []

    def forward():
        output = model.tokens(images)
        losses.append(output.class_logits.mean() + output.token_logits.mean())

    forward()
    losses[-1].backward()  # so that gradients and moments are there
    optimizer.step()
    optimizer.clear_grad()
    print(f"{way}: forward {counted(forward)[0]}, backward {counted(lambda: losses[-1].backward())[1]}, "
          f"optimizer {counted(optimizer.step)[0]}, running average {counted(average.update)[0]}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "flash")
