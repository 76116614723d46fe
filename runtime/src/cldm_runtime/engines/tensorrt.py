"""TensorRT on the first CUDA device, with torch for its memory. Engines come from `tensorrt_build`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec
from ..bundle.reference import ReferenceCase
from ..errors import ProviderError
from .device import Device, Tensor, run_on
from .engine import Tensors, check_inputs
from .tensorrt_build import build_engine, import_tensorrt, plan_engine, read_engine, write_engine
from .torch_device import TorchDevice, captured, import_torch

_PROVIDER = "tensorrt"


class TensorRtEngine:
    """One graph, with an engine for each batch size that occurs. Missing engines are built here.

    Every engine is tested on the graph's reference before it is used, because engines in fp16 are known to give black
    images. Errors above `tolerances` (by output) are not accepted. Raises ProviderError and BundleError.
    """

    def __init__(self, data: bytes, graph: GraphSpec, reference: ReferenceCase, tolerances: Mapping[str, float],
                 precision: str = "fp32") -> None:
        self._trt = import_tensorrt()
        self._torch = import_torch(_PROVIDER)
        self._device = TorchDevice(self._torch, _PROVIDER)
        self._data, self._graph, self._precision = data, graph, precision
        self._reference, self._tolerances = reference, tolerances
        self._runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
        self._contexts: dict[int, Any] = {}
        self._launch = captured(self._torch, self._execute)

    @property
    def provider(self) -> str:
        return _PROVIDER

    @property
    def device(self) -> Device:
        return self._device

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        return run_on(self._device, self.launch, inputs)

    def launch(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.prepare(len(next(iter(inputs.values()))))
        return self._launch(inputs)

    def prepare(self, batch: int) -> None:
        """Load the engine for a batch size from the cache, or build it, and test it."""
        if batch in self._contexts:
            return
        plan = plan_engine(self._graph, batch, self._precision)
        plan_bytes = read_engine(plan)
        if plan_bytes is not None and self._load(plan_bytes, batch) and self._largest_excess(batch) <= 1.0:
            return
        built = build_engine(self._data, self._graph, plan)
        if not self._load(built, batch):
            raise ProviderError(f"graph {self._graph.file}: TensorRT {plan.tensorrt} cannot load the engine that it "
                                "has just built. Pass --provider cuda.")
        excess = self._largest_excess(batch)
        if not excess <= 1.0:
            del self._contexts[batch]
            raise ProviderError(f"graph {self._graph.file}: the engine of TensorRT {plan.tensorrt} on {plan.gpu} is "
                                f"off the reference by {excess:.3g} times the tolerance at batch {batch}. It is not "
                                "used: pass --provider cuda, or take a bundle in fp32.")
        write_engine(plan, built)

    def _load(self, data: bytes, batch: int) -> bool:
        engine = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            return False
        self._contexts[batch] = engine.create_execution_context()
        return True

    def _largest_excess(self, batch: int) -> float:
        """The largest error on the reference, in units of the tolerance; NaN if a number is not finite."""
        case = self._reference.resized(batch)
        outputs = run_on(self._device, self._execute, case.inputs)
        return float(np.max([np.max(np.abs(outputs[name] - expected)) / self._tolerances[name]
                             for name, expected in case.outputs.items()]))

    def _execute(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        torch = self._torch
        batch = len(next(iter(inputs.values())))
        context = self._contexts[batch]
        contiguous = {spec.name: inputs[spec.name].contiguous() for spec in self._graph.inputs}
        outputs = {spec.name: torch.empty((batch, *spec.shape[1:]), dtype=getattr(torch, spec.dtype), device="cuda")
                   for spec in self._graph.outputs}
        engine = context.engine
        for name in (engine.get_tensor_name(number) for number in range(engine.num_io_tensors)):
            context.set_tensor_address(name, {**contiguous, **outputs}[name].data_ptr())
            if name in contiguous:
                context.set_input_shape(name, tuple(contiguous[name].shape))
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise ProviderError(f"graph {self._graph.file}: TensorRT could not run it at batch {batch}. Pass "
                                "--provider cuda.")
        return outputs
