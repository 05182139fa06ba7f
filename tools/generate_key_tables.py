"""Write the tables of keys in docs/training.md and docs/training_cn.md from ppim/config/keys.py.

    python tools/generate_key_tables.py            write the tables
    python tools/generate_key_tables.py --check    compare the pages with what would be written; 1 when one is stale

A table stands below a heading that names its sections; the one whose heading names none has the keys of no section.
"""
from __future__ import annotations

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppim.config.keys import KEYS  # noqa: E402
from ppim.files import write_whole  # noqa: E402

PAGES = {"en": ROOT / "docs" / "training.md", "cn": ROOT / "docs" / "training_cn.md"}
HEADS = {"en": "| Key | Default | Meaning |", "cn": "| 键 | 默认值 | 含义 |"}
EMPTY = '""'


def default_text(value: object) -> str:
    """A default as its cell shows it: words as code, everything else as yaml has it."""
    return f"`{value or EMPTY}`" if isinstance(value, str) else literal(value)


def literal(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float) and len(repr(value)) > 8:  # 1.3333333333333333 is 4/3
        return str(Fraction(value).limit_denominator(100))
    return repr(value).replace("e-0", "e-")


def section(name: str) -> str:
    return name.split(".")[0] if "." in name else ""


def table(heading: str, language: str) -> str:
    """The keys of the sections that `heading` names."""
    sections = re.findall(r"[A-Z_]{2,}", heading) or [""]
    rows = [(name, row) for wanted in sections for name, row in KEYS.items() if section(name) == wanted]
    lines = [f"| `{name}` | {default_text(row.default)} | {getattr(row, language)} |\n" for name, row in rows]
    return f"{HEADS[language]}\n| --- | --- | --- |\n{''.join(lines)}"


def render(page: str, language: str) -> str:
    """The page with its tables of keys written anew."""
    head = re.escape(HEADS[language])
    return re.sub(rf"^(### (.+)\n\n){head}\n(?:\|.*\n)+",
                  lambda found: found[1] + table(found[2], language), page, flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of keys of docs/training.md and its Chinese twin.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page is stale")
    check = parser.parse_args().check
    stale = []
    for language, path in PAGES.items():
        page = path.read_text(encoding="utf-8")
        text = render(page, language)
        if text != page:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                write_whole(path, lambda beside, text=text: beside.write_text(text, encoding="utf-8"))
    if check:
        print(f"stale: {', '.join(stale)}; run tools/generate_key_tables.py" if stale else "the pages are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
