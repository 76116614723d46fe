"""Which providers start on this machine; found by opening a tiny network with each."""

import re

from ..bundle.manifest import GraphSpec, TensorSpec
from ..errors import CldmError
from . import tensorrt_build
from .engine import CPU_PROVIDERS, PROVIDERS, TORCHSCRIPT
from .open import open_engine
from .torch_device import TorchDevice, import_torch

_OTHER_PROVIDER = re.compile(r",? or pass --provider [\w-]+(?=\.)")


def reasons_against() -> dict[str, str]:
    """Each provider with the reason why it does not start here; empty for one that starts."""
    return {provider: reason_against(provider) for provider in PROVIDERS}


def reason_against(provider: str) -> str:
    """Why a provider does not start here, without advice on other providers; empty if it starts."""
    return _OTHER_PROVIDER.sub("", _message(provider))


def _message(provider: str) -> str:
    if provider == tensorrt_build.TENSORRT:
        return tensorrt_build.missing() or ""
    try:
        if provider in TORCHSCRIPT:
            torch = import_torch(provider)
            if provider not in CPU_PROVIDERS:
                TorchDevice(torch, provider)
        else:
            _open(provider)
    except CldmError as error:
        return str(error)
    return ""


def _open(provider: str) -> None:
    """Open w_0 a + w_1 b + w_2 c + w_3 d. Raises ProviderError and BundleError."""
    from .onnx_device import TERMS, linear_graph  # here, because it needs onnxruntime

    numbers = [TensorSpec(name, "float32", (), "") for name in (*TERMS, "y")]
    weights = TensorSpec("weights", "float32", (len(TERMS),), "")
    graph = GraphSpec("linear.onnx", "", "fp32", (*numbers[:-1], weights), (numbers[-1],))
    open_engine(linear_graph(), graph, provider, threads=1)
