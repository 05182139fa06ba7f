"""Does every published model export? Each is built with drawn weights, exported by `ppim export` and checked by it.

    python tools/export_every_model.py [NAME ...] [--formats paddle onnx openvino] [--photos PATH ...] [--twins]

Prints a line for each model and engine. Takes minutes for the large ones, and up to 10 GB of memory; with --twins every
model has few and narrow blocks, and takes seconds.
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GLOG_minloglevel", "2")  # Paddle's warnings of its own code
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import ppim  # noqa: E402, F401
from ppim.commands import guarded  # noqa: E402
from ppim.commands.export import export  # noqa: E402
from ppim.export.engines import FORMATS  # noqa: E402
from ppim.families import family_of, names  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.weights import save_state  # noqa: E402
from ppim.weights.convert import to_torch  # noqa: E402
from ppim.weights.load import load_state  # noqa: E402
from tests.models.original_weights import original_state  # noqa: E402
from tools.twins import narrow  # noqa: E402

CLASSES = 1000


def draw(model) -> None:
    """Weights spread as training spreads them: fresh ones give logits so alike that any network would agree, and
    factors of layer scale hide what blocks compute."""
    state = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
    load_state(model, original_state({name: array.shape for name, array in state.items()}), "torch")


def exported(name: str, changes: dict[str, object], args: argparse.Namespace, folder: str) -> int:
    """The exit code of `ppim export` for this model, its size changed."""
    model = create_model(name, **changes)
    draw(model)
    save_state(model.state_dict(), Path(folder) / "weights.pdparams")
    del model
    words = ["--load", f"{folder}/weights.pdparams", "--output", f"{folder}/bundle", "--model", name]
    words += ["--formats", *args.formats, *(["--photos", *args.photos] if args.photos else [])]
    for key, value in changes.items():
        words += ["-o", "MODEL.NUM_CLASSES" if key == "num_classes" else f"MODEL.TRANS.{key.upper()}", str(value)]
    return guarded(export, words)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models (all vision transformers)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["paddle"])
    parser.add_argument("--photos", nargs="+", default=[])
    parser.add_argument("--twins", action="store_true", help="models as small as tools/twins.py makes them")
    args = parser.parse_args()
    failed = []
    for name in args.names or sorted(set(names().values())):
        print(f"---- {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            size = family_of(name).sizes[name]
            headed = {} if size.get("num_classes", CLASSES) else {"num_classes": CLASSES}  # as fine-tuning gives it
            code = exported(name, {**headed, **(narrow(size) if args.twins else {})}, args, folder)
        if code > 1:  # asked to stop
            return code
        failed += [name] * code
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
