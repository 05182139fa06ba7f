"""`ppim convert`: weights from one format and layout into another.

Reads whatever `--load` of `ppim train` reads. Writes `.pdparams` (for paddle.load) or `.safetensors`; with `--to torch`
under the original PyTorch names and in PyTorch's layout, for timm and the original repositories.
"""
from __future__ import annotations

from ppim.commands import Parser, import_paddle_quietly


def convert(argv: list[str]) -> None:
    """Convert weights between formats and layouts."""
    args = convert_parser().parse_args(argv)
    if not args.target.endswith((".pdparams", ".safetensors")):
        raise ValueError(f"wanted a target ending in .pdparams or .safetensors, got {args.target}")
    if args.to == "torch" and not args.target.endswith(".safetensors"):
        raise ValueError(f"weights in PyTorch's layout are written as .safetensors, got {args.target}")
    import_paddle_quietly()
    from ppim.config import get_config
    from ppim.engine.run_folder import recipe_of, said_by_card
    from ppim.engine.task import task_of
    from ppim.weights import load_weights, save_state
    from ppim.weights.card import read_card
    from ppim.weights.convert import to_torch
    from ppim.weights.recognise import head_classes, pixel_classes

    recipe = args.config or args.model
    if recipe is None:
        recipe, options, notes = recipe_of(args.source)
        print(*notes, sep="\n")
    else:
        classes = pixel_classes(args.source) or head_classes(args.source)
        sizes, _ = said_by_card(recipe, args.source)  # positions become those of the recipe's image size
        options = ["MODEL.NUM_CLASSES", str(classes)] * bool(classes) + sizes
    config, card = get_config(recipe, options), read_card(args.source)
    model = task_of(config).model(config)
    print(load_weights(model, args.source, which=args.which))
    if card and "image_size" in card:
        card = {**card, "image_size": config.DATA.IMAGE_SIZE}  # positions are for that now
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    save_state(to_torch(model, state) if args.to == "torch" else state, args.target, args.to, card)
    print(f"wrote {args.target}: {len(state)} tensors, {args.to} layout")


def convert_parser() -> Parser:
    """The options of `ppim convert`."""
    parser = Parser(
        prog="ppim convert",
        description="Convert weights between formats and layouts. Which model it is, the file of a run knows and that "
                    "of a published model shows; of others name the recipe.",
    )
    parser.add_argument("source", help="weights of Paddle, PyTorch or safetensors")
    parser.add_argument("target", help="file to write: .pdparams or .safetensors")
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe of the model: a yaml file, or a published name")
    parser.add_argument("--model", metavar="NAME", help="the published model; without it and -c it is recognised")
    parser.add_argument("--to", choices=("paddle", "torch"), default="paddle", help="layout to write (paddle)")
    parser.add_argument("--which", choices=("auto", "raw", "ema"), default="auto",
                        help="of a file with raw and averaged weights; auto prefers the average")
    return parser
