"""Which providers start: the reason of each that does not."""

import sys

import pytest

from cldm_runtime.engines.engine import PROVIDERS
from cldm_runtime.engines.probe import reason_against, reasons_against


def test_the_cpu_starts_and_every_provider_has_its_line() -> None:
    pytest.importorskip("onnxruntime")
    reasons = reasons_against()
    assert tuple(reasons) == PROVIDERS and reasons["cpu"] == ""


@pytest.mark.parametrize(("provider", "module", "expected"), [
    ("openvino", "openvino", "cldm-runtime[openvino]"), ("torchscript", "torch", "cldm-runtime[torch]"),
    ("tensorrt", "tensorrt", "cldm-runtime[tensorrt]")])
def test_what_is_missing_is_named_with_its_command(provider: str, module: str, expected: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cldm_runtime.engines.openvino", raising=False)  # it imports the package once
    monkeypatch.setitem(sys.modules, module, None)
    assert expected in reason_against(provider) and "--provider" not in reason_against(provider)
