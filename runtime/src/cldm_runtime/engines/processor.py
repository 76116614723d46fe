"""This processor: its name, and what it can do."""

import math
import os
import platform
from contextlib import suppress
from pathlib import Path

from .engine import CPU_PROVIDERS

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CPUINFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


def lacks_vnni(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether this is an x86 processor without VNNI instructions; False where that cannot be told.

    Without them onnxruntime adds products of uint8 and int8 in 16 bits, which overflow and give wrong images.
    """
    with suppress(OSError, UnicodeDecodeError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("flags"):
                return not _VNNI & set(line.partition(":")[2].split())
    return False


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """As its maker calls it, where the system says; else the name of the architecture."""
    with suppress(OSError, UnicodeDecodeError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may use: those it may run on, or as many as a container's limit on processor time leaves
    of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _container_cores())))


def _container_cores() -> float:
    """Infinite where there is no limit."""
    try:
        quota, period = _QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # ValueError: the quota is "max"
        return math.inf


_ON_A_GPU = 12  # each holds some 500 MB of its memory for CUDA itself


def default_workers(provider: str) -> int:
    """As many as there are cores that this process may use; on a GPU at most `_ON_A_GPU`, which share it: while one
    draws label maps, writes or copies, the networks of another are at work."""
    return available_cores() if provider in CPU_PROVIDERS else min(available_cores(), _ON_A_GPU)
