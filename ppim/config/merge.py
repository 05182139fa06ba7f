"""What do a file and the options say? Read, translated from other projects' spelling, and put over what there is."""
from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import yaml
from yacs.config import CfgNode

from ppim.config.keys import KEYS
from ppim.config.nearest import did_you_mean
from ppim.dialects import pairs_of, translate_file
from ppim.fast_yaml import parse_yaml


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """{"A.B": 1} as {"A": {"B": 1}}.

    Raises:
        ValueError: one name is a key and a section, as in {"A": 1, "A.B": 2}.
    """
    content: dict[str, object] = {}
    sections = {section for key in values for section in accumulate(key.split(".")[:-1], "{}.{}".format)}
    for key, value in values.items():
        if key in sections:
            raise _is_a_section(key, value)
        *above, last = key.split(".")
        inner = content
        for section in above:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return content


def merge_file(config: CfgNode, path: Path, seen: tuple[Path, ...] = ()) -> None:
    """Put what a yaml file says over `config`, after the files that its BASE names.

    Args:
        seen: the files whose BASE has led here.

    Raises:
        FileNotFoundError: it is not there. ValueError: what is wrong with it, and in which file.
    """
    if not path.is_file():
        wanted_by = f" (BASE of {seen[-1]})" if seen else ""
        raise FileNotFoundError(f"no configuration file at {path}{wanted_by}")
    path = path.resolve()
    if path in seen:
        raise ValueError(f"{path}: BASE leads back to itself by {' -> '.join(map(str, seen))}")
    with _said_in(path):
        content = translate_file(_content(path))
        bases = _bases(content.pop("BASE", None) or [])
    for base in bases:
        merge_file(config, path.parent / base, (*seen, path))
    with _said_in(path):
        _merge(config, content)


def merge_options(config: CfgNode, opts: Sequence[str]) -> None:
    """Put keys and values, as typed after `-o`, over `config`: one more file, so to speak.

    Raises:
        ValueError: what is wrong with them.
    """
    values = {key: value if _is_text(key) else _parse(value) for key, value in pairs_of(opts)}
    with _said_in("-o"):
        _merge(config, translate_file(nested(values)))


@contextmanager
def _said_in(source: str | Path) -> Iterator[None]:
    """A mistake found in here is told with where it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _content(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        content = parse_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"not a yaml file: {' '.join(str(error).split())}") from error
    if content is None:
        raise ValueError("nothing is in it; wanted sections with keys. If a run wrote it, take it from a copy")
    if not isinstance(content, dict):
        raise ValueError(f"wanted sections with keys, got {type(content).__name__}")
    _refuse_numbers_for_text(content, parse_yaml(text, as_written=True))
    return content


def _refuse_numbers_for_text(content: Mapping[str, object], written: Mapping[str, str], prefix: str = "") -> None:
    """Raise ValueError where a text key has a number that is no more what stands in the file: 1.10 has become 1.1."""
    for (name, value), text in zip(content.items(), written.values()):
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            _refuse_numbers_for_text(value, text, f"{key}.")
        elif _is_text(key) and type(value) in (int, float) and str(value) != text:
            raise ValueError(f"{key} wants text; {text} is a number to yaml, {value}; put it in quotes: '{text}'")


def _is_text(key: str) -> bool:
    return key in KEYS and KEYS[key].kind is str


def _bases(said: object) -> list[str]:
    bases = [said] if isinstance(said, str) else said
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ValueError(f"BASE wants paths of yaml files, got {said!r:.80}")
    return [base for base in bases if base]


def _parse(text: str) -> object:
    """A value as typed on the command line: Python's literals, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(text.lower(), text)


def _merge(config: CfgNode, values: Mapping[str, object], prefix: str = "") -> None:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in config:
            whole = _first_key(key, value)
            raise ValueError(f"unknown key {whole}{did_you_mean(whole, _names())}")
        if not isinstance(config[name], CfgNode):
            config[name] = _read(key, value)
        elif isinstance(value, dict):
            _merge(config[name], value, f"{key}.")
        else:
            raise _is_a_section(key, value)


def _first_key(name: str, value: object) -> str:
    """The whole name of the first key in what is meant as a section."""
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        name = f"{name}.{inner}"
    return name


def _read(key: str, value: object) -> object:
    try:
        return KEYS[key].read(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from None


def _is_a_section(key: str, value: object) -> ValueError:
    return ValueError(f"{key} is a section, wanted keys below it, got {value!r}")


def _names() -> list[str]:
    """Sections and keys by their full names, a section before what is in it."""
    return list(dict.fromkeys(name for key in KEYS for name in accumulate(key.split("."), "{}.{}".format)))
