"""What Linux tells of the processor."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def facts(path: Path = CPUINFO) -> dict[str, str]:
    """Return the facts of the last core, by name; empty where the file is not there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def is_slow_in_bf16(path: Path = CPUINFO) -> bool:
    """Return whether the processor knows bfloat16, but takes longer in it than in float32.

    So do Intel's that have it in AVX-512 alone, without AMX; AMD's take half as long. False where nothing is known.
    """
    known = facts(path)
    flags = known.get("flags", "").split()
    return known.get("vendor_id") == "GenuineIntel" and "avx512_bf16" in flags and "amx_bf16" not in flags
