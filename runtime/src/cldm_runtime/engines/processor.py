"""What this processor can do."""

from contextlib import suppress
from pathlib import Path

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
