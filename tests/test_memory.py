"""What is freed stays with the process, whatever its size."""
import sys

import pytest

from tests.helpers import run_python

# The pages of `size` bytes, asked of the C library, written, and freed: how many of them are still there?
KEPT = """
import ctypes, resource, sys
from ppim.memory import keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

assert keep_freed_memory() == {kept}
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
size, before = 2**27, resident()
block = libc.malloc(ctypes.c_size_t(size))
ctypes.memset(block, 1, size)
libc.free(block)
sys.exit(0 if resident() - before > 0.9 * size else 3)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
def test_a_big_block_that_was_freed_is_still_at_hand():
    done = run_python("-c", KEPT.format(kept=True))
    assert done.returncode == 0, done.stderr


def test_where_there_is_no_glibc_nothing_is_done():
    done = run_python("-c", "import sys; sys.platform = 'darwin'" + KEPT.format(kept=False))
    assert done.returncode == 3, done.stderr
