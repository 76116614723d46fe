"""Replays a bundle's reference on this machine: every graph, the noise, and a whole sampling run."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .engines.choose import Choice, choose_provider
from .errors import BundleError, list_faults
from .manifest import Manifest
from .pipeline import Pipeline, decoder_noise, initial_noise
from .reference import LOOP, Case, Reference


@dataclass(frozen=True)
class Check:
    """`name` as in the tolerances; `max_abs` the largest absolute error (NaN where shapes or values do not compare)."""

    name: str
    max_abs: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.max_abs <= self.tolerance


def verify_bundle(bundle: Bundle, provider: str | Choice = "cpu", threads: int | None = None,
                  precision: str = "fp32") -> list[Check]:
    """Replay the reference and return one check for each output, in the order of the graphs, the loop last.

    A check that fails is in the list; what cannot be replayed at all raises BundleError. Raises ProviderError too.
    """
    choice = provider if isinstance(provider, Choice) else choose_provider(bundle, provider, threads, precision)
    asked = choice.provider, threads, choice.precision
    reference = Reference.from_arrays(bundle.reference())
    _require_complete(bundle.manifest, reference)
    checks: list[Check] = []
    for role, case in reference.graphs.items():
        outputs = bundle.open(role, *asked).run(case.inputs)
        checks += _compare(bundle.manifest, role, outputs, case.outputs)
    if reference.loop:
        checks += _check_loop(bundle, reference.loop, reference.loop_steps, Pipeline.open(bundle, *asked))
    return checks


def largest_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference; NaN where the shapes differ or a value is not finite."""
    if found.shape != expected.shape:
        return math.nan
    with np.errstate(invalid="ignore"):  # infinity minus infinity: the answer is NaN, as promised
        return float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64)), initial=0.0))


def _require_complete(manifest: Manifest, reference: Reference) -> None:
    faults = [f"graph {role} has no reference" for role in manifest.graphs if role not in reference.graphs]
    faults += [f"{role} is not a graph of the manifest" for role in reference.graphs if role not in manifest.graphs]
    for role, graph in manifest.graphs.items():
        case = reference.graphs.get(role, Case({}, {}))
        wanted, present = {spec.name for spec in graph.outputs}, set(case.outputs)
        faults += [f"{role}/out/{name} is missing or unknown" for name in sorted(wanted ^ present) if case.inputs]
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
    inputs = {"x", *(spec.name for graph in encoders for spec in graph.inputs),
              *(spec.name for spec in manifest.graphs["decoder"].inputs if spec.name != "latent")}
    faults = [f"{LOOP}/in/{name} is missing or unknown" for name in sorted(inputs ^ set(reference.loop.inputs))]
    return faults + [f"{LOOP}/out/{name} is missing or unknown"
                     for name in sorted({"latent", "image"} ^ set(reference.loop.outputs))]


def _check_loop(bundle: Bundle, case: Case, steps: int | None, pipeline: Pipeline) -> Iterator[Check]:
    manifest, graphs = bundle.manifest, bundle.manifest.graphs
    sampling = manifest.sampling
    assert sampling is not None  # a generator has it: the manifest was checked
    seed, indices = manifest.reference.seed, np.arange(len(case.inputs["x"]))
    noise = decoder_noise(graphs["decoder"], seed, indices)
    for name, drawn in {"x": initial_noise(graphs["denoiser"], seed, indices), **noise}.items():
        yield Check(f"{LOOP}/in/{name}", largest_error(drawn, case.inputs[name]), 0.0)
    plan = pipeline.plan(dataclasses.replace(sampling, steps=steps or sampling.steps))
    batch = pipeline.sample(case.inputs, plan, seed, indices)
    yield from _compare(manifest, LOOP, {"latent": batch.latent, "image": batch.image}, case.outputs)


def _compare(manifest: Manifest, role: str, found: Mapping[str, NDArray[Any]],
             expected: Mapping[str, NDArray[Any]]) -> Iterator[Check]:
    for name, array in expected.items():
        key = f"{role}/{name}"
        yield Check(key, largest_error(found[name], array), manifest.reference.tolerances[key])
