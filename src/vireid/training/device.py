"""Device and number format that a network runs in."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def default_device() -> torch.device:
    """The first GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: str, device: torch.device) -> str:
    """Turn ``auto`` into bf16 where the hardware multiplies in it, else fp32 (emulated bf16 is far slower)."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    return "bf16" if "avx512_bf16" in _cpu_flags() or "amx_bf16" in _cpu_flags() else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed-precision context of a resolved precision: fp32, bf16 or fp16 (KeyError for any other)."""
    dtype = {"fp32": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")


def describe(device: torch.device) -> str:
    """Name of a device in results."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.get_device_name(device)}"
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
