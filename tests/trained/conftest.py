"""What the tests of trained models start from."""
import pytest

from ppim.engine.command import run
from tests.helpers import write_tiny_recipe


@pytest.fixture(scope="session")
def folder(tiny_data, tmp_path_factory):
    """A short run with plain labels, so that nothing has taught its token head."""
    root = tmp_path_factory.mktemp("run")
    run(str(write_tiny_recipe(root, tiny_data)), ["TRAIN.MAX_STEPS", "3", "TOKEN_LABEL.ENABLE", "False"])
    return root / "run"
