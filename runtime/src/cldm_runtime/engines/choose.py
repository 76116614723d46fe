"""Chooses the provider that runs the graphs: the requested one, or with "auto" the fastest on this machine.

"auto" chooses a GPU that starts. Without one, it measures the bundle's heaviest graph for a short time, and chooses
openvino if that is clearly faster than onnxruntime and within the bundle's tolerance; else cpu.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.bundle import Bundle
from ..bundle.reference import Reference, ReferenceCase
from ..errors import BundleError, ProviderError
from .engine import AUTO, Engine
from .open import open_graph

FASTER = 1.05  # below that, a difference is noise
_HEAVIEST = {"generator": "denoiser", "segmenter": "segmenter", "anatomy": "decoder"}  # kind of bundle -> role
_LARGEST_BATCH = 8
_RUN_SECONDS = 0.06  # about; the intended time of one run of a measurement
_TURNS, _RUNS = 3, 2
_LONGEST_SECONDS = 1.5  # no further turn begins after that


@dataclass(frozen=True)
class Choice:
    """The chosen provider. `provider` is the one in use. `requested` differs from it for "auto" alone; `reason` is then
    a text on why it was chosen."""

    requested: str
    provider: str
    precision: str = "fp32"
    reason: str = ""


def choose_provider(bundle: Bundle, provider: str = "cpu", threads: int | None = None,
                    precision: str = "fp32") -> Choice:
    """Resolve "auto". Any other provider is returned unchanged; opening a graph fails if it is not available.

    Raises ProviderError for a precision that "auto" does not compare, BundleError for a bundle that cannot be measured.
    """
    if provider != AUTO:
        return Choice(provider, provider, precision)
    if precision != "fp32":
        raise ProviderError(f"precision {precision} was requested with provider auto, which offers: fp32. Pass "
                            f"--provider openvino --precision {precision}, or leave --precision out.")
    chosen, why = _fastest(bundle, _HEAVIEST[bundle.manifest.kind], threads)
    return Choice(AUTO, chosen, precision, f"provider auto: {chosen}, {why}")


def _fastest(bundle: Bundle, role: str, threads: int | None) -> tuple[str, str]:
    """The fastest provider, and the reason."""
    if _starts_cuda(bundle, role, threads):
        return "cuda", "which onnxruntime offers and starts"
    file = bundle.manifest.graphs[role].file
    try:
        rivals = {name: open_graph(bundle, name, "openvino", threads) for name in bundle.manifest.graphs}
    except ProviderError:
        return "cpu", "openvino is not installed (pip install 'cldm-runtime[openvino]')"
    except BundleError:
        return "cpu", "openvino does not take all graphs of the bundle"
    own, rival = open_graph(bundle, role, "cpu", threads), rivals[role]
    case = _sized(bundle, role, own)
    if not _agrees(bundle, role, rival, case):
        return "cpu", f"openvino is further from the reference of {file} than its tolerance"
    batch = max(len(array) for array in case.inputs.values())
    there, here = (seconds / batch * 1000 for seconds in _best_seconds((own, rival), case.inputs))
    speed = f"as fast as onnxruntime on {file} ({here:.2g} against {there:.2g} ms an image)"
    if there >= FASTER * here:
        return "openvino", f"{there / here:.2f}x {speed}"
    return "cpu", f"openvino is {there / here:.2f}x {speed}"


def _starts_cuda(bundle: Bundle, role: str, threads: int | None) -> bool:
    try:
        open_graph(bundle, role, "cuda", threads)
    except (ProviderError, BundleError):
        return False
    return True


def _sized(bundle: Bundle, role: str, engine: Engine) -> ReferenceCase:
    """The graph's reference at a batch that takes about _RUN_SECONDS."""
    graph, case = bundle.manifest.graphs[role], Reference.from_arrays(bundle.reference()).graphs[role]
    if any(spec.shape[:1] != ("N",) for spec in (*graph.inputs, *graph.outputs)):
        return case  # the graph has one fixed batch size
    single = case.resized(1)
    engine.run(single.inputs)
    (seconds,) = _best_seconds([engine], single.inputs, turns=1)
    return case.resized(int(np.clip(_RUN_SECONDS / max(seconds, 1e-6), 1, _LARGEST_BATCH)))


def _agrees(bundle: Bundle, role: str, engine: Engine, case: ReferenceCase) -> bool:
    outputs, tolerances = engine.run(case.inputs), bundle.manifest.reference.tolerances
    return all(bool(np.max(np.abs(outputs[name] - expected)) <= tolerances[f"{role}/{name}"])
               for name, expected in case.outputs.items())


def _best_seconds(engines: Sequence[Engine], inputs: Mapping[str, NDArray[Any]], turns: int = _TURNS) -> list[float]:
    """The shortest run of each engine. They take turns, because the machine may be busy for a while. The first run of a
    turn does not count, because threads of the previous engine may still be waiting for work."""
    best, started = [np.inf] * len(engines), time.perf_counter()
    for turn in range(turns):
        if turn and time.perf_counter() - started > _LONGEST_SECONDS:
            break
        for number, engine in enumerate(engines):
            engine.run(inputs)
            for _ in range(_RUNS):
                start = time.perf_counter()
                engine.run(inputs)
                best[number] = min(best[number], time.perf_counter() - start)
    return best
