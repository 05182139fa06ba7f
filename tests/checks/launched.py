"""Run under the launcher: start a run with nothing wrong, then with mistakes of several processes, those of one of the
twenty numbers together; what the main process is told of each is written as JSON.

    launched.py RECIPE OUTPUT.json
"""
import contextlib
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
    several = [mistake for mistake in MISTAKES if mistake.processes > 1]
    for number in sorted({mistake.number for mistake in several}):
        together = [mistake for mistake in several if mistake.number == number]
        with contextlib.ExitStack() as code:
            for mistake in together:
                code.enter_context(mistake.planted())
            found = [list(finding) for finding in found_by(recipe, ["DATA.BATCH_SIZE", "15"], world)]
        told.update({mistake.name: found for mistake in together})
    if world.is_main:
        Path(output).write_text(json.dumps(told))
