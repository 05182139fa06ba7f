"""Who may write into a run's folder? One process at a time: it holds a lock, which its end frees, whatever that is.

The lock is `flock` on the file `.lock`, whose only line names the holder. It belongs to the open file, which forked
processes share; they close their copy at once, or a loader's worker that outlives the run would go on holding it.
"""
from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_open_here: set[int] = set()


def _close_inherited() -> None:
    while _open_here:
        os.close(_open_here.pop())


os.register_at_fork(after_in_child=_close_inherited)


class FolderLock:
    """The right to write into one folder.

    Attributes:
        held: nobody else writes there; False before `take`, and where the file system has no locks.
    """

    def __init__(self):
        self.held = False
        self._handle: int | None = None

    def take(self, folder: Path, instead: str) -> list[str]:
        """Take the lock of a folder that is there; returns lines to tell about it.

        Args:
            instead: what to do if another process has it.

        Raises:
            ValueError: another process has it; or the folder may not be written.
        """
        try:
            self._handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            _open_here.add(self._handle)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            line = f"process {os.getpid()} on {socket.gethostname()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
            os.pwrite(self._handle, line.encode(), 0)
            os.ftruncate(self._handle, len(line.encode()))
        except BlockingIOError:
            holder = os.pread(self._handle, 400, 0).decode("utf-8", "replace").partition("\n")[0]
            self.release()
            raise ValueError(f"{folder} is in use by {holder or 'another process'}; {instead}") from None
        except OSError as error:
            self.release()
            if error.errno not in _UNSUPPORTED:
                raise ValueError(f"cannot write the run folder {folder}: {error.strerror}; set another SAVE") from error
            return [f"warning: the file system of {folder} has no locks ({error.strerror}): nothing keeps a second run "
                    "from writing there as well"]
        self.held = True
        return []

    def release(self) -> None:
        """Let others in; does nothing where the lock is not held."""
        self.held = False
        if self._handle in _open_here:
            _open_here.discard(self._handle)
            os.close(self._handle)
        self._handle = None
