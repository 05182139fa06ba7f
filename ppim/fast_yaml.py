"""How is YAML read? By libyaml where PyYAML was built with it, which takes a tenth of the time."""
from __future__ import annotations

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _AsWritten(_Loader):
    """Every scalar is the text that stands there."""

    yaml_implicit_resolvers = {"<": _Loader.yaml_implicit_resolvers["<"]}


def parse_yaml(text: str, as_written: bool = False) -> object:
    """What a YAML text says, as plain values.

    Args:
        as_written: numbers and words such as `on` stay the text that they are.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, Loader=_AsWritten if as_written else _Loader)
