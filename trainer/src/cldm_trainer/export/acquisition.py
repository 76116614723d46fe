"""The last graph of a generator: its network, and what its decoder leaves for it to do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from cldm_runtime.bundle.acquisition_spec import AcquisitionSpec

from ..networks import Encoder
from ..networks.scanner import INPUTS, AcquisitionGraph
from ..stages.acquisition import residual_noise
from ..training.batches import in_batches

_BATCH = 16
MEANINGS = {
    "image": "image in image.value_range, without noise",
    "thermal_noise": "independent standard normal numbers: noise of each coefficient of the cosine transform",
    **{name: f"standard normal numbers, which decide {name.removesuffix('_score')} of the scan" for name in INPUTS},
}


@torch.no_grad()
def acquisition_graph(spec: AcquisitionSpec, decoder: nn.Module, encoder: Encoder, images: Tensor,
                      spacing_mm: Sequence[float]) -> AcquisitionGraph:
    """The graph for a decoder. images (N, C, *spatial): slices of the cohort, whose reconstructions show how much noise
    the decoder's own images have; that much less is added. No less can be requested than that, or than the cohort's
    stillest slices have."""
    decoded = []
    for part in in_batches(len(images), _BATCH):
        latent = encoder.affine.standardise(encoder.codec.encode(2.0 * images[part] - 1.0)[0])
        decoded.append(decoder(latent))
    residual = residual_noise(torch.cat(decoded).double().numpy(), spec, tuple(spacing_mm))
    usual = spec.values[0]
    low = max(residual, usual.values[0])
    first = replace(usual, low=low, high=max(usual.high or 0.0, 2.0 * low))
    spec = replace(spec, residual_noise=residual, values=(first, *spec.values[1:]))
    return AcquisitionGraph(spec, images.shape[2:], spacing_mm).eval()


def example_numbers(graph: AcquisitionGraph, image: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
    """Random numbers for the graph's inputs besides the image."""
    channels = image.shape[1] * (2 if graph.scanner.magnitude else 1)
    noise = torch.randn((len(image), channels, *image.shape[2:]), generator=generator)
    return {"thermal_noise": noise, **{name: torch.randn(len(image), generator=generator) for name in INPUTS}}
