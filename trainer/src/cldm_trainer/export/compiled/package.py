"""One network to a package of native code, checked, and opened as an engine."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.utils import fresh_cache

from cldm_runtime.engines import Tensors
from cldm_runtime.errors import ProviderError

from ..graphs import BATCH
from ..parity import compare_engines, require

OUTPUT = "output"  # what a network's only output is called here
_FASTER = {"freezing": True}  # lays the weights out for this processor while it compiles, not at every call


class Called:
    """An engine that calls torch: named arrays, in the order of `names`, to one array, `OUTPUT`.

    Compiled code takes the strides of its inputs for granted, without a check, so they are made contiguous.
    """

    provider = "torch"

    def __init__(self, call: Callable[..., Any], names: Iterable[str]) -> None:
        self._call, self._names = call, tuple(names)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            result: Tensor = self._call(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self._names))
            return {OUTPUT: result.numpy()}


def require_compiler() -> None:
    """Raise ProviderError where there is no C++ compiler."""
    names = [name for name in torch._inductor.config.cpp.cxx if name]
    if not any(shutil.which(name) for name in names):
        raise ProviderError(f"a C++ compiler is needed to compile networks, but there is no {' or '.join(names)}. "
                            "Install it (Debian, Ubuntu: apt install g++), or name another in the variable CXX.")


def compile_network(role: str, module: nn.Module, cases: Mapping[str, Mapping[str, Tensor]], tolerance: float,
                    path: Path) -> Called:
    """Compile a network, whose batch stays free, check it on every case, keep it under `path`, and open it.

    cases: inputs in the order of `forward`; the first are the compiler's examples. Raises ParityError, and leaves
    `path` as it was, where it does not compute what the network computes.
    """
    first = next(iter(cases.values()))
    with TemporaryDirectory(dir=path.parent, prefix=".compiling-") as folder:
        draft = Path(folder) / path.name
        write_package(module, first.values(), draft)
        engine = Called(aoti_load_package(str(draft)), first)
        require(compare_engines({f"{role} (compiled)": engine}, OUTPUT, module, cases, tolerance))
        os.replace(draft, path)
    return engine


def write_package(module: nn.Module, inputs: Iterable[Tensor], path: Path) -> None:
    """Compile the network."""
    examples, batch = tuple(value.contiguous() for value in inputs), torch.export.Dim(BATCH, min=1)
    with torch.no_grad(), fresh_cache():  # a folder of its own, which is gone afterwards
        program = torch.export.export(module.eval(), examples, dynamic_shapes=tuple({0: batch} for _ in examples))
        aoti_compile_and_package(program, package_path=str(path), inductor_configs=_FASTER)
