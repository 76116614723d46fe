"""reference.npz of a generator: what torch computes for a few drawn anatomies, graph by graph and as a whole loop.

No image of a patient goes into it: the label maps are drawn by the domain's anatomy, or are ellipsoids where it has
none, and the images are samples.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cldm_runtime.bundle.acquisition_spec import ROLE as ACQUISITION
from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.manifest import GraphSpec, ImageSpec, Manifest
from cldm_runtime.bundle.outputs import output_of
from cldm_runtime.bundle.reference import Reference, ReferenceCase
from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.generation.pipeline import Pipeline, decoder_noise, initial_noise, scan_noise
from cldm_runtime.noise import Purpose, Stream, normals

SEED = 20240
SAMPLES = 2  # of slices; of volumes, which are large files, one
_GREYS = 256  # of drawn images, so that the file packs them

Arrays = dict[str, NDArray[Any]]


class TorchEngine:
    """A torch module instead of an engine, so that the runtime's own pipeline computes torch's answer.

    It computes in double precision and returns single precision: the values that other machines are compared with
    should have no rounding error.
    """

    provider = "torch"

    def __init__(self, module: nn.Module, graph: GraphSpec) -> None:
        self._module, self._graph = copy.deepcopy(module).double(), graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Named inputs to named outputs, as every engine does."""
        tensors = [torch.from_numpy(inputs[spec.name].astype(np.float64)) for spec in self._graph.inputs]
        with torch.no_grad():
            return {self._graph.outputs[0].name: self._module(*tensors).float().numpy()}


def make_reference(manifest: Manifest, modules: Mapping[str, nn.Module], domain: Domain) -> Reference:
    """Run `SAMPLES` drawn anatomies, or one of volumes, through the torch modules, with the manifest's own sampling
    settings."""
    samples = SAMPLES if len(manifest.image.shape) == 2 else 1
    engines = {role: TorchEngine(modules[role], graph) for role, graph in manifest.graphs.items()}
    pipeline = Pipeline(manifest, engines)
    indices, sampling = np.arange(samples), manifest.sampling
    assert sampling is not None  # the manifest of a generator was checked
    sources = draw_sources(manifest, domain, SEED, samples)
    batch = pipeline.sample(sources, pipeline.plan(sampling), SEED, indices)
    x = initial_noise(manifest.graphs["denoiser"], SEED, indices)
    noise = decoder_noise(manifest.graphs["decoder"], SEED, indices)
    steps = np.linspace(0.5, 1.0, samples) * (len(pipeline.schedule.alphas_cumprod) - 1)
    inputs: dict[str, Arrays] = {
        "denoiser": {"x": x, "timestep": steps.round().astype(np.float32), **pipeline.encode(sources)},
        "decoder": {"latent": batch.latent, **noise},
        "encoder": {"image": batch.image, "posterior_noise": np.zeros_like(batch.latent)},
    }
    for condition in manifest.conditions:
        taken = manifest.graphs[condition.encoder].inputs
        inputs[condition.encoder] = {spec.name: sources[spec.name] for spec in taken}
    scan = scan_noise(manifest, SEED, indices)
    if scan:
        decoded = engines["decoder"].run({"latent": batch.latent, **noise})["image"]
        inputs[ACQUISITION] = {"image": decoded, **scan}
    cases = {role: ReferenceCase(inputs[role], engine.run(inputs[role])) for role, engine in engines.items()}
    drawn = {"latent": batch.latent, output_of(manifest).tensor: batch.image}
    loop = ReferenceCase({"x": x, **sources, **noise, **scan}, drawn)
    return Reference(cases, loop, sampling.steps)


def draw_sources(manifest: Manifest, domain: Domain, seed: int, count: int) -> Arrays:
    """`count` drawn label maps with their attributes, as the inputs of the manifest's conditions. What a slice cannot
    tell is as it was requested."""
    shape, masks, requests = manifest.image.shape, [], []
    for index in range(count):
        request: Mapping[str, float] = {}
        stream = Stream(seed, index, Purpose.ANATOMY)
        if domain.anatomy is None:
            masks.append(draw_ellipsoids(len(domain.labels), shape, stream))
        else:
            request = domain.anatomy.complete({}, Stream(seed, index, Purpose.CONDITION))
            spacing = manifest.image.spacing_mm
            masks.append(domain.anatomy.draw(request, stream, shape=shape, spacing_mm=spacing).labels)
        requests.append([request.get(name, np.nan) for name in domain.attribute_names])
    labels = np.stack(masks)
    measured = domain.measure(labels, manifest.image.spacing_mm)
    values = np.where(measured.reasons == Reason.NEEDS_STACK, np.array(requests), measured.values)
    known = {spec.name: spec.mean for spec in manifest.attributes}
    usual = np.array([[known.get(name, np.nan) for name in domain.image_attribute_names]] * count)
    given = np.concatenate([values, usual], axis=1) if domain.image_attributes else values
    others = {name: draw(labels, manifest.image, seed) for name, draw in _DRAWN.items() if name in manifest.sources}
    return {**encoder_inputs(manifest, domain, labels, given.astype(np.float32), others)}


def draw_images(labels: LabelMap, image: ImageSpec, seed: int) -> NDArray[np.float32]:
    """(N, C, *spatial) images without anatomy: label maps as grey values, with noise, in the value range."""
    low, high = image.value_range
    shape = (image.channels, *image.shape)
    noise = normals(seed, np.arange(len(labels)), Purpose.CONDITION, shape)
    shares: NDArray[np.float64] = np.rint(np.clip(0.2 * labels[:, None] + 0.05 * noise, 0.0, 1.0) * (_GREYS - 1))
    shares /= _GREYS - 1
    return (low + (high - low) * shares).astype(np.float32)


def draw_paintings(labels: LabelMap, image: ImageSpec, seed: int) -> NDArray[np.float32]:
    """(N, C + 1, *spatial) such images, and as the region to be painted all that has a label."""
    region = (labels > 0).astype(np.float32)[:, None]
    return np.concatenate([draw_images(labels, image, seed), region], axis=1)


_DRAWN = {"images": draw_images, "paintings": draw_paintings}


def draw_ellipsoids(classes: int, shape: tuple[int, ...], stream: Stream) -> LabelMap:
    """A (*spatial) label map without anatomy: an ellipsoid of each label, later ones over earlier ones."""
    labels = np.zeros(shape, np.uint8)
    grid = np.ogrid[tuple(slice(size) for size in shape)]
    for value in range(1, classes):
        centre, radius = 0.25 + 0.5 * stream.uniforms(len(shape)), 0.1 + 0.2 * stream.uniforms(len(shape))
        scaled = [((axis + 0.5) / size - c) / r for axis, size, c, r in zip(grid, shape, centre, radius, strict=True)]
        labels[sum(offset**2 for offset in scaled) < 1.0] = value
    return labels


def tolerances(reference: Reference, graph: float, loop: float) -> dict[str, float]:
    """The same tolerance for every graph's output, another one for the loop's."""
    loop_outputs = reference.loop.outputs if reference.loop else {}
    return {f"{role}/{name}": graph for role, case in reference.graphs.items() for name in case.outputs} | {
        f"loop/{name}": loop for name in loop_outputs
    }
