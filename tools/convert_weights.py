"""Convert weights between formats and layouts.

    python tools/convert_weights.py lvvit_s-26M-224-83.3.pth.tar lvvit_s.pdparams
    python tools/convert_weights.py output/t2t_vit_7/best.pdparams t2t_vit_7.safetensors --to torch

Reads whatever `--load` of tools/train.py reads. Writes `.pdparams` (for paddle.load) or `.safetensors`; with
`--to torch` under the original PyTorch names and in PyTorch's layout, for timm and the original repositories. Which
model it is, the file of a run knows and that of a published model shows; of others name the recipe.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.cli import guarded  # noqa: E402


def convert(argv=None) -> None:
    parser = argparse.ArgumentParser(description="Convert weights between formats and layouts.")
    parser.add_argument("source", help="weights of Paddle, PyTorch or safetensors")
    parser.add_argument("target", help="file to write: .pdparams or .safetensors")
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe of the model: a yaml file, or a published name")
    parser.add_argument("--model", metavar="NAME", help="the published model; without it and -c it is recognised")
    parser.add_argument("--to", choices=("paddle", "torch"), default="paddle", help="layout to write (paddle)")
    parser.add_argument("--which", choices=("auto", "raw", "ema"), default="auto",
                        help="of a file with raw and averaged weights; auto prefers the average")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)

    from ppim.config import get_config
    from ppim.engine.command import recipe_of
    from ppim.models import build_model
    from ppim.weights import load_weights, save_state
    from ppim.weights.convert import to_torch
    from ppim.weights.recognise import head_classes

    if not args.target.endswith((".pdparams", ".safetensors")):
        raise ValueError(f"wanted a target ending in .pdparams or .safetensors, got {args.target}")
    if args.to == "torch" and not args.target.endswith(".safetensors"):
        raise ValueError(f"weights in PyTorch's layout are written as .safetensors, got {args.target}")
    recipe, options = args.config or args.model, []
    if recipe is None:
        recipe, options, notes = recipe_of(args.source)
        print(*notes, sep="\n")
    elif classes := head_classes(args.source):
        options = ["MODEL.NUM_CLASSES", str(classes)]
    model = build_model(get_config(recipe, options))
    print(load_weights(model, args.source, which=args.which))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    save_state(to_torch(model, state) if args.to == "torch" else state, args.target, layout=args.to)
    print(f"wrote {args.target}: {len(state)} tensors, {args.to} layout")


if __name__ == "__main__":
    sys.exit(guarded(convert))
