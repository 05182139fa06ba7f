"""What does teaching tokens cost? A training step with token labels against the plain one, LV-ViT-S at 224 px.

    python tools/benchmark/training_step.py [--model lvvit_s] [--batch 8] [--rounds 7]

Forward, loss, backward and AdamW of the same model on the same pictures: with the class loss alone (the token head is
not run), and with the token loss and MixToken of the recipe. Steps take turns; medians and their ratio are printed.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import numpy as np  # noqa: E402

from ppim.bench.network import drawn_batch, step_of  # noqa: E402
from ppim.bench.rounds import median_of, take_turns  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.models import create_model  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lvvit_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    keep_freed_memory()
    model = create_model(args.model)
    plain, mixed = drawn_batch(model, args.batch), drawn_batch(model, args.batch, token_alpha=1.0)
    seconds = take_turns({
        "plain labels": step_of(model, plain),
        "plain labels, MixToken": step_of(model, mixed),
        "token labels, MixToken": step_of(model, mixed, 1.0),
    }, args.rounds)
    for name, found in seconds.items():
        print(f"{name:<24} median {1000 * np.median(found):7.0f} ms a step of {args.batch}, "
              f"{median_of(found / seconds['plain labels'])} of plain labels")


if __name__ == "__main__":
    main()
