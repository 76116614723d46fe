"""This machine's processor: its name, instructions and usable cores."""

import math
import os
import platform
from contextlib import suppress
from pathlib import Path

from .engine import CPU_PROVIDERS
from .quota import quota_cores

_CPUINFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


def lacks_vnni(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether this is an x86 processor without VNNI instructions; False if that is unknown.

    Without them onnxruntime adds products of uint8 and int8 in 16 bits, which overflow and give wrong images.
    """
    with suppress(OSError, UnicodeDecodeError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("flags"):
                return not _VNNI & set(line.partition(":")[2].split())
    return False


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """The maker's name of the processor, or, if the system does not state it, the name of the architecture."""
    with suppress(OSError, UnicodeDecodeError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Number of cores that this process may use: those that it may run on, limited by a quota of processor time; a part
    of a core counts as one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota_cores())))


_ON_A_GPU = 12  # each takes about 500 MB of its memory for CUDA itself


def default_workers(provider: str) -> int:
    """Default number of workers: one for each usable core. On a GPU at most `_ON_A_GPU` share it: while one draws label
    maps, writes or copies, another runs its networks."""
    return available_cores() if provider in CPU_PROVIDERS else min(available_cores(), _ON_A_GPU)
