"""The built C++ program, for the tests in tests/cpp: how to run it, and why they are skipped where it is not built."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "cpp_bench" / "build"
PROGRAM = BUILD / "cldm-cpp"
BUNDLE = ROOT / "exported" / "lge"
TEACHER = ROOT / "exported" / "lge-teacher"
SEGMENTER = ROOT / "exported" / "lge-segmenter"

_MISSING = ROOT / "cpp_bench" / ".missing"  # what `make test` found to be missing
_WHY = _MISSING.read_text().strip() if _MISSING.exists() else "make cpp"

needs_program = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM.relative_to(ROOT)} is not built: {_WHY}")


def cpp(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False)


def copied(bundle: Path, to: Path) -> Path:
    """A copy of a bundle's files, to be changed."""
    for file in bundle.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to
