"""Keep freed memory: on a CPU, glibc's default returns every large buffer to the kernel, step after step."""

from __future__ import annotations

import ctypes
import ctypes.util

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE = 2**30


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds for the running process; return whether this C library took it.

    Training allocates the same buffers at every step. With the defaults each of them is mapped, zeroed page by page
    and unmapped again; with raised thresholds the heap keeps it.
    """
    try:
        mallopt = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
