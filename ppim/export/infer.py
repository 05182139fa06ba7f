"""Which class does this model see in photos? `python infer.py photo.jpg` answers with Pillow, numpy and one engine.

This program lies in every bundle that `ppim export` writes, beside `preprocess.py`, the very file that ppim evaluates
with; ppim itself is not needed. The network is model.onnx (onnxruntime), model.xml (openvino) or model.json with
model.pdiparams (paddle; model.pdmodel of Paddle 2.6).

As a module: `run = open_engine("onnx")`, then `run(batch)` is a list of arrays, the logits (B, K) first, for a float32
`batch` (B, 3, h, w) of what `read(path)` gives.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from preprocess import decode, normalised, photos_in, view

HERE = Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "preprocess.json").read_text(encoding="utf-8"))
Run = Callable[[np.ndarray], list[np.ndarray]]


# ---- engines -------------------------------------------------------------------------------------------------------


def _onnx(threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})


def _openvino(threads: int) -> Run:
    import openvino

    # processors that can compute in bfloat16 would, and give other logits
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    network = openvino.Core().compile_model(str(HERE / "model.xml"), "CPU", how)
    return lambda batch: [np.array(network_output) for network_output in network(batch).to_tuple()]


def _paddle(threads: int) -> Run:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # Paddle makes it 1 where it is not set, and complains where it is
    os.environ.setdefault("GLOG_minloglevel", "2")
    with contextlib.redirect_stderr(io.StringIO()):
        from paddle import inference

    program = next(path for path in (HERE / "model.json", HERE / "model.pdmodel") if path.is_file())
    config = inference.Config(str(program), str(HERE / "model.pdiparams"))
    config.disable_glog_info()
    config.disable_gpu()
    if SETTINGS.get("onednn", True):
        config.enable_mkldnn()  # Paddle 3 does by itself, 2.6 does not
    elif hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    config.set_cpu_math_library_num_threads(threads)
    predictor = inference.create_predictor(config)
    image = predictor.get_input_handle(predictor.get_input_names()[0])

    def run(batch: np.ndarray) -> list[np.ndarray]:
        image.copy_from_cpu(np.ascontiguousarray(batch))
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    return run


# name: files any of which the bundle must have, the package it needs, how it is opened; the quickest to start first
ENGINES = {
    "onnx": (("model.onnx",), "onnxruntime", _onnx),
    "openvino": (("model.xml",), "openvino", _openvino),
    "paddle": (("model.json", "model.pdmodel"), "paddle", _paddle),
}
_INSTALL = {"onnxruntime": "onnxruntime", "openvino": "openvino", "paddle": "paddlepaddle"}


def open_engine(name: str = "auto", threads: int = 0) -> Run:
    """The network, ready to run on a CPU.

    Args:
        name: onnx, openvino or paddle; auto: the first whose file is here and whose package is installed.
        threads: that compute; 0: as many as there are processors for this program.

    Raises:
        ValueError: the bundle has no such file, or the package is not installed; the message says what to do.
    """
    threads = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    here = [engine for engine, (files, _, _) in ENGINES.items() if any((HERE / file).is_file() for file in files)]
    if name not in ("auto", *here):
        raise ValueError(f"--engine {name}: this bundle has files for {', '.join(here)}; take one of these, or export "
                         f"it again with --formats {name}")
    ready = [engine for engine in here if importlib.util.find_spec(ENGINES[engine][1])]
    if name not in ("auto", *ready) or not ready:
        wanted = here[:1] if name == "auto" else [name]
        package = ENGINES[wanted[0]][1]
        raise ValueError(f"the package {package} is not installed; pip install {_INSTALL[package]}"
                         + (f", or take --engine {ready[0]}" if ready else ""))
    return ENGINES[ready[0] if name == "auto" else name][2](threads)


# ---- photos --------------------------------------------------------------------------------------------------------


def decoded(path: str) -> Image.Image:
    """A photo as 8-bit RGB, upright where that is asked for.

    Raises:
        ValueError: it cannot be read; one line with its path.
    """
    try:
        with open(path, "rb") as file:
            return decode(file, SETTINGS["exif"])
    except FileNotFoundError:
        raise ValueError(f"{path}: no such photo") from None
    except Exception as error:  # decoders raise errors of any kind on damaged files
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as an image ({why})") from error


def read(path: str) -> np.ndarray:
    """A photo as the network wants it: float32 (3, h, w).

    Raises:
        ValueError: it cannot be read; one line with its path.
    """
    pixels = view(decoded(path), tuple(SETTINGS["image_size"]), SETTINGS["crop_pct"], SETTINGS["interpolation"])
    return normalised(pixels, SETTINGS["mean"], SETTINGS["std"])


def class_names() -> list[tuple[str, str]]:
    """What the classes are called, in the order of the logits: by data sets, and in words, which may be the same."""
    lines = (HERE / "classes.txt").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    return [(line.partition("\t")[0], line.rpartition("\t")[2]) for line in lines if line]


def predict(
    run: Run, paths: Sequence[str], size: int, faults: list[str]
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Photos in batches of `size` at most: their paths, and what the network gives for them.

    Args:
        faults: takes a line for each photo that cannot be read, which is left out.
    """
    batch: list[tuple[str, np.ndarray]] = []
    for number, path in enumerate(paths, 1):
        try:
            batch.append((path, read(path)))
        except ValueError as error:
            faults.append(str(error))
        if batch and (len(batch) == size or number == len(paths)):
            yield [name for name, _ in batch], run(np.stack([pixels for _, pixels in batch]))
            batch = []


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(B, K) -> (B, K) float64, rows that add up to 1."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


# ---- the program ---------------------------------------------------------------------------------------------------


def told(path: str, shares: np.ndarray, names: Sequence[tuple[str, str]], topk: int, as_json: bool) -> str:
    """What is printed of a photo: a line of JSON, or its path above a table."""
    best = np.argsort(-shares, kind="stable")[:topk]
    if as_json:
        top = [{"row": int(row), "id": names[row][0], "name": names[row][1], "probability": float(shares[row])}
               for row in best]
        return json.dumps({"path": path, "predictions": top}, ensure_ascii=False, allow_nan=False)
    return "\n".join([path, *(f"  {100 * shares[row]:6.2f} %  {names[row][1]}" for row in best)])


def parser_of(description: str, classes: str, batch: int, batch_of: str, logits: str) -> argparse.ArgumentParser:
    """What any such program is told. The rest is help: `classes` to tell of a photo, `batch` of what is computed at
    once, what is written as `logits`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("photos", nargs="*", help="image files, and folders of them")
    parser.add_argument("--list", metavar="FILE", help="file with the path of a photo on each line, besides")
    parser.add_argument("--topk", type=int, default=5, metavar="K", help=f"{classes} of each photo (5)")
    parser.add_argument("--engine", choices=("auto", *ENGINES), default="auto", help="what computes (auto)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads that compute (all processors)")
    parser.add_argument("--batch-size", type=int, default=batch, metavar="B",
                        help=f"{batch_of} computed at once ({batch})")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each photo")
    parser.add_argument("--logits", metavar="FILE.npz", help=logits)
    return parser


def typed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What stands behind the program's name, with all photos that it means."""
    args = parser.parse_args()
    if args.list:
        lines = [line.rstrip(b"\r") for line in Path(args.list).read_bytes().split(b"\n")]
        args.photos += [os.fsdecode(line) for line in lines if line]
    args.photos = photos_in(args.photos)
    if not args.photos:
        parser.error("no photos: name image files, or folders that hold some")
    return args


def opened(args: argparse.Namespace) -> tuple[list[tuple[str, str]], Run]:
    """Names of the classes and the network. Raises ValueError as `open_engine`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files and classes may be no text
    return class_names(), open_engine(args.engine, args.threads)


def ended(faults: Sequence[str]) -> int:
    """The exit code, each fault told: 0 where there is none, else 1."""
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def guarded(act: Callable[[], int]) -> int:
    """The exit code of `act`, or 1 and a line where a file cannot be read or written."""
    try:
        return act()
    except BrokenPipeError:  # nobody reads what is printed, as behind `| head`; 141 is what shells say of that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return ended([str(error)])


def save(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file, its folder too."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def joined(kept: Sequence[tuple[list[str], list[np.ndarray]]]) -> dict[str, np.ndarray]:
    """Of all batches `photos`, `logits` and, where the network gives them, `token_logits` (B, N, K)."""
    arrays = [np.concatenate(of_batches) for of_batches in zip(*(outputs for _, outputs in kept))]
    photos = np.array([photo for batch, _ in kept for photo in batch])
    return {"photos": photos, **dict(zip(("logits", "token_logits"), arrays))}


def options() -> argparse.Namespace:
    """What is typed behind the program's name."""
    return typed(parser_of("Predict the classes of photos.", "classes to show", 16, "photos",
                           "write what the network gives instead of printing it"))


def main() -> int:
    """The exit code: 0, or 1 where a photo or another file cannot be read or written, or the engine is missing."""
    return guarded(lambda: answered(options()))


def answered(args: argparse.Namespace) -> int:
    """The exit code; raises OSError where the arrays cannot be written."""
    faults, kept = [], []
    try:
        names, run = opened(args)
    except ValueError as error:
        return ended([str(error)])
    for batch, outputs in predict(run, args.photos, max(1, args.batch_size), faults):
        if args.logits:
            kept.append((batch, outputs))
            continue
        for path, shares in zip(batch, probabilities(outputs[0])):
            print(told(path, shares, names, max(1, args.topk), args.json), flush=True)
    if kept:
        save(args.logits, joined(kept))
    return ended(faults)


if __name__ == "__main__":
    sys.exit(main())
