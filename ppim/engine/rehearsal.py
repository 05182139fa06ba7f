"""Would a run of this configuration begin well? Everything up to the first step, which leaves no file behind."""
from __future__ import annotations

import tempfile

from yacs.config import CfgNode

from ppim.checks.finding import Finding, error, unknown
from ppim.engine.checked import THOROUGH, Effort
from ppim.engine.distributed import World
from ppim.engine.first_step import FirstStep
from ppim.engine.run import Run, start
from ppim.engine.run_folder import RunFolder
from ppim.engine.sound import Guard
from ppim.engine.train import one_step
from ppim.weights.checkpoints import list_checkpoints


def rehearse(config: CfgNode, recipe: CfgNode, world: World, effort: Effort = THOROUGH) -> list[Finding]:
    """Start a run, look at all that can be looked at, take one step; what was found. Arguments and errors of `train`.

    A mistake that the checks are certain of ends nothing here.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = config.clone()
        own.defrost()
        if own.MODEL.RESUME == "auto":  # as `train` takes it, for a folder that this run does not write into
            own.MODEL.RESUME = own.SAVE if list_checkpoints(RunFolder(own.SAVE).checkpoints) else None
        own.SAVE, own.CHECKS = folder, "tell"
        own.freeze()
        run, batches, micro = start(own, recipe, world, effort)
        try:
            if run.state.step >= run.last:
                return [*run.findings, _is_over(run)]
            watch = FirstStep(run)
            one_step(run, batches, micro, Guard(run), watch)
            left_out = [] if watch.is_done else [_left_out()]
            return [*run.findings, *watch.findings(), *left_out]
        finally:
            run.close()


def _is_over(run: Run) -> Finding:
    return unknown("first step", f"the run stands at step {run.state.step} of {run.last}: none is left to look at; "
                   "raise TRAIN.NUM_EPOCHS or TRAIN.MAX_STEPS")


def _left_out() -> Finding:
    return error("first step", where="its loss, gradients or BatchNorm statistics", wanted="finite numbers",
                 got="NaN or infinity, so that it is left out", hint="look at the first batch and at the weights the "
                 "run starts from, or lower TRAIN.BASE_LR")
