"""Do our plain vision transformers compute what timm's do? Row by row, on random weights that timm has written.

    python tools/compare_with_timm.py                          a table, on small twins of every row; needs timm as well
    python tools/compare_with_timm.py --python PYTHON          the same with timm and PyTorch in another Python
    python tools/compare_with_timm.py --full vit_small ...     the rows themselves, at their own width and depth
    python tools/compare_with_timm.py --golden FILE            write what tests/models/test_vit.py compares with

A twin has its row's patch, image size, heads and tokens, but 2 blocks and 8 channels a head. timm draws nothing:
weights and pictures are numbers of a fixed seed, told by name and shape. PyTorch saves them as a .pth file under timm's
names, which is read here by the one loader. Differences are told in standard deviations of timm's logits, and as they
are for features (all tokens behind the last norm, of deviation near 1).

The last lines show pictures of another size than the table of positions has, not square, against dynamic_img_size=True
of timm: timm smooths (antialias) where it resizes a table, DeiT's code and ours do not, so it is told not to; beside it
stands how far the two are apart if it does.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CLASSES, BLOCKS, HEAD_WIDTH = 7, 2, 8
ALIGNED = "vit_small"  # the row that is shown pictures of another size
GOLDEN = {"vit_small_32": 96, "deit3_huge": 112, "dinov2_small": 112, "dinov2_small_reg": 112, f"{ALIGNED}_wide": 224}
WIDE = (160, 288)
_TIMMS = {"image_size": "img_size"}


def noise(name: str, shape) -> np.ndarray:
    """Numbers (shape) float32, normal, that follow from a name alone."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape)).astype(np.float32)


def weights(name: str, shape) -> np.ndarray:
    """Weights under a PyTorch name that keep activations near deviation 1; so do factors of layer scale."""
    drawn = noise(name, shape)
    if len(shape) == 1:
        return 1 + 0.1 * drawn if name.endswith((".weight", ".gamma")) else 0.1 * drawn
    if len(shape) == 3:  # tokens and tables
        return 0.5 * drawn
    return drawn / np.sqrt(np.float32(np.prod(shape[1:])))


def pictures(height: int, width: int) -> np.ndarray:
    """(2, 3, height, width) float32."""
    return noise(f"pictures {height} {width}", (2, 3, height, width))


# ---- timm's side, in a Python that has it --------------------------------------------------------------------------


def theirs(folder: Path) -> None:
    """Weights, logits and features of every row that rows.json asks for."""
    import timm
    import torch
    from timm.layers import resample_abs_pos_embed
    from timm.models import vision_transformer

    torch.set_num_threads(1)
    for row in json.loads((folder / "rows.json").read_text()):
        arguments = {_TIMMS.get(key, key): value for key, value in row["arguments"].items()}
        net = timm.create_model(row["theirs"], **arguments, num_classes=CLASSES).eval()
        state = {name: torch.from_numpy(weights(name, value.shape)) for name, value in net.state_dict().items()}
        net.load_state_dict(state)
        torch.save(state, folder / f"{row['name']}.pth")
        shapes = {name: list(value.shape) for name, value in state.items()}
        found = {"timm": np.array(timm.__version__), "shapes": np.array(json.dumps(shapes, allow_nan=False))}
        for antialias in (True, False) if row.get("wide") else (True,):
            vision_transformer.resample_abs_pos_embed = partial(resample_abs_pos_embed, antialias=antialias)
            with torch.no_grad():
                features = net.forward_features(torch.from_numpy(pictures(*row["hw"])))
                found[f"logits{'' if antialias else '_plain'}"] = net.forward_head(features).numpy()
                found[f"features{'' if antialias else '_plain'}"] = features.numpy()
        np.savez(folder / f"{row['name']}.npz", **found)


# ---- our side ------------------------------------------------------------------------------------------------------


def rows_of(full: list[str]) -> list[dict]:
    """Every row of the family with timm's name and what makes its twin; of `full` the rows themselves."""
    sys.path.insert(0, str(ROOT))
    from ppim.families import facts

    family, found = facts()["vit"], []
    also = {ours: other for other, ours in family.also.items() if "patch" in other and not other.endswith("_ls")}
    for name, size in family.sizes.items():
        small = {"depth": BLOCKS, "embed_dim": HEAD_WIDTH * size["num_heads"]}
        side = size.get("image_size", 224)
        if not full or name in full:
            found.append({"name": name, "theirs": also[name], "arguments": {} if full else small, "hw": [side, side]})
    if not full:
        row = next(row for row in found if row["name"] == ALIGNED)
        found.append({**row, "name": f"{ALIGNED}_wide", "wide": True, "hw": list(WIDE),
                      "arguments": {**row["arguments"], "dynamic_img_size": True}})
    return found


def ours(row: dict, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, K) and features (2, N, C) of our network with timm's file."""
    import paddle

    from ppim.models import create_model
    from ppim.weights.load import load_weights

    arguments = {key: value for key, value in row["arguments"].items() if key != "dynamic_img_size"}
    model = create_model(row["name"].removesuffix("_wide"), num_classes=CLASSES, **arguments)
    load_weights(model, folder / f"{row['name']}.pth")
    model.eval()
    with paddle.no_grad():
        images = paddle.to_tensor(pictures(*row["hw"]))
        return model(images).numpy(), model.encode(images)[0].numpy()


def compare(python: str, rows: list[dict], folder: Path) -> list[dict]:
    """timm's numbers and how far ours are from them, row by row."""
    (folder / "rows.json").write_text(json.dumps(rows, allow_nan=False))
    subprocess.run([python, __file__, "--theirs", str(folder)], check=True)
    for row in rows:
        given, (logits, features) = np.load(folder / f"{row['name']}.npz"), ours(row, folder)
        for plain in ("", "_plain") if row.get("wide") else ("",):
            row[f"logits{plain}"] = np.abs(logits - given[f"logits{plain}"]).max() / given[f"logits{plain}"].std()
            row[f"features{plain}"] = np.abs(features - given[f"features{plain}"]).max()
        row["timm"] = str(given["timm"])
    return rows


def table(rows: list[dict]) -> str:
    """The differences as a table of Markdown."""
    lines = [f"| Model | timm {rows[0]['timm']} | Logits | Features |", "| --- | --- | --- | --- |"]
    for row in rows:
        name, what = f"`{row['name'].removesuffix('_wide')}`", row["theirs"]
        for plain in ("_plain", "") if row.get("wide") else ("",):
            if row.get("wide"):
                what = f"{row['theirs']}, {WIDE[0]} x {WIDE[1]} pixels, {'not ' * bool(plain)}smoothed"
            lines.append(f"| {name} | {what} | {row[f'logits{plain}']:.1e} | {row[f'features{plain}']:.1e} |")
    return "\n".join(lines)


def golden(python: str, folder: Path, target: Path) -> None:
    """Logits of some twins and a few features, with what makes them again: names and shapes, arguments, pictures."""
    rows = [row for row in rows_of([]) if row["name"] in GOLDEN]
    for row in rows:
        row["arguments"]["image_size"] = GOLDEN[row["name"]]
        row["hw"] = row["hw"] if row.get("wide") else [GOLDEN[row["name"]]] * 2
    kept = {}
    for row in compare(python, rows, folder):
        given, plain = np.load(folder / f"{row['name']}.npz"), "_plain" if row.get("wide") else ""
        told = {key: row[key] for key in ("arguments", "hw")}
        kept[f"{row['name']}/made_of"] = np.array(json.dumps({**told, "shapes": json.loads(str(given["shapes"]))},
                                                             allow_nan=False))
        kept[f"{row['name']}/logits"] = given[f"logits{plain}"]
        kept[f"{row['name']}/features"] = given[f"features{plain}"][:, ::7, :16]
    np.savez_compressed(target, **kept)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare our plain vision transformers with timm's.")
    parser.add_argument("--python", default=sys.executable, help="a Python that has timm (this one)")
    parser.add_argument("--full", nargs="+", default=[], metavar="ROW", help="compare these rows themselves")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="write numbers for the tests")
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.theirs:
        theirs(args.theirs)
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.golden:
            golden(args.python, Path(folder), args.golden)
        else:
            print(table(compare(args.python, rows_of(args.full), Path(folder))))


if __name__ == "__main__":
    main()
