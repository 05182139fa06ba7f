"""`ppim knn --load WEIGHTS`: how good features are as they are, by the photos nearest to a photo."""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Pairs, Parser, import_paddle_quietly
from ppim.commands.numbers import ABOVE_ZERO, COUNT
from ppim.strict_json import dumps


def knn(argv: list[str]) -> None:
    """Classify validation photos by the training photos nearest to them, in a model's frozen features."""
    parser = Parser(prog="ppim knn", description=knn.__doc__ + " Nothing is trained: the k nearest vote with "
                    "exp(cosine / T), as in DINO's evaluation.")
    parser.add_argument("-c", "--config", metavar="FILE", help="recipe; known for weights of a run folder")
    parser.add_argument("--load", required=True, metavar="WEIGHTS", help="weights whose features are judged")
    parser.add_argument("-k", type=COUNT, nargs="+", default=[], metavar="K",
                        help="neighbours that vote, several at once (10 20 100 200, those that there are photos for)")
    parser.add_argument("--features", choices=("class", "mean"), default="class",
                        help="of the class token, or the mean of all others (class)")
    parser.add_argument("--temperature", type=ABOVE_ZERO, default=0.07, metavar="T", help="of the votes (0.07)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to a file")
    parser.add_argument("-o", "--override", nargs="+", action=Pairs, default=[], metavar="KEY VALUE",
                        help="change keys of the recipe, e.g. -o DATA.DATA_PATH data/photos DATA.VAL_SHARE 0.2")
    args = parser.parse_args(argv)
    import_paddle_quietly()
    from ppim.engine.command import knn_weights
    from ppim.report.tables import write_text

    found = knn_weights(args.config, args.load, args.k, args.features, args.temperature, args.override)
    for k, voted in found.items():
        print(f"k {k:<6}{voted}")
    told = dumps({"features": args.features, "temperature": args.temperature,
                  "k": {str(k): voted._asdict() for k, voted in found.items()}})
    print(told)
    if args.json:
        write_text(args.json, told + "\n")
