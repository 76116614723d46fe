"""What is installed: read from pip's own records, and from the requirements that pyproject.toml states."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from cldm_runtime.verification import installation
from cldm_runtime.verification.installation import PURPOSES, Requirement, extras, free_disk, memory

PROJECT = tomllib.loads((Path(__file__).parents[3] / "runtime" / "pyproject.toml").read_text())["project"]


def versions(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    def version(name: str) -> str:
        if name.replace("-", "_") not in installed:
            raise PackageNotFoundError(name)
        return installed[name.replace("-", "_")]

    monkeypatch.setattr(installation, "version", version)


def test_extras_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, numpy="2.1", onnxruntime="1.28.0", openvino="2026.4.1")
    stated = [*PROJECT["dependencies"], *(f'{text}; extra == "{extra}"' for extra, texts in
                                          PROJECT["optional-dependencies"].items() for text in texts)]
    found = {extra.name: extra for extra in extras(stated)}
    assert found.keys() - {""} == PURPOSES.keys() == PROJECT["optional-dependencies"].keys()
    assert found[""].requirements[0] == Requirement("numpy", ">=2.0", "2.1")
    assert [name for name, extra in found.items() if extra.fulfilled] == ["openvino"]
    assert found["cpu"].install == "pip install 'cldm-runtime[cpu]'"


@pytest.mark.parametrize(("needs", "installed", "fulfilled"), [
    (">=1.28.1", "1.28.1", True), (">=1.28.1", "1.28.0", False), (">=1.9", "1.10", True), (">=2", "2.13.0+cpu", True),
    (">=2.10", "2.9", False), ("", "0.1", True), (">=1", "", False)])
def test_versions_are_compared_as_numbers(needs: str, installed: str, fulfilled: bool) -> None:
    assert Requirement("a", needs, installed).fulfilled is fulfilled


def test_the_runtime_of_a_gpu_stands_for_that_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, onnxruntime_gpu="1.30")
    assert [extra.fulfilled for extra in extras(['onnxruntime>=1.28.1; extra == "cpu"'])] == [True, True]


def test_memory_is_what_the_system_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "memory_limit_bytes", lambda: 3 * 2**30)
    (tmp_path / "meminfo").write_text("MemTotal:       8388608 kB\nMemAvailable:   1572864 kB\nHugePages_Total: 0\n")
    found = memory(tmp_path / "meminfo")
    assert (found.free, found.total, found.limit) == (1.5, 8.0, 3.0)
    assert memory(tmp_path / "none").free is None


def test_disk_is_that_of_the_next_folder_that_exists(tmp_path: Path) -> None:
    there, below = free_disk(tmp_path), free_disk(tmp_path / "a" / "b")
    assert there is not None and below is not None and abs(there - below) < 1 and there > 0
