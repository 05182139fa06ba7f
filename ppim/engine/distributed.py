"""Which process am I, and how do processes agree?

NCCL on GPUs, gloo on CPU, as `python -m paddle.distributed.launch` sets them up. NCCL waits half an hour for the last
process. Gloo gives a collective 30 seconds and takes no other limit, so processes that may be minutes apart
(evaluation, writing a checkpoint) first meet at the job's key-value store, whose waits are long, and only then talk.
"""
from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence

import numpy as np
import paddle
import paddle.distributed as dist

from ppim import stopping
from ppim.engine.company import told_after
from ppim.segment.norm import SharedNorm

STORE_IS_GONE = "process 0 is gone, and the job's store with it; its log says why"
_ALL_CAME = "all came"
_FAREWELL = 5  # seconds for which process 0, which has the store, waits for others to hear of its failure


class World:
    """The processes of this job; a lone process is a world of one.

    Attributes:
        rank: this process, 0 .. size - 1; rank 0 writes files.
        size: number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank = rank
        self.size = size
        self._barriers = 0

    @property
    def is_main(self) -> bool:
        """Is this the process that speaks and writes?"""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every process is here, however long that takes.

        A request to the store takes tens of milliseconds, so their number must not grow with the processes: all add to
        one counter, whoever completes it says so, and everyone waits for that alone.
        """
        if self.size > 1:
            self._meet()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Around what every process does alone before they need one another: nobody is left waiting for one that fails
        in it, for which a collective of NCCL takes half an hour.

        Raises:
            ConnectionError: another process has failed; its reason.
        """
        try:
            yield
        except Exception as error:
            if self.size > 1:
                self._fail(f"[process {self.rank}] {' '.join(str(error).split()) or type(error).__name__}")
            raise
        if self.size > 1:
            self._go_on()

    def _meet(self, failure: str = "") -> str:
        """A barrier, which whoever comes with a failure breaks for all; where in the store its end stands."""
        store = _store()
        self._barriers += 1
        everyone = f"ppim/barrier/{self._barriers}"
        if failure or store.add("ppim/arrived", 1) == self._barriers * self.size:
            store.set(everyone, (failure or _ALL_CAME).encode())
        store.wait(everyone)
        return everyone

    def _go_on(self) -> None:
        try:
            end = _store().get(self._meet()).decode()
            if end != _ALL_CAME:
                _store().add("ppim/heard", 1)
        except Exception as error:  # Paddle raises ValueError
            raise ConnectionError(STORE_IS_GONE) from error
        if end != _ALL_CAME:
            raise ConnectionError(end)

    def _fail(self, failure: str) -> None:
        with contextlib.suppress(Exception):  # process 0 may have failed as well, and taken the store along
            self._meet(failure)
            heard, until = _store().add("ppim/heard", 1), time.monotonic() + _FAREWELL
            while self.is_main and heard < self.size and time.monotonic() < until:
                time.sleep(0.1)
                heard = _store().add("ppim/heard", 0)

    def barrier_if_impatient(self) -> None:
        """`barrier` before a collective, where the backend would not wait long in the collective itself."""
        if self.is_impatient:
            self.barrier()

    @property
    def is_impatient(self) -> bool:
        """Are collectives given 30 seconds only?"""
        return self.size > 1 and dist.get_backend() == "GLOO"

    def all_sum(self, values: Sequence[float], dtype: str) -> list[float]:
        """The sums over all processes of each of `values`; exact for `dtype` int64."""
        if self.size == 1:
            return list(values)
        self.barrier_if_impatient()
        sums = paddle.zeros([len(values)], dtype)
        sums.set_value(np.asarray(values, dtype))  # `to_tensor` leaves 112 bytes behind every time, on Paddle 3.3
        dist.all_reduce(sums)
        return sums.tolist()

    def gathered(self, values: Sequence[float], dtype: str) -> np.ndarray:
        """(processes, n): the n `values` of every process, exactly; as many in each."""
        table = np.zeros((self.size, len(values)), dtype)
        table[self.rank] = values
        return np.array(self.all_sum(table.reshape(-1).tolist(), dtype), dtype).reshape(table.shape)

    def any(self, flag: bool) -> bool:
        """True everywhere when `flag` is true anywhere. A collective: every process calls it at the same place."""
        if self.size == 1:
            return flag
        flags = paddle.to_tensor([int(flag)], dtype="int32")
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    def every(self, flags: paddle.Tensor) -> list[bool]:
        """Which of these flags, int32 on the device, are 1 in every process? A collective, to be called by all at once,
        as after the gradients were averaged."""
        if self.size > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MIN)
        return [bool(flag) for flag in flags.tolist()]


def join_world(patience: float = 20) -> World:
    """The world this process was launched into; starts the communication where there are several processes.

    Args:
        patience: seconds until it is said that others have not come, by one process of each machine.
    """
    env = os.environ
    size = int(env.get("PADDLE_TRAINERS_NUM") or 1)
    if size == 1:
        return World()
    waiting = (f"process {env.get('PADDLE_TRAINER_ID')} has waited {patience:g} s for all {size} processes to meet at "
               f"{_address_of_store()}; do the others run, and can they reach it? Where one process alone is meant: "
               "unset PADDLE_TRAINERS_NUM")
    speaks = env.get("PADDLE_LOCAL_RANK", "0") == "0"
    with told_after(patience, waiting) if speaks else contextlib.nullcontext():
        with stopping.handled_by(signal.SIG_DFL):  # Paddle waits for the others, and Python's handlers wait for Paddle
            dist.init_parallel_env()
    return World(dist.get_rank(), dist.get_world_size())


def _store() -> paddle.base.core.Store:
    return paddle.base.core.create_or_get_global_tcp_store()


def open_store() -> paddle.base.core.Store:
    """A connection of its own to the job's key-value store, for a thread: one connection serves one request at a time,
    and the wait of a barrier is one."""
    host, port = store_address()
    return paddle.base.core.TCPStore(host, port, False, 0, 900)


def store_address() -> tuple[str, int]:
    """Host and port of the job's key-value store, which process 0 serves; found as Paddle finds them."""
    host, port = _address_of_store().rsplit(":", 1)
    return host, int(port)


def _address_of_store() -> str:
    env = os.environ
    if env.get("MASTER_ADDR") and env.get("MASTER_PORT"):
        return f"{env['MASTER_ADDR']}:{env['MASTER_PORT']}"
    return env.get("PADDLE_MASTER") or env.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")[0]


def hang_up() -> None:
    """Close the connections to the other processes, but not to their store: those who wait for this one in a collective
    of gloo, which cannot be called back from it, are let go."""
    store = store_address()[1]
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as line:
            if line.family in (socket.AF_INET, socket.AF_INET6):
                if store not in (line.getsockname()[1], line.getpeername()[1]):
                    line.shutdown(socket.SHUT_RDWR)


def statistics_of(model) -> list[paddle.Tensor]:
    """The running statistics of a model's BatchNorm layers; without those that are frozen."""
    return [value for layer in _moving(model) for value in (layer._mean, layer._variance)]


def _moving(model) -> list[paddle.nn.Layer]:
    return [layer for layer in model.sublayers() if getattr(layer, "_use_global_stats", True) is not True]


@paddle.no_grad()
def average_statistics(model, world: World) -> None:
    """Give every process the mean of all BatchNorm statistics of a model.

    Each process gathers them from its own share of a batch. Averaged with every step, there is one model at any time:
    what is evaluated, saved, or saved by one process alone when the others are gone, does not depend on when that is.
    Layers that see the whole batch (`SharedNorm`) have them from there.
    """
    own = [layer for layer in _moving(model) if not isinstance(layer, SharedNorm)]
    statistics = [value for layer in own for value in (layer._mean, layer._variance)]
    if world.size == 1 or not statistics:
        return
    together = paddle.concat([value.flatten() for value in statistics])
    dist.all_reduce(together)
    for value, mean in zip(statistics, (together / world.size).split([v.size for v in statistics])):
        paddle.assign(mean.reshape(value.shape), value)
