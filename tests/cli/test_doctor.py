"""cldm doctor: one line for each thing, advice for what is missing, 5 where nothing can run."""

import json
from importlib.metadata import PackageNotFoundError

import pytest

from cldm_runtime.cli import doctor
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.verification.installation import Extra, Requirement

EXTRAS = [Extra("", (Requirement("numpy", ">=2.0", "2.1"),)), Extra("cpu", (Requirement("onnxruntime", ">=1", "1.5"),)),
          Extra("ray", (Requirement("ray", ">=2.50", ""),))]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where only the CPU runs networks, and Ray is missing."""
    monkeypatch.setattr(doctor, "extras", lambda: EXTRAS)
    monkeypatch.setattr(doctor, "gpus", list)
    monkeypatch.setattr(doctor, "reasons_against", lambda: {
        "cpu": "", "cuda": "provider cuda was requested, but onnxruntime offers: CPU.\n  more"})


def test_it_says_what_is_there_and_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  cpu               starts" in lines
    assert "  cuda              does not start: onnxruntime offers: CPU." in lines
    assert "  ray               ray is missing (needs >=2.50)" in lines
    assert lines[-1] == "  pip install 'cldm-runtime[ray]'   # runs on a Ray cluster"


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["providers"]["cpu"] == {"starts": True, "reason": None} and not found["providers"]["cuda"]["starts"]
    assert [(each["name"], each["fulfilled"]) for each in found["packages"]] == [
        ("numpy", True), ("onnxruntime", True), ("ray", False)]
    assert found["advice"] == ["pip install 'cldm-runtime[ray]'   # runs on a Ray cluster"]
    assert "." in found["free_disk_gib"] and found["machine"]["cores"] >= 1


def test_without_any_provider_it_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "reasons_against", lambda: {"cpu": "onnxruntime is not installed."})
    assert run(cldm, ["doctor"]) == 5
    said = capsys.readouterr()
    assert "onnxruntime is not installed." in said.out and "pip install 'cldm-runtime[cpu]'" in said.err


def test_a_folder_that_pip_did_not_install_says_so(capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[Extra]:
        raise PackageNotFoundError("cldm-runtime")

    monkeypatch.setattr(doctor, "extras", missing)
    assert run(cldm, ["doctor"]) == 0
    assert "cldm-runtime is not installed by pip" in capsys.readouterr().out
