"""Checks that the parts of a manifest agree with each other. Types and presence are checked earlier, on reading."""

import math
from collections.abc import Iterable
from itertools import pairwise

from ..diffusion.guidance import guidance_faults
from ..files.names import is_plain_name, is_sha256
from .acquisition_spec import ROLE as ACQUISITION
from .conditions import condition_faults
from .latent_prior_spec import LatentPriorSpec
from .manifest import GraphSpec, Manifest, ScheduleSpec
from .outputs import output_faults
from .segmenter_spec import SegmenterSpec

_MOST_VALUES = 2**28  # of a tensor of one sample: 1 GiB in float32
_MOST_AXES = 8
_LARGEST_BATCH = 4096
_SPACINGS_MM = (1e-3, 1e3)
_LARGEST_SEED = 2**63 - 1
_REQUIRED_GRAPHS = {"generator": ("denoiser", "decoder"), "segmenter": ("segmenter",), "anatomy": ("decoder",)}
_KINDS = {"generator": "a generator", "segmenter": "a segmenter", "anatomy": "an anatomy"}
_REQUIRED_SECTIONS = {"generator": ("latent", "schedule", "sampling"), "segmenter": ("segmenter",),
                      "anatomy": ("latent_prior",)}
# Inputs and outputs that the runtime feeds and reads by these names; a graph may have more. The inputs of the
# conditions' encoders follow from the conditions.
_TENSORS = {
    "denoiser": (("x", "timestep"), ("prediction",)),
    "decoder": (("latent",), ()),  # its output: `outputs.py`
    "encoder": (("image",), ("latent",)),
    "segmenter": (("image",), ("logits",)),
    "features": (("image",), ("features",)),
    ACQUISITION: (("image",), ("acquired",)),
}
_ANATOMY_TENSORS = {"decoder": (("z",), ("logits",))}  # for bundles that draw label maps


def consistency_faults(manifest: Manifest) -> list[str]:
    """All contradictions in the manifest, one line each; empty for a valid one."""
    faults = [*_file_faults(manifest), *_section_faults(manifest), *_image_faults(manifest), *_label_faults(manifest)]
    for role, graph in manifest.graphs.items():
        tensors = _ANATOMY_TENSORS if manifest.kind == "anatomy" else _TENSORS
        faults += _graph_faults(role, graph, tensors.get(role, ((), ())))
    faults += output_faults(manifest)
    if manifest.schedule:
        faults += _schedule_faults(manifest.schedule)
    faults += [*condition_faults(manifest), *_sampling_faults(manifest), *_attribute_faults(manifest)]
    if manifest.segmenter:
        faults += _segmenter_faults(manifest.segmenter, manifest)
    if manifest.latent_prior:
        faults += _latent_prior_faults(manifest.latent_prior, manifest)
    return faults + _acquisition_faults(manifest) + _tolerance_faults(manifest)


def _file_faults(manifest: Manifest) -> Iterable[str]:
    for file, digest in manifest.files().items():
        if not is_plain_name(file) or file == "manifest.json":
            yield f"file {file!r}: expected a plain file name inside the bundle folder."
        if not is_sha256(digest):
            yield f"file {file!r}: sha256 {digest!r} is not 64 lower-case hexadecimal digits."


def _section_faults(manifest: Manifest) -> Iterable[str]:
    for role in _REQUIRED_GRAPHS[manifest.kind]:
        if role not in manifest.graphs:
            yield f"graphs.{role}: missing; {_KINDS[manifest.kind]} needs it."
    for name in _REQUIRED_SECTIONS[manifest.kind]:
        if getattr(manifest, name) is None:
            yield f"{name}: missing; {_KINDS[manifest.kind]} needs it."


def _image_faults(manifest: Manifest) -> Iterable[str]:
    image, latent = manifest.image, manifest.latent
    if len(image.shape) != len(image.layout) - 2:
        yield f"image.shape: {list(image.shape)} does not fit the layout {image.layout}."
    if not _is_size((image.channels, *image.shape)):
        yield (f"image: {image.channels} channels of {list(image.shape)}, expected positive integers and at most "
               f"{_MOST_VALUES} values.")
    if len(image.spacing_mm) != len(image.shape) or not _are_spacings(image.spacing_mm):
        yield (f"image.spacing_mm: {list(image.spacing_mm)}, expected a number from {_SPACINGS_MM[0]:g} to "
               f"{_SPACINGS_MM[1]:g} for each axis of image.shape.")
    if image.value_range[0] >= image.value_range[1]:
        yield f"image.value_range: {list(image.value_range)} is empty."
    if not 0 <= image.normalisation.low < image.normalisation.high <= 100:
        yield "image.normalisation: expected 0 <= low < high <= 100 (percentiles)."
    if latent and not (len(latent.mean) == len(latent.std) == latent.channels and min(latent.std, default=0) > 0):
        yield f"latent: expected {latent.channels} values in mean, and as many positive ones in std."


def _are_spacings(spacing_mm: Iterable[float]) -> bool:
    return all(_SPACINGS_MM[0] <= value <= _SPACINGS_MM[1] for value in spacing_mm)


def _is_size(shape: Iterable[int | str]) -> bool:
    """Whether one sample of that shape fits in memory: positive sizes, and a bounded number of values."""
    every = tuple(shape)
    sizes = [size for size in every if isinstance(size, int)]
    return (len(every) <= _MOST_AXES and all(1 <= size <= _MOST_VALUES for size in sizes)
            and math.prod(sizes) <= _MOST_VALUES)


def _label_faults(manifest: Manifest) -> Iterable[str]:
    count = len(manifest.labels.names)
    if count < 2 or len(set(manifest.labels.names)) != count:
        yield "labels.names: expected at least two different names, the background first."
    for region, values in manifest.labels.regions.items():
        if not values or any(not 0 <= value < count for value in values):
            yield f"labels.regions.{region}: {list(values)} holds no label, or one outside 0..{count - 1}."


def _graph_faults(role: str, graph: GraphSpec, needed: tuple[tuple[str, ...], tuple[str, ...]]) -> Iterable[str]:
    for side, specs in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        names = [spec.name for spec in specs]
        if not names or len(set(names)) != len(names):
            yield f"graphs.{role}.{side}: expected at least one tensor, and no name twice."
        for spec in specs:
            symbols = {size for size in spec.shape if isinstance(size, str)}
            if not spec.shape or symbols - {"N"} or not _is_size(spec.shape):
                yield (f'graphs.{role}.{side}.{spec.name}: shape {list(spec.shape)}; expected positive integers and '
                       f'"N", and at most {_MOST_VALUES} values for each sample.')
            if spec.range and spec.range[0] > spec.range[1]:
                yield f"graphs.{role}.{side}.{spec.name}: range {list(spec.range)} is empty."
    for side, specs, expected in (("inputs", graph.inputs, needed[0]), ("outputs", graph.outputs, needed[1])):
        for name in set(expected) - {spec.name for spec in specs}:
            yield f"graphs.{role}.{side}: {name} is missing."


def _schedule_faults(schedule: ScheduleSpec) -> Iterable[str]:
    numbers = schedule.alphas_cumprod
    if len(numbers) != schedule.train_timesteps or not numbers:
        yield f"schedule.alphas_cumprod: {len(numbers)} numbers, train_timesteps says {schedule.train_timesteps}."
    elif not numbers[0] < 1 or not numbers[-1] >= 0 or any(late >= early for early, late in pairwise(numbers)):
        yield "schedule.alphas_cumprod: expected numbers that fall strictly from below 1 to 0 or more."
    elif schedule.prediction_type == "epsilon" and numbers[-1] == 0:
        yield ("schedule.alphas_cumprod: reaches 0, where epsilon does not determine the clean image. Use v, sample "
               "or flow.")


def _sampling_faults(manifest: Manifest) -> Iterable[str]:
    sampling, schedule = manifest.sampling, manifest.schedule
    if sampling is None or schedule is None:
        return
    if not 1 <= sampling.steps <= schedule.train_timesteps:
        yield f"sampling.steps: {sampling.steps} is outside 1..{schedule.train_timesteps}."
    if not 1 <= sampling.batch_size <= _LARGEST_BATCH:
        yield f"sampling.batch_size: {sampling.batch_size} is outside 1..{_LARGEST_BATCH}."
    if not 0 <= sampling.eta <= 1:
        yield f"sampling.eta: {sampling.eta} is outside 0..1."
    yield from (f"sampling.{fault}" for fault in guidance_faults(sampling.guidance, sampling.guidance_interval))
    if sampling.guidance != 1 and not manifest.can_guide:
        yield f"sampling.guidance = {sampling.guidance:g}: needs a null in every condition."
    if manifest.distilled and (sampling.guidance != 1 or manifest.can_guide):
        yield "distilled: its guidance is part of the denoiser; expected sampling.guidance 1 and no null condition."


def _attribute_faults(manifest: Manifest) -> Iterable[str]:
    names = [spec.name for spec in manifest.attributes]
    if len(set(names)) != len(names):
        yield "attributes: a name occurs twice."
    for spec in manifest.attributes:
        if spec.low >= spec.high or spec.std <= 0:
            yield f"attributes.{spec.name}: expected low < high and std > 0."
    distribution = manifest.attribute_distribution
    if distribution and any(len(row) != len(distribution.columns) for row in distribution.rows):
        yield f"attribute_distribution.rows: expected {len(distribution.columns)} values in each row, one a column."


def _segmenter_faults(spec: SegmenterSpec, manifest: Manifest) -> Iterable[str]:
    yield from spec.faults()
    if not _is_size((len(spec.label_values), *spec.patch_size)) or not _are_spacings(spec.spacing_mm):
        yield (f"segmenter: patch_size {list(spec.patch_size)} of {list(spec.spacing_mm)} mm; expected at most "
               f"{_MOST_VALUES} logits for each patch, and {_SPACINGS_MM[0]:g} to {_SPACINGS_MM[1]:g} mm.")
    if spec.axes != len(manifest.image.shape):
        yield f"segmenter.kind: {spec.kind} takes {spec.axes} axes, image.shape has {len(manifest.image.shape)}."
    if len(spec.normalisation) != manifest.image.channels:
        yield f"segmenter.normalisation: {len(spec.normalisation)} entries for {manifest.image.channels} channels."
    if any(not 0 <= value < len(manifest.labels.names) for value in spec.label_values):
        yield f"segmenter.label_values: {list(spec.label_values)} holds a value that labels.names does not define."


def _latent_prior_faults(prior: LatentPriorSpec, manifest: Manifest) -> Iterable[str]:
    yield from prior.faults(len(manifest.attributes))
    decoder = manifest.graphs.get("decoder")
    expected: dict[str, tuple[int, ...]] = {
        "z": (prior.dimensions,), "logits": (len(manifest.labels.names), *manifest.image.shape)}
    for spec in (*decoder.inputs, *decoder.outputs) if decoder else ():
        if spec.name in expected and (spec.dtype, spec.shape[1:]) != ("float32", expected[spec.name]):
            yield (f"graphs.decoder: {spec.name} is {spec.dtype} {list(spec.shape)}, expected float32 "
                   f"{['N', *expected[spec.name]]}.")


def _acquisition_faults(manifest: Manifest) -> list[str]:
    graph, spec = manifest.graphs.get(ACQUISITION), manifest.acquisition
    if graph is None and spec is None:
        return []
    if graph is None or spec is None or manifest.kind != "generator":
        return ["acquisition: expected a generator with both the section and the graph of that name."]
    inputs = {each.name: each for each in graph.inputs}
    return [*spec.faults(), *(
        f"graphs.{ACQUISITION}.inputs.{value.input}: expected float32 ['N'], the number for {value.name}."
        for value in spec.values if value.input not in inputs or inputs[value.input].shape != ("N",))]


def _tolerance_faults(manifest: Manifest) -> list[str]:
    if not 0 <= manifest.reference.seed <= _LARGEST_SEED:
        return [f"reference.seed: {manifest.reference.seed} is outside 0..{_LARGEST_SEED}."]
    return [f"reference.tolerances.{key}: {value}, expected 0 or more."
            for key, value in manifest.reference.tolerances.items() if value < 0]
