"""Conditions of a generator: the inputs of their encoders, and checks of a manifest's conditions.

    kind          input of the denoiser that the condition feeds
    spatial       (N, C, *latent axes), for concatenation or a ControlNet
    vector        (N, T, W): T tokens of width W, for cross-attention

`sources.py` defines what conditions are made from.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from ..domains.domain import Domain
from ..domains.labels import LabelMap
from .manifest import ConditionSpec, GraphSpec, Manifest, TensorSpec
from .sources import SOURCES, Float32, Given, inputs_from


def encoder_inputs(manifest: Manifest, domain: Domain, masks: LabelMap | None, requested: Float32,
                   others: Given | None = None) -> dict[str, Float32]:
    """The inputs of every condition's encoder by name, for N samples.

    masks: (N, *spatial), required if a condition is made from them. requested: (N, A) in the domain's order, NaN where
    undefined or unknown. others: arrays of other sources. Raises InputError for a missing source.
    """
    maps = {} if masks is None else {"masks": masks}
    return inputs_from(manifest, domain, {**maps, "attributes": requested, **(others or {})})


def condition_faults(manifest: Manifest) -> list[str]:
    """All contradictions between the conditions and the rest of the manifest, one line each."""
    faults: list[str] = []
    for key, values in (("name", [condition.name for condition in manifest.conditions]),
                        ("feeds", [condition.feeds for condition in manifest.conditions])):
        faults += [f"conditions: {key} {value} occurs {times} times." for value, times in Counter(values).items()
                   if times > 1]
    denoiser = manifest.graphs.get("denoiser")
    for condition in manifest.conditions:
        faults += _encoder_faults(manifest, condition)
        if denoiser is not None:
            faults += _feed_faults(manifest, condition, denoiser)
    fed = {"x", "timestep", *(condition.feeds for condition in manifest.conditions)}
    accepted = {spec.name for spec in denoiser.inputs} if denoiser else set()
    faults += [f"graphs.denoiser.inputs.{name}: no condition feeds it." for name in sorted(accepted - fed)]
    return list(dict.fromkeys(faults))  # two conditions may share an encoder, and its faults


def _encoder_faults(manifest: Manifest, condition: ConditionSpec) -> Iterable[str]:
    role, where = condition.encoder, f"conditions.{condition.name}"
    encoder, source = manifest.graphs.get(role), SOURCES.get(condition.source)
    if source is None:
        yield f"{where}.source: found {condition.source!r}, expected one of: {', '.join(SOURCES)}."
        return
    if fault := source.fault(manifest):
        yield f"{where}: {fault}."
    if encoder is None:
        yield f"{where}: encoder {role} is not among the graphs."
        return
    if condition.feeds not in {spec.name for spec in encoder.outputs}:
        yield f"{where}: {role} has no output {condition.feeds}."
    expected = source.shapes(manifest)
    for name in sorted(expected.keys() - {spec.name for spec in encoder.inputs}):
        yield f"graphs.{role}.inputs: {name} is missing; the source {condition.source} gives {', '.join(expected)}."
    for spec in encoder.inputs:
        if spec.name not in expected:
            yield f"graphs.{role}.inputs.{spec.name}: the source {condition.source} gives {', '.join(expected)} only."
        elif spec.dtype != "float32" or spec.shape[1:] != expected[spec.name]:
            yield f"graphs.{role}.inputs.{spec.name}: {_text(spec)}, expected float32 {['N', *expected[spec.name]]}."


def _feed_faults(manifest: Manifest, condition: ConditionSpec, denoiser: GraphSpec) -> Iterable[str]:
    where, encoder = f"conditions.{condition.name}", manifest.graphs.get(condition.encoder)
    taken = next((spec for spec in denoiser.inputs if spec.name == condition.feeds), None)
    if taken is None:
        yield f"{where}: the denoiser has no input {condition.feeds}."
        return
    output = next((spec for spec in encoder.outputs if spec.name == condition.feeds), None) if encoder else None
    if output is not None and (output.dtype, output.shape) != (taken.dtype, taken.shape):
        yield (f"{where}: {condition.encoder} gives {condition.feeds} as {_text(output)}, the denoiser takes "
               f"{_text(taken)}.")
    axes, form = (3, "tokens, width") if condition.kind == "vector" else (2 + _axes(manifest), "channels, *spatial")
    if len(taken.shape) != axes:
        yield f"{where}: {condition.feeds} is {_text(taken)}; a {condition.kind} condition feeds (N, {form})."
    elif condition.null is not None:
        yield from _null_faults(condition, condition.null, taken.shape[1:])


def _null_faults(condition: ConditionSpec, null: Sequence[float], shape: Sequence[int | str]) -> Iterable[str]:
    sizes = [size for size in shape if isinstance(size, int)]
    if condition.kind == "vector" and len(null) != math.prod(sizes):
        yield (f"conditions.{condition.name}.null: {len(null)} values, expected the tokens of {condition.feeds}, which "
               f"are {' x '.join(map(str, shape))}.")
    if condition.kind == "spatial" and [len(null)] != sizes[:1]:
        yield (f"conditions.{condition.name}.null: {len(null)} values, expected one for each channel of "
               f"{condition.feeds}, which has {', '.join(map(str, sizes[:1])) or 'none'}.")
    if not all(map(math.isfinite, null)):
        yield f"conditions.{condition.name}.null: expected finite numbers."


def _axes(manifest: Manifest) -> int:
    """Spatial axes of the latent. Without a latent, which is reported elsewhere, those of the image."""
    return len(manifest.latent.shape if manifest.latent else manifest.image.shape)


def _text(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}"
