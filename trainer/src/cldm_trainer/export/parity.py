"""Whether exported graphs compute what the torch modules compute: each graph, and the whole sampling loop."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.engine import Engine
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError, list_faults
from cldm_runtime.verification.replay import verify_bundle


class ParityError(BundleError):
    """An exported graph does not compute what its torch module computes. No bundle is written."""


@dataclass(frozen=True)
class GraphParity:
    """Largest absolute difference between graph and module over `samples` inputs of one kind ("random", "cohort")."""

    what: str
    kind: str
    samples: int
    max_abs: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.max_abs <= self.tolerance  # False for NaN too


def compare_graph(
    bundle: Bundle, role: str, module: nn.Module, cases: Mapping[str, Mapping[str, Tensor]], tolerance: float
) -> list[GraphParity]:
    """Compare a graph, and its TorchScript form where there is one, with its module: see `compare_engines`."""
    graph = bundle.manifest.graphs[role]
    engines = {role: open_graph(bundle, role)}
    if graph.torchscript:
        engines[f"{role} (TorchScript)"] = open_graph(bundle, role, "torchscript")
    return compare_engines(engines, graph.outputs[0].name, module, cases, tolerance)


def compare_engines(engines: Mapping[str, Engine], output: str, module: nn.Module,
                    cases: Mapping[str, Mapping[str, Tensor]], tolerance: float) -> list[GraphParity]:
    """Run engines, which are given by name, and a module on each named set of inputs: whole batches, and sample by
    sample.

    The module computes in double precision: group normalisation of a nearly constant channel loses digits in torch's
    own float32, and what is to be measured is the graph's error, not torch's.
    """
    parities = []
    for kind, inputs in cases.items():
        expected = evaluate(module, inputs.values())
        arrays = {name: value.numpy() for name, value in inputs.items()}
        rows = [{name: value[i : i + 1] for name, value in arrays.items()} for i in range(len(expected))]
        for what, engine in engines.items():
            whole = engine.run(arrays)[output]
            single = np.concatenate([engine.run(row)[output] for row in rows])
            worst = max(largest_difference(whole, expected), largest_difference(single, expected))
            parities.append(GraphParity(what, kind, len(expected), worst, tolerance))
    return parities


@torch.no_grad()
def evaluate(module: nn.Module, inputs: Iterable[Tensor]) -> NDArray[np.float64]:
    """A copy of the module in double precision on the inputs."""
    exact = copy.deepcopy(module).double()
    answer: NDArray[np.float64] = exact(*(value.double() for value in inputs)).numpy()
    return answer


def compare_reference(bundle: Bundle, graph_tolerance: float, loop_tolerance: float) -> list[GraphParity]:
    """Replay reference.npz, whose outputs come from torch: every graph, and the runtime's whole sampling loop."""
    samples = len(next(iter(bundle.reference().values())))
    return [
        GraphParity(check.name, "reference", samples, check.max_abs, tolerance)
        for check in verify_bundle(bundle)
        for tolerance in [loop_tolerance if check.name.startswith("loop/") else graph_tolerance]
    ]


def largest_difference(computed: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """Largest absolute difference; infinite where shapes differ."""
    if computed.shape != expected.shape:
        return float("inf")
    return float(np.abs(computed.astype(np.float64) - expected).max())


def require(parities: Sequence[GraphParity]) -> None:
    """Raise ParityError that lists every comparison that fails."""
    faults = [
        f"{p.what}, {p.samples} {p.kind} inputs: differs from torch by {p.max_abs:.2e}, allowed {p.tolerance:.1e}"
        for p in parities
        if not p.holds
    ]
    if faults:
        raise ParityError(list_faults(
            "exported graphs differ from torch. Nothing was written. If rounding alone can explain this, as in a large "
            "network, raise export.parity_tolerance:", faults))


def as_table(parities: Sequence[GraphParity]) -> list[dict[str, str | int | float]]:
    """For the manifest and the model card."""
    return [
        {
            "what": p.what,
            "inputs": p.kind,
            "samples": p.samples,
            "max_abs": float(f"{p.max_abs:.3g}"),
            "tolerance": p.tolerance,
        }
        for p in parities
    ]
