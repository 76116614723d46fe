"""The machine of a measurement, and the matrix product that speeds are compared with."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.processor import processor_name

PRODUCT_SIZE = 4096
PRODUCT_REPEATS = 3
_STATUS = Path("/proc/self/status")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, operating system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": processor_name(), "cores": cores, "memory_gib": _memory_gib(), "os": platform.platform(terse=True),
            "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None}


def gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU, from nvidia-smi; empty if it is not installed."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
                              capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of the installed ones of `packages`."""
    version_of = {"python": platform.python_version()}
    for name in packages:
        try:
            version_of[name] = version(name)
        except PackageNotFoundError:
            continue
    return version_of


def matrix_product_gflops(size: int = PRODUCT_SIZE, repeats: int = PRODUCT_REPEATS,
                          clock: Callable[[], float] = time.perf_counter) -> float:
    """Billions of operations a second of numpy's product of two float32 matrices: the best of some repeats.

    It runs on as many threads as OMP_NUM_THREADS or OPENBLAS_NUM_THREADS said when this process began.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.random((size, size), dtype=np.float32) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):  # the first one is a warm-up
        started = clock()
        np.matmul(a, b)
        seconds.append(clock() - started)
    return 2.0 * size**3 / min(seconds[1:]) / 1e9


def peak_memory_bytes() -> int:
    """Peak resident memory of this process.

    On Linux it is that of this program only: getrusage would include what the process held before exec.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def workers_memory_bytes(workers: int) -> int:
    """Upper bound of the memory of `workers` processes together: `workers` times the largest child that has ended."""
    unit = 1 if sys.platform == "darwin" else 1024
    return workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
