"""Replays a bundle's reference on this machine: every graph, the noise, and a whole sampling run."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.acquisition_spec import ROLE as ACQUISITION
from ..bundle.bundle import Bundle
from ..bundle.manifest import Manifest
from ..bundle.outputs import output_of
from ..bundle.reference import LOOP, Reference, ReferenceCase
from ..engines.choose import Choice, choose_provider
from ..engines.engine import Engine
from ..engines.open import open_graph
from ..errors import BundleError, list_faults
from ..generation.pipeline import Pipeline, decoder_noise, initial_noise, scan_noise
from ..metrics.parity import largest_error, psnr_db

ROUNDING = {"bf16": 2.0**-8, "fp16": 2.0**-11, "tf32": 2.0**-11}
"""Spacing of the numbers of a lower precision, relative to their size."""
ROUNDINGS = 32
"""An output of a lower precision may be off by this many spacings of the largest expected magnitude. The manifest's
tolerances apply to the precision of its graphs: fp32 or int8."""


@dataclass(frozen=True)
class Check:
    """`name` as in the tolerances; `max_abs` the largest absolute error (NaN if shapes differ or values are not
    comparable); `psnr_db` for images only."""

    name: str
    max_abs: float
    tolerance: float
    psnr_db: float | None = None

    @property
    def passed(self) -> bool:
        return self.max_abs <= self.tolerance


@dataclass(frozen=True)
class Replay:
    """The checks in the order of the graphs, the loop last; the computed and expected outputs, by the same names."""

    checks: tuple[Check, ...]
    actual: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]


def verify_bundle(bundle: Bundle, provider: str | Choice = "cpu", threads: int | None = None,
                  precision: str = "fp32") -> list[Check]:
    """Replay the reference and return one check for each output, in the order of the graphs, the loop last.

    Failed checks are in the list too. Raises BundleError if the reference cannot be replayed, and ProviderError.
    """
    choice = provider if isinstance(provider, Choice) else choose_provider(bundle, provider, threads, precision)
    return list(replay(bundle, open_graphs(bundle, choice, threads), choice.precision).checks)


def open_graphs(bundle: Bundle, choice: Choice, threads: int | None = None) -> dict[str, Engine]:
    """Every graph of the bundle, opened. Raises BundleError and ProviderError."""
    return {role: open_graph(bundle, role, choice.provider, threads, choice.precision)
            for role in bundle.manifest.graphs}


def replay(bundle: Bundle, engines: Mapping[str, Engine], precision: str = "fp32") -> Replay:
    """Replay the reference on engines of that precision. Raises BundleError for a reference that is incomplete."""
    manifest, reference = bundle.manifest, Reference.from_arrays(bundle.reference())
    _require_complete(manifest, reference)
    actual = {f"{role}/{name}": array for role, case in reference.graphs.items()
             for name, array in engines[role].run(case.inputs).items()}
    expected = {f"{role}/{name}": array for role, case in reference.graphs.items()
                for name, array in case.outputs.items()}
    noise: list[Check] = []
    if reference.loop:
        noise = list(_check_noise(manifest, reference.loop))
        actual |= _run_loop(manifest, reference, reference.loop, engines)
        expected |= {f"{LOOP}/{name}": array for name, array in reference.loop.outputs.items()}
    checks = [check_output(manifest, key, actual[key], array, precision) for key, array in expected.items()]
    graphs = [check for check in checks if not check.name.startswith(f"{LOOP}/")]
    return Replay((*graphs, *noise, *checks[len(graphs):]), actual, expected)


def check_output(manifest: Manifest, key: str, actual: NDArray[Any], expected: NDArray[Any], precision: str,
                 name: str = "") -> Check:
    """Compare the output `key`, <role>/<tensor>, with its tolerance. `name`: of the check; "": the key."""
    tolerance = manifest.reference.tolerances[key]
    if precision in ROUNDING:
        magnitude = float(np.max(np.abs(expected), initial=0.0))
        tolerance = max(tolerance, ROUNDINGS * ROUNDING[precision] * magnitude)
    peak = psnr_db(actual, expected, manifest.image.value_range) if key.endswith("/image") else None
    return Check(name or key, largest_error(actual, expected), tolerance, peak)


def _require_complete(manifest: Manifest, reference: Reference) -> None:
    faults = [f"graph {role} has no reference" for role in manifest.graphs if role not in reference.graphs]
    faults += [f"{role} is not a graph of the manifest" for role in reference.graphs if role not in manifest.graphs]
    for role, graph in manifest.graphs.items():
        case = reference.graphs.get(role, ReferenceCase({}, {}))
        declared, present = {spec.name for spec in graph.outputs}, set(case.outputs)
        faults += [f"{role}/out/{name} is missing or unknown" for name in sorted(declared ^ present) if case.inputs]
    if manifest.kind == "generator":
        faults += _loop_faults(manifest, reference)
    outputs = {f"{role}/{name}" for role, case in reference.graphs.items() for name in case.outputs}
    outputs |= {f"{LOOP}/{name}" for name in (reference.loop.outputs if reference.loop else ())}
    faults += [f"reference.tolerances.{name}: missing" for name in sorted(outputs - set(manifest.reference.tolerances))]
    if faults:
        raise BundleError(list_faults("the bundle's reference is incomplete. Export the bundle again.", faults))


def _loop_faults(manifest: Manifest, reference: Reference) -> list[str]:
    if reference.loop is None:
        return ["the sampling loop has no reference"]
    encoders = [manifest.graphs[condition.encoder] for condition in manifest.conditions]
    last = manifest.graphs[ACQUISITION].inputs if manifest.acquisition else ()
    inputs = {"x", *(spec.name for graph in encoders for spec in graph.inputs),
              *(spec.name for spec in manifest.graphs["decoder"].inputs if spec.name != "latent"),
              *(spec.name for spec in last if spec.name != "image")}
    faults = [f"{LOOP}/in/{name} is missing or unknown" for name in sorted(inputs ^ set(reference.loop.inputs))]
    return faults + [f"{LOOP}/out/{name} is missing or unknown"
                     for name in sorted({"latent", output_of(manifest).tensor} ^ set(reference.loop.outputs))]


def _check_noise(manifest: Manifest, case: ReferenceCase) -> Iterator[Check]:
    """The noise of the loop, which must agree bit for bit."""
    graphs, seed, indices = manifest.graphs, manifest.reference.seed, np.arange(len(case.inputs["x"]))
    noise = decoder_noise(graphs["decoder"], seed, indices) | scan_noise(manifest, seed, indices)
    for name, noise_array in {"x": initial_noise(graphs["denoiser"], seed, indices), **noise}.items():
        yield Check(f"{LOOP}/in/{name}", largest_error(noise_array, case.inputs[name]), 0.0)


def _run_loop(manifest: Manifest, reference: Reference, case: ReferenceCase,
              engines: Mapping[str, Engine]) -> dict[str, NDArray[Any]]:
    sampling, pipeline = manifest.sampling, Pipeline(manifest, engines)
    assert sampling is not None  # the manifest was checked, and every generator has it
    plan = pipeline.plan(dataclasses.replace(sampling, steps=reference.loop_steps or sampling.steps))
    batch = pipeline.sample(case.inputs, plan, manifest.reference.seed, np.arange(len(case.inputs["x"])))
    return {f"{LOOP}/latent": batch.latent, f"{LOOP}/{output_of(manifest).tensor}": batch.image}
