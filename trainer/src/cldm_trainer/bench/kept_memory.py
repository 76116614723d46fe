"""What a training step keeps in memory, counted without computing it: networks on torch's meta device have shapes and
no values."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..conditions.kind import Design
from ..conditions.models import make_model
from ..networks import Conditioned, make_image_codec

_MEBI = 2**20
_COPIES = 4  # of each learned weight beside itself: gradient, two moments of AdamW, moving average


@dataclass(frozen=True)
class KeptMemory:
    """In single precision. activations_mib: of one sample, what the backward pass needs. weights_mib: weights, and of
    those that learn also gradients, moments and averages."""

    activations_mib: float
    weights_mib: float


def codec_memory(design: Design, channels: int) -> KeptMemory:
    """Of a step of the image codec, for samples with that number of channels."""
    with torch.device("meta"):
        codec = make_image_codec(design.codecs.image, channels, design.dims).train()
        sample = torch.empty(1, channels, *design.shape)
        noise = torch.empty(1, design.codecs.image.latent_channels, *_latent_shape(design))
        return kept_memory(codec, lambda: codec(sample, noise))


def denoiser_memory(design: Design) -> KeptMemory:
    """Of a step of the denoiser without a condition, or of a ControlNet on images at a frozen one."""
    with torch.device("meta"):
        model, timestep = make_model(design).train(), torch.zeros(1)
        latent = torch.empty(1, design.codecs.image.latent_channels, *_latent_shape(design))
        if not isinstance(model, Conditioned):
            return kept_memory(model, lambda: model(latent, timestep))
        model.denoiser.unet.requires_grad_(False)
        image = torch.empty(1, design.control.image_channels, *design.shape)
        return kept_memory(model, lambda: model(latent, timestep, image))


def kept_memory(module: nn.Module, call: Callable[[], object]) -> KeptMemory:
    """What `call`, which runs the module once, keeps for its backward pass, each tensor once; weights do not count as
    activations. What is computed again in the backward pass is not kept."""
    parameters = list(module.parameters())
    weights = {_place(parameter) for parameter in parameters}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _place(tensor) not in weights:
            kept[_place(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    values = sum(parameter.numel() * (1 + _COPIES * parameter.requires_grad) for parameter in parameters)
    activations = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return KeptMemory(activations / _MEBI, 4 * values / _MEBI)


def _place(tensor: Tensor) -> int:
    """The same for views of one memory, which on the meta device has no address."""
    return int(tensor.untyped_storage()._cdata)


def _latent_shape(design: Design) -> list[int]:
    return [size // design.codecs.image.stride for size in design.shape]
