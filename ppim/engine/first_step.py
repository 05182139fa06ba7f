"""Does the first step of a run do what a step should? Watched while it is taken; what it computes stays the same."""
from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import paddle

from ppim.checks import network, pixels, processes, samples, weights
from ppim.checks.finding import Finding, error, fine
from ppim.config import has_teacher, teaches_tokens
from ppim.engine.checked import same_weights
from ppim.engine.depth import rate_scales
from ppim.engine.optimizer import gradient_norm
from ppim.segment.figures import NothingCounted

if TYPE_CHECKING:
    from ppim.engine.run import Run

_EVALUATED = 2  # validation photos a process evaluates
_ELEMENTS = 4096  # of parameters without decay, by which the length of the step is measured
_SELDOM = 1e-9  # how seldom drop-path must leave a block out for all samples, for the block to owe a gradient


class FirstStep:
    """Watches one optimizer step of a run, the first after its start; `findings` says what was seen.

    Called in this order: `batch` before each micro-batch, `entered` behind the last; if the step is taken, `gradients`
    before it and `update` behind it, which then `is_done`.
    """

    def __init__(self, run: Run):
        self._run, self._found, self.is_done = run, [], False
        self._trained = {name: p for name, p in run.state.model.named_parameters() if not p.stop_gradient}
        self._before = {name: p.clone().detach() for name, p in self._trained.items()}
        self._short = _without_decay(self._trained, run.state.model.no_weight_decay())
        self._stem, self._batch = network.Stem(run.state.model), None
        self._is_fresh = run.state.step == 0
        self._own: list[paddle.Tensor] = []
        self._shared = next(reversed(self._short), None) if run.world.size > 1 else None
        self._hook = self._trained[self._shared].register_hook(self._local) if self._shared else None

    def batch(self, batch: Mapping[str, paddle.Tensor], micro: int) -> None:
        """Look at a micro-batch, the first of them in full."""
        if self._batch is not None:
            self._stem.close()
            return
        run = self._run
        self._batch = {name: value.numpy() for name, value in batch.items()}
        keys = next(iter(replace(run.batches, start=micro, stop=micro + 1)))
        rows = _few_rows(len(keys))
        self._found.append(samples.rows_are_their_own(self._batch, keys, run.train, rows))
        if "token_const" in self._batch and teaches_tokens(run.config):
            self._found.append(samples.tokens_are_taught(self._batch, run.train.maps.path))
        if run.world.size > 1:
            # a photo that cannot be read has another one standing in for it
            shown = [index for _, index, _ in keys] if run.train.on_bad == "skip" else self._batch["index"].tolist()
            self._found.append(self._shares(micro, shown))

    def _shares(self, micro: int, indices: list[int]) -> Finding:
        """Which photos each process has, and which the batch has; a process may have a pair more or less."""
        run, batches = self._run, self._run.batches
        # so long that no share is cut off, and no longer: all processes' are put together in every process
        own = np.full(2 * batches.batch_size + 1, -1)
        own[:len(indices)] = indices[:len(own)]
        order = batches.global_rows(micro)
        return processes.shares_make_a_batch(run.world.gathered(own.tolist(), "int64"), order[:, 0].tolist())

    def _local(self, gradient: paddle.Tensor) -> None:
        self._own.append(gradient.clone())

    def entered(self) -> None:
        """Look at what entered the network."""
        data = self._run.config.DATA
        self._stem.close()
        rows = _few_rows(len(self._batch["image"]))
        if self._stem.pictures is not None:
            seen = self._stem.pictures.astype("float32").numpy()
            self._found += [
                pixels.network_sees_the_batch(seen, self._batch, data.IMAGENET_MEAN, data.IMAGENET_STD, rows),
                pixels.inputs_are_of_usual_size(seen[rows]),
            ]
        self._found.append(self._stem.is_alive())

    def gradients(self) -> None:
        """Look at the gradients that the step is going to be taken with."""
        run = self._run
        gradients = _sizes({name: p.grad for name, p in self._trained.items()})
        scaled = run.state.scaler.is_enable()
        self._found.append(network.gradients_are_there(gradients, self._excused(), scaled))
        rate = run.state.optimizer.get_lr()
        self._found.append(_rate_is_meant(rate, run.schedule.at(run.steps.epoch(run.state.step))))
        self._rates = {name: rate * scale for name, scale in
                       rate_scales(run.state.model, run.config.TRAIN.LAYER_DECAY).items()}
        self._epsilon = self._epsilon_before_clipping()
        self._owed = network.owe_a_move(self._before, {name: p.grad for name, p in self._trained.items()}, self._rates,
                                        self._is_adaptive, self._epsilon)
        self._gradient = {name: self._trained[name].grad.clone() for name in self._short
                          if self._trained[name].grad is not None}
        if self._hook:
            self._hook.remove()
            self._found.append(self._averaged())

    def _averaged(self) -> Finding:
        run, name = self._run, self._shared
        own = sum(self._own[1:], self._own[0]).flatten().tolist()
        after = self._trained[name].grad.flatten().tolist()
        own, after = (run.world.gathered(values, "float64") for values in (own, after))
        return processes.gradients_are_averaged(own, after, name)

    def _excused(self) -> list[str]:
        """Parameters that may have no gradient: heads of losses without weight, blocks that drop-path left out."""
        config, run = self._run.config, self._run
        rows = len(self._batch["image"]) * run.steps.accumulate
        model = run.state.model
        excused = list(model.makes_class) if config.LOSS.CLASS_WEIGHT == 0 and not has_teacher(config) else []
        return excused + (list(model.drops_paths) if config.MODEL.DROPPATH**rows > _SELDOM else [])

    @property
    def _is_adaptive(self) -> bool:
        return self._run.config.TRAIN.OPTIMIZER.NAME == "AdamW"

    def _epsilon_before_clipping(self) -> float:
        """AdamW's epsilon beside the gradients as they are now: clipped to a third, they will be shortened by it as by
        one three times as large."""
        train, state = self._run.config.TRAIN, self._run.state
        if train.GRAD_CLIP is None:
            return train.OPTIMIZER.EPS
        return train.OPTIMIZER.EPS * max(1.0, gradient_norm(state.optimizer, state.loss_scale) / train.GRAD_CLIP)

    def update(self) -> None:
        """Look at what the step has changed, and whether evaluating leaves it alone."""
        run, config = self._run, self._run.config
        plain = not run.state.scaler.is_enable()
        if plain and self._is_fresh and (self._is_adaptive or config.TRAIN.GRAD_CLIP is None):
            self._found.append(network.parameters_moved(self._before, self._trained, self._owed))
            if self._gradient:
                self._found.append(self._length())
        self._before = self._own = None
        if run.world.size > 1:
            self._found.append(same_weights(run.state, run.world))
        self._found.append(self._evaluates_without_a_trace())
        self.is_done = True

    def renewed(self) -> FirstStep:
        """Another for the next step, where this one was left out."""
        if self._hook:
            self._hook.remove()
        return FirstStep(self._run)

    def _length(self) -> Finding:
        def flat(tensors):
            return np.concatenate([tensors[name].flatten().numpy() for name in self._gradient])

        before = flat(self._before)
        rates = np.concatenate([np.full(self._before[name].size, self._rates[name]) for name in self._gradient])
        return network.step_is_as_long_as_the_rate(flat(self._trained).astype("float64") - before, before,
                                                   flat(self._gradient), rates, self._is_adaptive, self._epsilon)

    def _evaluates_without_a_trace(self) -> Finding:
        """A few photos evaluated as the run will evaluate all of them, weights and running average."""
        run, model, images = self._run, self._run.state.model, self._run.val.images
        count = min(len(images), _EVALUATED * run.world.size)
        some = images.pick(np.arange(count))
        before = weights.fingerprints(model.state_dict())
        val = replace(run.val, images=some)
        with contextlib.suppress(NothingCounted):  # of these few; the figures are not what is looked at
            run.task.evaluate_both(model, run.state.ema, val, run.world, run.config, workers=0)
        return weights.evaluation_leaves_no_trace(before, weights.fingerprints(model.state_dict()), model.training)

    def findings(self) -> list[Finding]:
        """What has been seen so far."""
        return self._found


def _without_decay(trained: Mapping[str, paddle.Tensor], spared: set[str]) -> dict[str, paddle.Tensor]:
    """Parameters of one axis that decay leaves alone, from the last layer on, until there are enough elements."""
    chosen, count = {}, 0
    for name in reversed(trained):
        if name in spared and len(trained[name].shape) == 1 and count < _ELEMENTS:
            chosen[name] = trained[name]
            count += trained[name].size
    return dict(reversed(list(chosen.items())))


def _few_rows(count: int) -> list[int]:
    return sorted({0, 1 % count, count // 2, count - 1})


def _sizes(gradients: Mapping[str, paddle.Tensor | None]) -> dict[str, tuple[float, float] | None]:
    """The largest magnitude of each gradient and whether all of it is finite, fetched together."""
    there = [name for name, gradient in gradients.items() if gradient is not None]
    if not there:
        return dict.fromkeys(gradients)
    pairs = [[gradients[name].abs().max().astype("float32").reshape([1]),
              paddle.isfinite(gradients[name]).all().astype("float32").reshape([1])] for name in there]
    values = paddle.concat([paddle.concat(pair) for pair in pairs]).numpy().reshape(-1, 2)
    return {**dict.fromkeys(gradients), **{name: tuple(pair) for name, pair in zip(there, values.tolist())}}


def _rate_is_meant(rate: float, scheduled: float) -> Finding:
    if abs(rate - scheduled) <= 1e-6 * max(abs(scheduled), 1e-30):
        return fine("rate of the step", f"{rate:.3g}, as the schedule says")
    return error("rate of the step", where="the optimizer", wanted=f"the schedule's {scheduled:.4g}", got=f"{rate:.4g}",
                 hint="something sets the rate besides the schedule")
