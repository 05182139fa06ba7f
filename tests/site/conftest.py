"""What of tools/site needs no MkDocs, as modules."""
import importlib

import pytest

from tests.helpers import ROOT


@pytest.fixture
def tool(monkeypatch):
    """A module of tools/site by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "site"))
    return importlib.import_module
