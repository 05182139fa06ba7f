"""How much code is there? Lines of `ppim/` and `tools/` on any commits, without docstrings, comments and blanks.

    python tests/code_size.py [REVISION ...]        nothing: the working tree

Each tree is formatted by `ruff format` with the same settings first, so that only what is said counts and not how it is
wrapped. Told as well: the longest files and functions as they stand, unformatted.
"""
from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREES = ("ppim", "tools")
RUFF = [str(Path(sys.executable).parent / "ruff"), "format", "-q", "--isolated", "--line-length", "120"]
SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def lines_of_code(text: str) -> int:
    """Lines with at least one token that is neither a comment nor part of a docstring."""
    docstrings = set()
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, owners) and ast.get_docstring(node):
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    said = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            said.update(range(token.start[0], token.end[0] + 1))
    return len(said - docstrings)


def functions(text: str) -> list[tuple[int, str]]:
    """(lines, name) of every function."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return [(node.end_lineno - node.lineno + 1, node.name) for node in nodes]


def report(name: str, folder: Path) -> None:
    """Print the figures of the tree in `folder`, which is formatted in place."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*.py"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    longest = sorted(((text.count("\n"), str(file)) for file, text in texts.items()), reverse=True)[:3]
    found = [(*function, str(file)) for file, text in texts.items() for function in functions(text)]
    deepest = sorted(found, reverse=True)[:3]
    subprocess.run([*RUFF, str(folder)], check=True)
    counts = {"ppim": 0, "tools": 0}
    for file, path in files.items():
        counts[file.parts[0]] += lines_of_code(path.read_text(encoding="utf-8"))
    print(f"{name}: {counts['ppim']:,} lines of code in ppim, {counts['tools']:,} in tools")
    print(f"  longest files: {', '.join(f'{file} {lines}' for lines, file in longest)}")
    print(f"  longest functions: {', '.join(f'{function} {lines} ({file})' for lines, function, file in deepest)}")


def main(revisions: list[str]) -> None:
    """Report on each revision, or on the files as they are."""
    for revision in revisions or [""]:
        with tempfile.TemporaryDirectory() as folder:
            if revision:
                packed = subprocess.run(["git", "archive", revision, *TREES], cwd=ROOT, check=True, capture_output=True)
            else:
                packed = subprocess.run(["tar", "-cf", "-", *TREES], cwd=ROOT, check=True, capture_output=True)
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
                archive.extractall(folder)
            report(revision or "working tree", Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
