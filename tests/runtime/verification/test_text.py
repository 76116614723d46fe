"""The answers of `cldm verify` as text and JSON."""

from cldm_runtime.verification.compare import EngineReport
from cldm_runtime.verification.replay import Check
from cldm_runtime.verification.text import as_json, as_text

CHECKS = (Check("decoder/image", 2e-6, 1e-5), Check("loop/image", 3e-4, 1e-5))


def test_each_check_has_its_own_error_tolerance_and_verdict() -> None:
    sound, faulty = as_text(EngineReport("cpu", "fp32", CHECKS)).splitlines()
    assert sound.split()[:1] == ["decoder/image"] and "2.00e-06" in sound and sound.endswith("ok")
    assert faulty.split()[:1] == ["loop/image"] and "3.00e-04" in faulty and "FAILED" in faulty


def test_an_engine_that_is_missing_has_no_verdict() -> None:
    report = EngineReport("cuda", "fp32", missing="onnxruntime offers: CPUExecutionProvider")
    assert as_json(report) == {"provider": "cuda", "precision": "fp32",
                               "missing": "onnxruntime offers: CPUExecutionProvider"}
