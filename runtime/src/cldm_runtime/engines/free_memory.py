"""Whether what is about to be computed fits in the memory that is free, before it begins."""

from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from .quota import memory_limit_bytes

_MEMINFO = Path("/proc/meminfo")
_AVAILABLE = "MemAvailable:"


def free_bytes(meminfo: Path = _MEMINFO) -> float:
    """What this process can still get at most: what the machine has free, or the limit of its group; infinite where
    neither is stated."""
    limit = memory_limit_bytes()
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in meminfo.read_text(encoding="ascii").splitlines()]
        return min([limit, *(1024.0 * int(words[1]) for words in lines if words[0] == _AVAILABLE)])
    return limit


def require_memory(needed: int, what: str, advice: str) -> None:
    """Raise InputError where `what` needs more bytes than are free."""
    free = free_bytes()
    if needed > free:
        raise InputError(f"{what} needs at least {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free. "
                         f"{advice}")
