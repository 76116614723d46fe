"""What is installed here, what it needs, and how much memory and disk are free."""

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ..engines.quota import memory_limit_bytes

PACKAGE, TRAINER = "cldm-runtime", "cldm-trainer"
PURPOSES = {
    "cpu": "provider cpu",
    "gpu": "providers cuda and ort-tensorrt, on an NVIDIA GPU, in place of the extra cpu",
    "sign": "sign and check bundles",
    "torch": "providers torchscript and torchscript-cuda",
    "openvino": "provider openvino",
    "ray": "runs on a Ray cluster",
    "scans": "read NIfTI, MetaImage, NRRD and pictures",
    "dicom": "read and write DICOM",
    "text": "prompts read by text encoders of Hugging Face folders",
    "tensorrt": "provider tensorrt",
}
_STANDS_FOR = {"onnxruntime": "onnxruntime-gpu"}  # holds the same module, and the same provider
_REQUIREMENT = re.compile(r"([\w.-]+)\s*([<>=!~][^;]*)?(?:;.*extra == ['\"]([\w-]+)['\"])?.*")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Requirement:
    """A package that cldm-runtime or one of its extras needs. needs: such as ">=2.0"; installed: its version, "" where
    it is missing."""

    name: str
    needs: str
    installed: str

    @property
    def fulfilled(self) -> bool:
        """Whether it is installed in a version that is no older than needed."""
        return bool(self.installed) and (not self.needs.startswith(">=")
                                         or _numbers(self.installed) >= _numbers(self.needs))


@dataclass(frozen=True)
class Extra:
    """A part of cldm-runtime that is installed on its own; the name "" is what it always needs."""

    name: str
    requirements: tuple[Requirement, ...]

    @property
    def fulfilled(self) -> bool:
        return all(requirement.fulfilled for requirement in self.requirements)

    @property
    def purpose(self) -> str:
        return PURPOSES.get(self.name, "")

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install '{PACKAGE}[{self.name}]'" if self.name else f"pip install --upgrade {PACKAGE}"


@dataclass(frozen=True)
class Memory:
    """GiB; None where the system does not state it. limit: of the container or job of this process."""

    free: float | None
    total: float | None
    limit: float | None


def extras(stated: list[str] | None = None) -> list[Extra]:
    """What cldm-runtime always needs, then each of its extras. stated: its requirements; default: as installed."""
    texts = (requires(PACKAGE) or []) if stated is None else stated
    found: dict[str, list[Requirement]] = {"": []}
    for name, needs, extra in _parsed(texts):
        found.setdefault(extra, []).append(Requirement(name, needs, installed_version(name)))
    return [Extra(name, tuple(requirements)) for name, requirements in found.items()]


def _parsed(texts: list[str]) -> Iterator[tuple[str, str, str]]:
    """(name, needed versions, extra) of texts such as 'onnxruntime>=1.28; extra == "cpu"'."""
    for text in texts:
        match = _REQUIREMENT.fullmatch(text)
        if match is not None:
            name, needs, extra = match.groups()
            yield name, (needs or "").strip(), extra or ""


def installed_version(name: str) -> str:
    """The version of an installed package, or of one that stands for it; "" where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return installed_version(_STANDS_FOR[name]) if name in _STANDS_FOR else ""


def _numbers(text: str) -> tuple[int, ...]:
    """The version numbers in a text: (1, 28, 1) of ">=1.28.1" and of "1.28.1+cpu"."""
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0].split("rc")[0]))


def memory(meminfo: Path = _MEMINFO) -> Memory:
    """The memory of this machine, and the limit of the group that this process lies in."""
    limit = memory_limit_bytes()
    stated = _gibibytes(meminfo)
    return Memory(stated.get("MemAvailable"), stated.get("MemTotal"),
                  None if math.isinf(limit) else round(limit / 2**30, 1))


def _gibibytes(meminfo: Path) -> dict[str, float]:
    """GiB by name, of lines such as "MemTotal:       16384 kB"; empty where there is no such file."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    fields = [line.replace(":", "").split() for line in lines]
    return {field[0]: round(int(field[1]) / 2**20, 1) for field in fields if len(field) == 3 and field[1].isdecimal()}


def free_disk(folder: Path) -> float | None:
    """Free GiB where files of a folder go, which need not exist; None if that is unknown."""
    there = next((path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()), Path("/"))
    try:
        return round(shutil.disk_usage(there).free / 2**30, 1)
    except OSError:
        return None
