"""Do our plain vision transformers and VOLO compute what timm's do? Row by row, from files such as PyTorch writes.

    python tools/compare_with_timm.py                     a table, on small twins of every row; needs timm as well
    python tools/compare_with_timm.py --python PYTHON     the same with torch and timm in another Python
    python tools/compare_with_timm.py vit_small volo_d1   of these rows alone
    python tools/compare_with_timm.py --full [ROW ...]    the rows themselves, at their own width, depth and classes
    python tools/compare_with_timm.py --golden            write what tests/models/test_{vit,volo}.py compare with

A twin has its row's patch, image size, heads and tokens, but 2 blocks and 8 channels a head (tools/twins.py). Weights
and pictures follow from names and shapes (tests/models/original_weights.py); tools/timm_side.py is timm's side. At full
size the file is first recognised by what is in it. Differences are told in standard deviations of timm's logits, and as
they are for features (all tokens behind the last norm, of deviation near 1).

The last lines of the twins show pictures of another size than the table of positions has, not square: timm smooths
(antialias) where it resizes a table, DeiT's code and ours do not, so it is told not to; beside it stands how far the
two are apart if it does.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import ppim  # noqa: E402, F401  (before Paddle, which counts the threads)

# isort: split
import paddle  # noqa: E402

from ppim.families import facts, family_of  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.weights.load import load_weights  # noqa: E402
from ppim.weights.recognise import recognise_file  # noqa: E402
from tests.models.original_weights import original_images  # noqa: E402
from tools.twins import narrow  # noqa: E402

CLASSES = 7  # of a twin
ALIGNED = "vit_small"  # the row that is shown pictures of another size
GOLDEN = {"vit_small_32": 96, "deit3_huge": 112, "dinov2_small": 112, "dinov2_small_reg": 112, f"{ALIGNED}_wide": 224}
WIDE = (160, 288)
FAMILIES = ("vit", "volo")


# ---- rows: name, theirs (timm's name), hw, ours and arguments (of either constructor), wide ------------------------


def rows_of(names: list[str], full: bool) -> list[dict]:
    """What is compared: these rows, or all; the rows themselves, or their twins."""
    every = [name for family in FAMILIES for name in facts()[family].sizes]
    unknown = sorted(set(names) - set(every))
    if unknown:
        raise SystemExit(f"no row of {' or '.join(FAMILIES)}: {', '.join(unknown)}; known: {', '.join(every)}")
    found = [_row(name, full) for name in every if not names or name in names]
    return [*found, *(_wide(row) for row in found if row["name"] == ALIGNED and not full)]


def _row(name: str, full: bool) -> dict:
    family = family_of(name)
    size = family.sizes[name]
    side, ours = size.get("image_size", 224), {} if full else {**narrow(size), "num_classes": CLASSES}
    called = {same: other for other, same in family.also.items() if "patch" in other and not other.endswith("_ls")}
    theirs = called.get(name, name if name.count("_") > 1 else f"{name}_224")
    of_timm = _as_timms_volo({**size, **ours}) if family.type == "VOLO" and not full else dict(ours)
    return {"name": name, "theirs": theirs, "hw": [side, side], "ours": ours, "arguments": of_timm}


def _as_timms_volo(size: dict) -> dict:
    """The arguments of our constructor as those of timm's."""
    width, heads = size["embed_dim"], size["num_heads"]
    return {"layers": size["layers"], "embed_dims": [width // 2, width, width, width],
            "num_heads": [size["outlook_heads"], heads, heads, heads], "mlp_ratio": size["mlp_ratio"],
            "stem_hidden_dim": size["stem_channels"], "img_size": size.get("image_size", 224),
            "num_classes": size["num_classes"]}


def _wide(row: dict) -> dict:
    arguments = {**row["arguments"], "dynamic_img_size": True}
    return {**row, "name": f"{ALIGNED}_wide", "wide": True, "hw": list(WIDE), "arguments": arguments}


# ---- numbers -------------------------------------------------------------------------------------------------------


def theirs(python: str, rows: list[dict], folder: Path) -> None:
    """Have timm compute these rows."""
    (folder / "rows.json").write_text(json.dumps(rows, allow_nan=False))
    subprocess.run([python, ROOT / "tools" / "timm_side.py", folder], check=True)


@paddle.no_grad()
def ours(row: dict, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, K) and features (2, N, C) of our network with timm's file."""
    name = row["name"].removesuffix("_wide")
    if not row["ours"]:
        found = recognise_file(file)
        if name not in (found.name, *found.twins):
            raise SystemExit(f"{name} was recognised as {found.name}")
    model = create_model(name, **row["ours"])
    load_weights(model, file)
    model.eval()
    images = paddle.to_tensor(original_images(2, *row["hw"]))
    return model(images).numpy(), model.encode(images)[0].numpy()


def compared(python: str, rows: list[dict]) -> Iterator[dict]:
    """Row by row, how far our numbers are from timm's."""
    with tempfile.TemporaryDirectory() as folder:
        theirs(python, rows, Path(folder))
        for row in rows:
            given = np.load(Path(folder) / f"{row['name']}.npz")
            logits, features = ours(row, Path(folder) / f"{row['name']}.pth")
            for plain in ("_plain", "") if row.get("wide") else ("",):
                size = f", {WIDE[0]} x {WIDE[1]} pixels, {'not ' * bool(plain)}smoothed" if row.get("wide") else ""
                yield {"name": row["name"].removesuffix("_wide"), "theirs": row["theirs"] + size, "timm": given["timm"],
                       "logits": np.abs(logits - given[f"logits{plain}"]).max() / given[f"logits{plain}"].std(),
                       "features": np.abs(features - given[f"features{plain}"]).max()}


def write_golden(python: str, folder: Path) -> None:
    """volo_golden.npz, and timm_vit.npz: logits of some twins and a few features, with what makes them again."""
    rows, kept = [row for row in rows_of([], full=False) if row["name"] in GOLDEN], {}
    for row in rows:
        side = GOLDEN[row["name"]]
        row["ours"]["image_size"] = row["arguments"]["img_size"] = side
        row["hw"] = row["hw"] if row.get("wide") else [side, side]
    with tempfile.TemporaryDirectory() as scratch:
        theirs(python, rows, Path(scratch))
        for row in rows:
            given, plain = np.load(Path(scratch) / f"{row['name']}.npz"), "_plain" if row.get("wide") else ""
            made = {"arguments": row["ours"], "hw": row["hw"], "shapes": json.loads(str(given["shapes"]))}
            kept[f"{row['name']}/made_of"] = np.array(json.dumps(made, allow_nan=False))
            kept[f"{row['name']}/logits"] = given[f"logits{plain}"]
            kept[f"{row['name']}/features"] = given[f"features{plain}"][:, ::7, :16]
    np.savez_compressed(folder / "timm_vit.npz", **kept)
    subprocess.run([python, ROOT / "tools" / "timm_side.py", "--volo", folder / "volo_golden.npz"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare our plain vision transformers and VOLO with timm's.")
    parser.add_argument("names", nargs="*", metavar="ROW", help="rows (all)")
    parser.add_argument("--full", action="store_true", help="the rows themselves, not small twins")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch and timm (this one)")
    parser.add_argument("--golden", nargs="?", type=Path, const=ROOT / "tests" / "models", metavar="FOLDER",
                        help="write the numbers of the tests instead (into their folder)")
    args = parser.parse_args()
    if args.golden:
        write_golden(args.python, args.golden)
        return
    rows = rows_of(args.names, args.full)
    lots = [[row] for row in rows] if args.full else [rows]  # files of full size are gone with the next
    for number, row in enumerate(row for lot in lots for row in compared(args.python, lot)):
        if not number:
            print(f"| Model | timm {row['timm']} | Logits | Features |\n| --- | --- | --- | --- |")
        print(f"| `{row['name']}` | {row['theirs']} | {row['logits']:.1e} | {row['features']:.1e} |", flush=True)


if __name__ == "__main__":
    main()
