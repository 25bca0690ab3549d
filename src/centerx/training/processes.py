"""Which device to train on, and how many processes torchrun started."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

from centerx.errors import InputError


class Processes(NamedTuple):
    """Where this process stands.

    Attributes:
        device: 'cpu' or 'cuda'.
        rank, world: this process among all. local_world: how many run on this machine.
    """

    device: str
    rank: int
    world: int
    local_world: int

    @classmethod
    def detect(cls, device: str) -> Processes:
        """Read torchrun's environment; `device` may be 'auto'.

        Raises:
            InputError: CUDA is asked for and absent.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("train.device: no CUDA device here, set train.device=cpu or auto")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        rank, world, local = (int(os.environ.get(name, default)) for name, default in
                              (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1")))  # fmt: skip
        return cls(device, rank, world, local)

    @property
    def gpu(self) -> str:
        """Name of the GPU; empty on a CPU."""
        return torch.cuda.get_device_name() if self.device == "cuda" else ""

    def use_bf16(self, precision: str) -> bool:
        """Whether to train in bfloat16: as told, or where the device computes in it."""
        if precision != "auto":
            return precision == "bf16"
        if self.device == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
