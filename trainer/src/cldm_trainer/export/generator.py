"""Trained codecs, texture and denoiser to a generator bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cldm_runtime.bundle.acquisition_spec import ROLE as ACQUISITION
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import TensorSpec
from cldm_runtime.bundle.outputs import IMAGE, LABELS, Output
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.files.records import plain

from ..conditions.facts import ConditionFacts
from ..conditions.registry import condition_facts
from ..conditions.sources import SOURCES, Limits
from ..graphs.write import BATCH, export_graph, trace
from ..networks import Affine, Denoiser, Encoder, LabelDecoder, PlainDecoder, TexturedDecoder
from ..networks.scanner import AcquisitionGraph
from ..networks.small import SmallTexturedDecoder
from ..networks.spade import SpadeGenerator
from . import reference as reference_case
from .acquisition import MEANINGS, example_numbers
from .bundle_writer import GraphFile, Picture, ReferenceFile, draft_manifest, refuse_to_overwrite, write_bundle
from .manifest_sections import TrainingFacts, generator_sections
from .model_card import generator_card
from .parity import GraphParity, as_table, compare_graph, compare_reference, require
from .quality import measure_generator
from .rounding import rounded, rounding_figures
from .settings import BundleSettings

PARITY_SLICES = 8  # about: slices of the cohort that every graph is compared on
LOOP_FACTOR = 10  # rounding adds up over the steps of a whole run, so it may be that many times a graph's tolerance
_ELSEWHERE_FACTOR = 5  # what another machine or provider may add to the tolerance at export

Examples = dict[str, dict[str, dict[str, Tensor]]]
"""Inputs of every graph: kind -> role -> tensor name -> tensor."""


@dataclass(frozen=True)
class Networks:
    """Everything that a generator bundle holds, in evaluation mode on the CPU. Latents are standardised."""

    denoiser: Denoiser | SpadeGenerator
    condition_encoder: nn.Module | None  # from what is given to what the denoiser takes; None: no condition
    decoder: TexturedDecoder | SmallTexturedDecoder | LabelDecoder | PlainDecoder
    encoder: Encoder
    acquisition: AcquisitionGraph | None = None  # None: the decoder draws the noise

    @property
    def condition(self) -> ConditionFacts | None:
        """None for a denoiser that draws label maps freely. Raises InputError for one of images without a condition."""
        if self.condition_encoder is None and self.output is LABELS:
            return None
        facts = condition_facts(self.denoiser.condition)
        return facts.in_pixels() if isinstance(self.decoder, PlainDecoder) else facts

    @property
    def output(self) -> Output:
        """What the decoder gives."""
        return LABELS if isinstance(self.decoder, LabelDecoder) else IMAGE

    @property
    def affine(self) -> Affine:
        """Standardisation of the latents of what is drawn."""
        return self.encoder.affine

    def modules(self) -> dict[str, nn.Module]:
        """By graph role. A bundle that draws label maps is given none to encode."""
        modules: dict[str, nn.Module] = {"denoiser": self.denoiser}
        if self.condition is not None and self.condition_encoder is not None:
            modules[self.condition.encoder] = self.condition_encoder
        modules["decoder"] = self.decoder
        if self.acquisition is not None:
            modules[ACQUISITION] = self.acquisition
        return modules | ({"encoder": self.encoder} if self.output is IMAGE else {})

    def rounded(self, stored: str) -> "Networks":
        """Copies with large weights rounded for storage as "fp16" or "int8"; the denoiser's alone in int8, since the
        others are small and run once. The scanner's graph holds tables and no weights."""
        others = "fp16" if stored == "int8" else stored
        encoder = self.condition_encoder
        return replace(self, denoiser=rounded(self.denoiser, stored), decoder=rounded(self.decoder, others),
                       condition_encoder=None if encoder is None else rounded(encoder, others),
                       encoder=rounded(self.encoder, others))


@dataclass(frozen=True)
class GeneratorExport:
    """What is exported: networks, the noise schedule that they were trained with, and facts about the training."""

    settings: BundleSettings
    networks: Networks
    schedule: NoiseSchedule
    training: TrainingFacts
    torchscript: bool = True
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)  # of the manifest, instead of the usual ones
    say: Callable[[str], object] = len  # gets what is being done

    def write(self, target: Path, *, force: bool = False) -> Path:
        """Write the bundle. Raises ParityError, and writes nothing, where a graph or the loop differs from torch, or
        where the storage of weights changes too much."""
        refuse_to_overwrite(target, force=force)
        examples, stored = self.example_inputs(), self.settings.export.weights
        if stored == "fp32":
            return self._write(target, examples, {}, force=force)
        self.say(f"measuring what weights in {stored} change")
        small = self.networks.rounded(stored)
        change = rounding_figures(stored, self.networks.modules(), small.modules(), examples["cohort"])
        return replace(self, networks=small)._write(target, examples, {"rounding": change}, force=force)

    def _write(self, target: Path, examples: Examples, quality: Mapping[str, Any], *, force: bool) -> Path:
        """quality: figures that were measured before."""
        self.say("writing the graphs")
        graphs = [self.graph(role, examples["random"][role]) for role in self.networks.modules()]
        affine = self.networks.affine
        null, facts = self.networks.denoiser.null, self.networks.condition
        conditions = [] if facts is None else [facts.section(None if null is None else null.flatten().tolist())]
        described = _FREE if facts is None else facts.description
        sections = generator_sections(self.settings, affine, self.latent_shape, self.schedule, self.training,
                                      described, conditions) | dict(self.sections)
        if self.networks.output is LABELS:
            sections["output"] = LABELS.name
        if self.networks.acquisition is not None:
            sections["acquisition"] = plain(self.networks.acquisition.spec)
        tolerance = self.settings.export.parity_tolerance
        domain = self.settings.run.cohort.domain
        draft = draft_manifest(sections, graphs, reference_case.SEED)
        self.say("a whole sampling run in torch, as the reference")
        expected = reference_case.make_reference(draft, self.networks.modules(), domain)
        allowed = reference_case.tolerances(
            expected, _ELSEWHERE_FACTOR * tolerance, _ELSEWHERE_FACTOR * LOOP_FACTOR * tolerance
        )
        reference = ReferenceFile(expected.to_arrays(), reference_case.SEED, allowed)

        def check(bundle: Bundle) -> Mapping[str, Any]:
            parities = self.compare(bundle, examples)
            require(parities)
            measured = {} if self.networks.output is LABELS else self._measured(bundle)
            return {"parity": as_table(parities), "validation": dict(self.training.validation), "measured": measured,
                    **quality}

        return write_bundle(target, sections, graphs, reference, generator_card, check=check, pictures=self.pictures,
                            force=force)

    def _measured(self, bundle: Bundle) -> Mapping[str, float]:
        """Nothing where the configuration names no segmenter."""
        if not self.settings.export.segmenter:
            return {}
        self.say("measuring its images of the cohort's label maps")
        images, labels = self.training.images.numpy(), self.training.one_hot.argmax(1).to(torch.uint8).numpy()
        return measure_generator(bundle, Path(self.settings.export.segmenter), images, labels)

    def compare(self, bundle: Bundle, examples: Examples) -> list[GraphParity]:
        """Every graph on random inputs and on the cohort's, and the reference with the whole loop."""
        tolerance, parities = self.settings.export.parity_tolerance, []
        for role, module in self.networks.modules().items():
            self.say(f"comparing the graph {role} with torch")
            cases = {kind: by_role[role] for kind, by_role in examples.items()}
            parities += compare_graph(bundle, role, module, cases, tolerance)
        self.say("comparing a whole sampling run with torch")
        return parities + compare_reference(bundle, tolerance, LOOP_FACTOR * tolerance)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        stride = self.networks.encoder.codec.stride
        return tuple(size // stride for size in self.settings.run.cohort.shape)

    @torch.no_grad()
    def example_inputs(self) -> Examples:
        """Inputs of every graph: kind -> role -> tensor name -> tensor, in the order of `forward`."""
        facts, affine = self.networks.condition, self.networks.affine
        images = self.drawn()
        generator = torch.Generator().manual_seed(0)
        latent = affine.standardise(self.networks.encoder.codec.encode(2.0 * images - 1.0)[0])
        sources, random, condition = self._sources(generator)
        steps = torch.linspace(0, len(self.schedule.alphas_cumprod) - 1, len(images)).round()

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator)

        texture, posterior, graph = noise(images), noise(latent), self.networks.acquisition
        draws = graph is None and isinstance(self.networks.decoder, TexturedDecoder | SmallTexturedDecoder)
        grain = {"texture_noise": texture} if draws else {}
        numbers = example_numbers(graph, images, generator) if graph else {}

        def inputs(image: Tensor, encoded: dict[str, Tensor], z: Tensor,
                   fed: Tensor | None) -> dict[str, dict[str, Tensor]]:
            conditioned = {} if facts is None or fed is None else {facts.feeds: fed}
            return {
                "denoiser": {"x": z, "timestep": steps, **conditioned},
                **({} if facts is None else {facts.encoder: encoded}),
                "decoder": {"latent": z, **grain},
                **({ACQUISITION: {"image": image, **numbers}} if graph else {}),
                "encoder": {"image": image, "posterior_noise": posterior},
            }

        uniform = torch.rand(images.shape, generator=generator)
        return {
            "random": inputs(uniform, random, noise(latent), None if condition is None else noise(condition)),
            "cohort": inputs(images, sources, latent, condition),
        }

    def drawn(self) -> Tensor:
        """What the generator draws, (n, C, *spatial), of a few validation samples: images, or channels of label maps.
        """
        channels = self.settings.run.cohort.drawn_labels
        if channels is None:
            return self.training.images[self._spread]
        return torch.from_numpy(channels.encode(self.training.one_hot[self._spread].argmax(1).byte().numpy())).float()

    def _sources(self, generator: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None]:
        """Inputs of the condition's encoder, of the cohort and random ones, and what it makes of the cohort's."""
        facts, encoder = self.networks.condition, self.networks.condition_encoder
        if facts is None or encoder is None:
            return {}, {}, None
        source, part = SOURCES[facts.source], self._spread
        sources = source.from_cohort(self.training.one_hot[part], self.training.attributes, self.training.images[part])
        return sources, source.random(sources, generator), encoder(*sources.values())

    @property
    def _spread(self) -> slice:
        """About `PARITY_SLICES` of the validation slices."""
        return slice(None, None, max(1, len(self.training.images) // PARITY_SLICES))

    def graph(self, role: str, inputs: Mapping[str, Tensor]) -> GraphFile:
        """The network as it is written, from example inputs."""
        module = self.networks.modules()[role]
        with torch.no_grad():
            shape = module(*inputs.values()).shape
        facts, outputs, descriptions = self.networks.condition, dict(_OUTPUTS), dict(_INPUTS)
        if facts is not None:
            outputs[facts.encoder] = (facts.feeds, facts.meaning, None)
            descriptions[facts.encoder] = SOURCES[facts.source].tensors
            descriptions["denoiser"] = {**_INPUTS["denoiser"], facts.feeds: (f"output of {facts.encoder}", None)}
        if self.networks.output is LABELS:
            outputs["decoder"] = (LABELS.tensor, _CHANNELS, (0.0, 1.0))
        name, meaning, limits = outputs[role]
        return GraphFile(
            role,
            export_graph(module, inputs, [name]),
            tuple(_describe(tensor, value.shape, *descriptions[role][tensor]) for tensor, value in inputs.items()),
            (_describe(name, shape, meaning, limits),),
            torchscript=trace(module, inputs) if self.torchscript else None,
        )


_FREE = "Label maps without a condition: latent diffusion."
_CHANNELS = "one channel for each region where regions are nested, else for each label; 1 inside"
_LATENT = "standardised latent of the codec of what is drawn"
_INPUTS: dict[str, Mapping[str, tuple[str, Limits]]] = {
    "denoiser": {
        "x": (f"noisy {_LATENT}: alpha * x0 + sigma * noise", None),
        "timestep": ("training step, 0 to train_timesteps - 1, as a number", None),
    },
    "decoder": {
        "latent": (_LATENT, None),
        "texture_noise": ("independent standard normal numbers; zeros give an image without grain", None),
    },
    ACQUISITION: {name: (meaning, (0.0, 1.0) if name == "image" else None) for name, meaning in MEANINGS.items()},
    "encoder": {
        "image": ("image in image.value_range", (0.0, 1.0)),
        "posterior_noise": ("independent standard normal numbers; zeros give the mean latent", None),
    },
}
_OUTPUTS: dict[str, tuple[str, str, Limits]] = {
    "denoiser": ("prediction", "what schedule.prediction_type says", None),
    "decoder": ("image", "image in image.value_range: a draw of the decoder's distribution", (0.0, 1.0)),
    ACQUISITION: ("acquired", "image in image.value_range as the scanner gives it", (0.0, 1.0)),
    "encoder": ("latent", f"a draw of the {_LATENT}", None),
}


def _describe(name: str, shape: torch.Size, meaning: str, limits: Limits) -> TensorSpec:
    return TensorSpec(name, "float32", (BATCH, *shape[1:]), meaning, limits)
