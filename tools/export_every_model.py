"""Does every published model export? Each is built with drawn weights, exported by `ppim export` and checked by it.

    python tools/export_every_model.py [NAME ...] [--formats paddle onnx openvino] [--photos PATH ...]

Prints a line for each model and engine. Takes minutes for the large ones, and up to 10 GB of memory.
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("GLOG_minloglevel", "2")  # Paddle's warnings of its own code
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import ppim  # noqa: E402, F401
from ppim.commands import guarded  # noqa: E402
from ppim.commands.export import export  # noqa: E402
from ppim.export.engines import FORMATS  # noqa: E402
from ppim.families import names  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.weights import save_state  # noqa: E402


def draw(model) -> None:
    """Weights spread as training spreads them: fresh ones give logits so alike that any network would agree."""
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        if len(parameter.shape) > 1 and not parameter.stop_gradient:
            shape = parameter.shape
            inputs = {2: shape[0], 3: shape[-1], 4: int(np.prod(shape[1:]))}[len(shape)]
            parameter.set_value((rng.standard_normal(shape) / np.sqrt(inputs)).astype("float32"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models (all vision transformers)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["paddle"])
    parser.add_argument("--photos", nargs="+", default=[])
    args = parser.parse_args()
    failed = []
    for name in args.names or sorted(set(names().values())):
        with tempfile.TemporaryDirectory() as folder:
            model = create_model(name)
            draw(model)
            save_state(model.state_dict(), Path(folder) / "weights.pdparams")
            del model
            words = ["--load", f"{folder}/weights.pdparams", "--output", f"{folder}/bundle", "--model", name]
            words += ["--formats", *args.formats, *(["--photos", *args.photos] if args.photos else [])]
            print(f"---- {name}", flush=True)
            code = guarded(export, words)
            if code > 1:  # asked to stop
                return code
            failed += [name] * code
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
