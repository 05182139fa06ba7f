"""Which GPUs are known, with which peaks; what have others measured on them? Two tables beside this file."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ppim.fast_yaml import parse_yaml

_ALSO = {"v100": "v100-32", "a100": "a100-80", "h100": "h100-sxm", "3090": "rtx3090", "4090": "rtx4090"}


class Gpu(NamedTuple):
    """One row: what the vendor says. `tflops` by type, dense; `bandwidth_gbs` of its memory, `link_gbs` of one
    direction between GPUs of a machine, both in GB/s."""

    title: str
    generation: int
    memory_gb: float
    bandwidth_gbs: float
    link: str
    link_gbs: float
    tflops: Mapping[str, float]
    source: str

    def peak(self, dtype: str) -> float:
        """FLOP/s of products of this type: TF32 stands in for float32 where there is it, as Paddle has it."""
        wanted = "tf32" if dtype == "float32" and "tf32" in self.tflops else dtype
        return 1e12 * self.tflops.get(wanted, self.tflops["float32"])


class Published(NamedTuple):
    """A rate of training that others have published: `rate` images per second of all `gpus`."""

    model: str
    how: str
    gpu: str
    gpus: int
    dtype: str
    rate: float
    giga_macs: float
    source: str

    @property
    def share_of_peak(self) -> float:
        """Six times its multiply-accumulates a second, of what the GPU's products could do."""
        return self.rate / self.gpus * 6e9 * self.giga_macs / known()[self.gpu].peak(self.dtype)


def known() -> dict[str, Gpu]:
    """The table by names."""
    return {name: Gpu(**row) for name, row in _rows("gpus.yaml").items()}


def find(name: str) -> Gpu:
    """The GPU of this name, in any spelling; of two sizes the larger.

    Raises:
        ValueError: an unknown name.
    """
    plain, table = name.lower().replace(" ", "").replace("_", "-"), known()
    meant = _ALSO.get(plain, plain)
    if meant not in table:
        raise ValueError(f"--gpu wants one of {', '.join(table)}, got {name!r}; a GPU that is missing is a row in "
                         "ppim/plan/gpus.yaml")
    return table[meant]


def published() -> list[Published]:
    """What others have published, in the order of the table."""
    return [Published(**row) for row in _rows("published.yaml")]


def _rows(name: str):
    return parse_yaml(Path(__file__).with_name(name).read_text(encoding="utf-8"))
