"""How is YAML read? By libyaml where PyYAML was built with it, which takes a tenth of the time."""
from __future__ import annotations

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Refuses a key that stands twice, of which YAML readers otherwise drop the first without a word."""

    def get_single_node(self):
        # before anything is constructed: merging `<<` writes keys a second time into the nodes themselves
        root = super().get_single_node()
        _refuse_repeated(root)
        return root


class _AsWritten(_Loader):
    """Every scalar is the text that stands there."""

    yaml_implicit_resolvers = {"<": _Loader.yaml_implicit_resolvers["<"]}


def parse_yaml(text: str, as_written: bool = False) -> object:
    """What a YAML text says, as plain values.

    Args:
        as_written: numbers and words such as `on` stay the text that they are.

    Raises:
        yaml.YAMLError: it is none. ValueError: a key stands twice in one section.
    """
    return yaml.load(text, Loader=_AsWritten if as_written else _Loader)


def _refuse_repeated(root: yaml.Node | None) -> None:
    rest, seen = [("", root)], set()
    while rest:
        prefix, node = rest.pop()
        if id(node) in seen:  # an alias, which may even lead back to itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += [(prefix, item) for item in node.value]
        elif isinstance(node, yaml.MappingNode):
            rest += _sections(prefix, node)


def _sections(prefix: str, node: yaml.MappingNode) -> list[tuple[str, yaml.Node]]:
    """What stands below each key, with the key's full name and a dot."""
    named = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    lines: dict[str, int] = {}
    for key in (key for key, _ in named if key.tag != _MERGE):
        line = key.start_mark.line + 1
        if key.value in lines:
            raise ValueError(f"{prefix}{key.value} stands twice, in line {lines[key.value]} and in line {line}; put "
                             "what is to count in one place")
        lines[key.value] = line
    return [(f"{prefix}{key.value}.", value) for key, value in named]
