"""Trained codecs, texture and denoiser to a generator bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cldm_runtime.bundle import Bundle
from cldm_runtime.domain import get_domain
from cldm_runtime.manifest import TensorSpec
from cldm_runtime.schedule import NoiseSchedule

from ..config import Config
from ..networks import Affine, Denoiser, Encoder, MaskEncoder, TexturedDecoder
from . import reference as reference_case
from .bundle_writer import GraphFile, Reference, draft_manifest, refuse_to_overwrite, write_bundle
from .graphs import BATCH, export_graph, trace
from .manifest_sections import Training, generator_sections
from .model_card import generator_card
from .parity import Parity, as_table, compare_graph, compare_reference, require
from .quality import measure_generator

PARITY_SLICES = 8  # about: real slices that every graph is compared on
LOOP_FACTOR = 10  # rounding adds up over the steps of a whole run, so it may be that many times a graph's tolerance
_ELSEWHERE_FACTOR = 5  # what another machine or provider may add to the tolerance at export


@dataclass(frozen=True)
class Networks:
    """Everything that a generator bundle holds, in evaluation mode on the CPU. Latents are standardised."""

    denoiser: Denoiser
    mask_encoder: MaskEncoder
    decoder: TexturedDecoder
    encoder: Encoder

    @property
    def affine(self) -> Affine:
        """Standardisation of the image's latents."""
        return self.decoder.affine

    def modules(self) -> dict[str, nn.Module]:
        """By graph role."""
        return {
            "denoiser": self.denoiser,
            "mask_encoder": self.mask_encoder,
            "decoder": self.decoder,
            "encoder": self.encoder,
        }


@dataclass(frozen=True)
class GeneratorExport:
    """What is exported: networks, the noise schedule that they were trained with, and facts about the training."""

    config: Config
    networks: Networks
    schedule: NoiseSchedule
    training: Training
    torchscript: bool = False

    def write(self, target: Path, *, force: bool = False) -> Path:
        """Write the bundle. Raises ParityError, and writes nothing, where a graph or the loop differs from torch."""
        refuse_to_overwrite(target, force=force)
        examples = self.example_inputs()
        graphs = [self._graph(role, examples["random"][role]) for role in self.networks.modules()]
        affine = self.networks.affine
        null = self.networks.denoiser.null
        sections = generator_sections(self.config, affine, self.latent_shape, self.schedule, self.training,
                                      None if null is None else null.tolist())
        tolerance = self.config.export.parity_tolerance
        domain = get_domain(self.config.cohort.domain)
        draft = draft_manifest(sections, graphs, reference_case.SEED)
        expected = reference_case.make_reference(draft, self.networks.modules(), domain)
        allowed = reference_case.tolerances(
            expected, _ELSEWHERE_FACTOR * tolerance, _ELSEWHERE_FACTOR * LOOP_FACTOR * tolerance
        )
        reference = Reference(expected.to_arrays(), reference_case.SEED, allowed)

        def check(bundle: Bundle) -> Mapping[str, Any]:
            found = self.compare(bundle, examples)
            require(found)
            images, labels = self.training.images.numpy(), self.training.one_hot.argmax(1).to(torch.uint8).numpy()
            measured = measure_generator(bundle, Path(self.config.export.segmenter), images, labels)
            return {"parity": as_table(found), "validation": dict(self.training.validation), "measured": measured}

        return write_bundle(target, sections, graphs, reference, generator_card, check=check, force=force)

    def compare(self, bundle: Bundle, examples: Mapping[str, Mapping[str, Mapping[str, Tensor]]]) -> list[Parity]:
        """Every graph on random and real inputs, and the reference with the whole loop."""
        tolerance, found = self.config.export.parity_tolerance, []
        for role, module in self.networks.modules().items():
            cases = {kind: by_role[role] for kind, by_role in examples.items()}
            found += compare_graph(bundle, role, module, cases, tolerance)
        return found + compare_reference(bundle, tolerance, LOOP_FACTOR * tolerance)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        stride = self.networks.encoder.codec.stride
        return tuple(size // stride for size in self.config.prepare.shape)

    @torch.no_grad()
    def example_inputs(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """Inputs of every graph: kind -> role -> tensor name -> tensor, in the order of `forward`."""
        spread = slice(None, None, max(1, len(self.training.images) // PARITY_SLICES))
        images, one_hot = self.training.images[spread], self.training.one_hot[spread]
        generator = torch.Generator().manual_seed(0)
        n = len(images)
        affine = self.networks.affine
        latent = affine.standardise(self.networks.encoder.codec.encode(2.0 * images - 1.0)[0])
        mask_latent = self.networks.mask_encoder(one_hot)
        steps = torch.linspace(0, len(self.schedule.alphas_cumprod) - 1, n).round()
        texture = torch.randn(images.shape, generator=generator)
        posterior = torch.randn(latent.shape, generator=generator)

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator)

        def inputs(image: Tensor, mask: Tensor, z: Tensor, condition: Tensor) -> dict[str, dict[str, Tensor]]:
            return {
                "denoiser": {"x": z, "timestep": steps, "mask_latent": condition},
                "mask_encoder": {"one_hot": mask},
                "decoder": {"latent": z, "texture_noise": texture},
                "encoder": {"image": image, "posterior_noise": posterior},
            }

        uniform = torch.rand(images.shape, generator=generator)
        random_labels = torch.randint(0, one_hot.shape[1], (n, *one_hot.shape[2:]), generator=generator)
        random_mask = torch.nn.functional.one_hot(random_labels, one_hot.shape[1]).permute(0, 3, 1, 2).float()
        return {
            "random": inputs(uniform, random_mask, noise(latent), noise(mask_latent)),
            "real": inputs(images, one_hot, latent, mask_latent),
        }

    def _graph(self, role: str, inputs: Mapping[str, Tensor]) -> GraphFile:
        module = self.networks.modules()[role]
        with torch.no_grad():
            shape = module(*inputs.values()).shape
        name, meaning, limits = _OUTPUTS[role]
        return GraphFile(
            role,
            export_graph(module, inputs, [name]),
            tuple(_describe(tensor, value.shape, *_INPUTS[role][tensor]) for tensor, value in inputs.items()),
            (_describe(name, shape, meaning, limits),),
            torchscript=trace(module, inputs) if self.torchscript else None,
        )


Limits = tuple[float, float] | None
_LATENT = "standardised latent of the image codec"
_INPUTS: dict[str, dict[str, tuple[str, Limits]]] = {
    "denoiser": {
        "x": (f"noisy {_LATENT}: alpha * x0 + sigma * noise", None),
        "timestep": ("training step, 0 to train_timesteps - 1, as a number", None),
        "mask_latent": ("output of mask_encoder", None),
    },
    "mask_encoder": {"one_hot": ("label map, one channel for each of labels.names, 0 or 1", (0.0, 1.0))},
    "decoder": {
        "latent": (_LATENT, None),
        "texture_noise": ("independent standard normal numbers; zeros give the mean image", None),
    },
    "encoder": {
        "image": ("image in image.value_range", (0.0, 1.0)),
        "posterior_noise": ("independent standard normal numbers; zeros give the mean latent", None),
    },
}
_OUTPUTS: dict[str, tuple[str, str, Limits]] = {
    "denoiser": ("prediction", "what schedule.prediction_type says", None),
    "mask_encoder": ("mask_latent", "mean of the standardised latent of the mask codec", None),
    "decoder": ("image", "image in image.value_range: a draw of the decoder's distribution", (0.0, 1.0)),
    "encoder": ("latent", f"a draw of the {_LATENT}", None),
}


def _describe(name: str, shape: torch.Size, meaning: str, limits: Limits) -> TensorSpec:
    return TensorSpec(name, "float32", (BATCH, *shape[1:]), meaning, limits)
