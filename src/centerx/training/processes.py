"""The device, the data-parallel processes and the memory allocator of a training run."""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist

from centerx.errors import InputError
from centerx.processor import is_slow_in_bf16

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE = 2**30  # bytes


class Processes(NamedTuple):
    """The place of this process among those that `--processes` or torchrun started.

    Attributes:
        device: `cpu` or `cuda`.
        rank: of this process among all.
        world: number of processes.
        local_world: number of processes on this machine.
    """

    device: str
    rank: int
    world: int
    local_world: int

    @classmethod
    def detect(cls, device: str) -> Processes:
        """Read torchrun's environment variables.

        Args:
            device: `cpu`, `cuda` or `auto`.

        Raises:
            InputError: CUDA is asked for and not available, or has fewer devices than there are processes here.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("train.device: no CUDA device here, set train.device=cpu or auto")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        rank, world, local = (int(os.environ.get(name, default)) for name, default in
                              (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1")))  # fmt: skip
        if device == "cuda" and local > (devices := torch.cuda.device_count()):
            raise InputError(f"{local} processes, and this machine has {devices} CUDA devices, start one for each")
        return cls(device, rank, world, local)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first process run the block before all others do, which tell no more than errors there."""
        if self.world == 1:
            yield
            return
        store, _, _ = next(iter(dist.rendezvous("env://")))
        if self.rank == 0:
            yield
            store.set("first", "done")
            return
        store.wait(["first"], timedelta(days=365))
        logger = logging.getLogger("centerx")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)

    @property
    def gpu(self) -> str:
        """Name of the GPU; empty on a CPU."""
        return torch.cuda.get_device_name() if self.device == "cuda" else ""

    def use_bf16(self, precision: str) -> bool:
        """Return whether to train in bfloat16.

        Args:
            precision: `fp32`, `bf16`, or `auto`, which is bf16 where the device has arithmetic for it that saves time.
        """
        if precision != "auto":
            return precision == "bf16"
        if self.device == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        known = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return known and not is_slow_in_bf16()


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory instead of returning it to the kernel; return whether the C library accepted it.

    Training allocates the same buffers at every step. By default glibc maps each large buffer, zeroes it page by page
    and unmaps it again. With raised thresholds the heap keeps it.
    """
    try:
        mallopt = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
