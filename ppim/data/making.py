"""How do samples become a batch, and what is said where one cannot be made?

A batch is made in two goes: first all its photos, then all that is drawn and worked out in small steps. After a photo
nothing of the program is left in the processor's cache, and what takes microseconds by itself takes several times as
long then; one sample after the other it is there again.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppim.mixing import Mixed
from ppim.token_labels.targets import concat


class Samples:
    """Samples by their keys; `samples[key]` is `finish(begin(key))`."""

    def path(self, key) -> str:
        """The file of a sample, for people."""
        raise NotImplementedError

    def in_order_of_reading(self, keys: Sequence) -> Sequence[int]:
        """Places in `keys`, in the order in which the samples are best read."""
        return range(len(keys))

    def expect(self, keys: Sequence) -> None:
        """Told of the samples that are made next; nothing is waited for."""

    def begin(self, key) -> Any:
        """What takes long: the photo, read and worked on."""
        return self[key]

    def finish(self, begun: Any) -> dict[str, Any]:
        """The sample of what `begin` has given."""
        return begun

    def __getitem__(self, key) -> dict[str, Any]:
        return self.finish(self.begin(key))


@dataclass(frozen=True)
class Making:
    """Makes whole batches. What is wrong with a sample is handed over as a record that names its file, because an
    exception here would end the thread that feeds Paddle's queue, and the run would wait for ever."""

    samples: Samples
    mix: Callable[[int], Mixed] | None

    def __call__(self, number: int, keys: Sequence, tell: Callable[[str], None]) -> dict[str, Any]:
        path = ""
        try:
            samples: list[Any] = [None] * len(keys)
            order = self.samples.in_order_of_reading(keys)
            self.samples.expect(keys)
            for place in order:
                path = self.samples.path(keys[place])
                tell(path)
                samples[place] = self.samples.begin(keys[place])
            for place in order:
                path = self.samples.path(keys[place])
                tell(path)  # its label map may be what does not answer
                samples[place] = self.samples.finish(samples[place])
            path = ""
            return collate(samples, self.mix(number) if self.mix else None)
        except Exception as error:
            return {"error": _in_a_line(path, error), "index": np.zeros(1, np.int64)}


def _in_a_line(path: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, OSError)) and text:
        return text if path in text else f"{path}: {text}"
    # nothing a decoder means to say; whoever looks for the reason wants to know its kind
    where = f"{path}: cannot be made a sample" if path else "a batch cannot be made"
    return f"{where} ({type(error).__name__}{': ' if text else ''}{text})"


def collate(samples: Sequence[Mapping[str, Any]], mixed: Mixed | None = None) -> dict[str, np.ndarray]:
    """Samples and their mix -> the batch of `ppim.data.loader`. No array is ever empty, which Paddle's workers do not
    survive."""
    batch = {name: np.stack([sample[name] for sample in samples])
             for name in ("image", "label", "mask", "index", "token_best") if name in samples[0]}
    for kind in ("class", "token"):
        if f"{kind}_targets" in samples[0]:
            joined = concat([sample[f"{kind}_targets"] for sample in samples])
            batch.update({f"{kind}_{field}": value for field, value in joined._asdict().items()})
    if "erase_at" in samples[0]:
        plane = samples[0]["image"].shape[1] * samples[0]["image"].shape[2]
        at = np.concatenate([sample["erase_at"] + i * plane for i, sample in enumerate(samples)])
        value = np.concatenate([sample["erase_value"] for sample in samples])
        if not len(at):  # a pixel that keeps its value, see pixels.erase
            at, value = np.zeros(1, np.int64), np.full((1, 3), np.nan, np.float32)
        batch["erase_at"], batch["erase_value"] = at, value
    bad = [line for sample in samples for line in sample.get("bad", ())]
    if bad:
        batch["bad"] = bad
    return {**batch, **mixed.as_fields()} if mixed else batch
