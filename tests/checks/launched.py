"""Run under the launcher: start a run with nothing wrong, then with each mistake of several processes, one after the
other; what the main process is told of each is written as JSON.

    launched.py RECIPE OUTPUT.json
"""
import json
import sys
from pathlib import Path

import ppim  # noqa: F401  (sets the thread count before paddle is imported)

# isort: split
from ppim.engine.distributed import join_world
from tests.checks.planted import MISTAKES
from tests.checks.small_runs import found_by

if __name__ == "__main__":
    recipe, output = sys.argv[1:]
    world, told = join_world(), {}
    told["nothing"] = [list(finding) for finding in found_by(recipe, ["DATA.BATCH_SIZE", "15"], world)]
    for mistake in MISTAKES:
        if mistake.processes > 1:
            with mistake.planted():
                told[mistake.name] = [list(finding) for finding in found_by(recipe, ["DATA.BATCH_SIZE", "15"], world)]
    if world.is_main:
        Path(output).write_text(json.dumps(told))
