"""Does our VOLO compute what timm's does? Row by row, at full size, on weights that follow from names and shapes.

    python tools/compare_volo_with_timm.py [ROW ...] --python PYTHON

PYTHON has torch and timm (1.0 or newer); it draws the weights of timm's network, saves them as a .pth file as training
does (`state_dict`, every name behind `module.`), and computes. Here the file is recognised by its content, read by the
one loader and computed with. A line for each row: the largest difference of evaluation logits, of the class head's and
of the tokens', in standard deviations of timm's. Takes a minute and up to 5 GB for the largest; nothing is kept.
"""
from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ROWS = ("volo_d1", "volo_d2", "volo_d3", "volo_d4", "volo_d5")
IMAGES = 2


def theirs(name: str, folder: Path) -> None:
    """In the Python that has timm: weights.pth, and images and numbers in theirs.npz."""
    import timm
    import torch

    from tests.models.original_weights import original_array, original_images

    torch.set_num_threads(1)
    model = timm.create_model(name if name.count("_") > 1 else f"{name}_224")
    for key, value in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(original_array(key, value.shape)))
    model.eval()
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"epoch": 1, "arch": name, "state_dict": state}, folder / "weights.pth")
    images = original_images(IMAGES, model.pretrained_cfg["input_size"][-1])
    with torch.no_grad():
        encoded = model.forward_features(torch.from_numpy(images))
        found = {"logits": model.forward_head(encoded), "classes": model.head(encoded[:, 0]),
                 "tokens": model.aux_head(encoded[:, 1:])}
    np.savez(folder / "theirs.npz", images=images, timm=timm.__version__,
             **{part: value.numpy() for part, value in found.items()})


def differences(name: str, folder: Path) -> dict[str, float]:
    """How far ours are from timm's numbers, in standard deviations of these."""
    importlib.import_module("ppim")  # before Paddle, which counts the threads
    import paddle

    from ppim.models import create_model
    from ppim.weights.load import load_weights
    from ppim.weights.recognise import recognise_file

    recognised = recognise_file(folder / "weights.pth").name
    if recognised != name:
        raise SystemExit(f"{name} was recognised as {recognised}")
    model = create_model(name)
    load_weights(model, folder / "weights.pth")
    model.eval()
    numbers = np.load(folder / "theirs.npz")
    with paddle.no_grad():
        images = paddle.to_tensor(numbers["images"])
        output, evaluated = model.tokens(images), model(images)
    ours = {"logits": evaluated, "classes": output.class_logits, "tokens": output.token_logits}
    return {part: float(np.abs(value.numpy() - numbers[part]).max() / numbers[part].std())
            for part, value in ours.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare VOLO with timm's.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of the family's ({' '.join(ROWS)})")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch and timm (this one)")
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        theirs(args.rows[0], args.theirs)
        return
    print("| Model | Logits | Class head | Token head |\n| --- | --- | --- | --- |")
    for name in args.rows or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([args.python, __file__, name, "--theirs", folder], check=True, stderr=subprocess.DEVNULL)
            found = differences(name, Path(folder))
        print(f"| {name} | " + " | ".join(f"{found[part]:.1e}" for part in ("logits", "classes", "tokens")) + " |",
              flush=True)


if __name__ == "__main__":
    main()
