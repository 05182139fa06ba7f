"""Write the tables of keys in docs/{en,cn}/training.md from ppim/config/keys.py.

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

from ppim.config import keys  # noqa: E402
from ppim.files import write_whole  # noqa: E402

# The page, and the head of its tables; English first, as in the rows' texts.
PAGES = (
    (ROOT / "docs" / "en" / "training.md", "| Key | Default | Meaning |"),
    (ROOT / "docs" / "cn" / "training.md", "| 键 | 默认值 | 含义 |"),
)
EMPTY = '""'


def meanings(source: str) -> dict[str, tuple[str, str]]:
    """What the comments `#: English | Chinese` above the rows say, by the names of the keys."""
    found = {}
    for comment, name in re.findall(r'((?:^ *#: .*\n)*)^ *"([A-Z_.]+)": key\(', source, re.MULTILINE):
        text = " ".join(line.strip()[2:].strip() for line in comment.splitlines())
        text = re.sub("(?<=[，；：、）]) ", "", text)  # Chinese goes on in the next line without a space
        english, _, chinese = text.partition(" | ")
        if not english:
            raise ValueError(f"{name} has no line `#: English | Chinese` above its row in ppim/config/keys.py")
        found[name] = (english, chinese or english)
    return found


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


def table(heading: str, head: str, texts: dict[str, str]) -> str:
    """The keys of the sections that `heading` names."""
    sections = re.findall(r"[A-Z_]{2,}", heading) or [""]
    named = [name for section in sections for name in texts if name.rpartition(".")[0].split(".")[0] == section]
    rows = [f"| `{name}` | {default_text(keys.KEYS[name].default)} | {texts[name]} |\n" for name in named]
    return f"{head}\n| --- | --- | --- |\n{''.join(rows)}"


def render(page: str, head: str, texts: dict[str, str]) -> str:
    """The page with its tables of keys written anew."""
    return re.sub(rf"^(### (.+)\n\n){re.escape(head)}\n(?:\|.*\n)+",
                  lambda found: found[1] + table(found[2], head, texts), page, flags=re.MULTILINE)


def pages() -> dict[Path, str]:
    texts = meanings(Path(keys.__file__).read_text(encoding="utf-8"))
    return {
        path: render(path.read_text(encoding="utf-8"), head, {name: text[language] for name, text in texts.items()})
        for language, (path, head) in enumerate(PAGES)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of keys of docs/{en,cn}/training.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page is stale")
    check = parser.parse_args().check
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    if check:
        names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
        print(f"stale: {names}; run tools/generate_key_tables.py" if stale else "the pages are up to date")
        return 1 if stale else 0
    for path, text in stale.items():
        write_whole(path, lambda beside, text=text: beside.write_text(text, encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
