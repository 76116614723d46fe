"""A bundle of few steps: a distilled denoiser, small networks instead of the codecs', and the rest of its teacher.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from cldm_runtime.bundle.nature import stated_natures

from ..conditions.registry import KINDS, condition_facts
from ..config import FinishConfig
from ..graphs.accurate_norm import use_accurate_norms
from ..networks import Encoder, PlainDecoder, TexturedDecoder
from ..networks.small import SmallTexturedDecoder
from ..stages import distil, finish, small_codec
from ..stages.small_codec import SmallSections
from ..training.run_folder import RunFolder
from .acquisition import acquisition_graph
from .checkpoints import read_training
from .generator import GeneratorExport, Networks
from .settings import BundleSettings


def load_few_steps(settings: BundleSettings, sections: SmallSections, finishes: Sequence[FinishConfig], *,
                   torchscript: bool = True) -> GeneratorExport:
    """Everything for the bundle of a run with a [distil] section. Raises InputError naming the stage that has not been
    trained."""
    teacher, section, run = sections.teacher(), sections.distil, settings.run
    manifest = teacher.manifest
    assert manifest.schedule is not None and manifest.sampling is not None  # a generator has them
    networks = load_networks(sections, run, finishes)
    sampling = replace(settings.export, sampler="ddim", steps=section.steps, spacing="trailing", eta=0.0,
                       guidance=1.0, guidance_interval=(0.0, 1.0))
    guidance = section.guidance or manifest.sampling.guidance
    training = read_training(run, few_steps_stages(sections, run, len(finishes)),
                             of_images=sections.design.told_attributes)
    natures = {*training.natures, *stated_natures(manifest.nature, manifest.provenance)}
    training = replace(training, steps={**manifest.provenance.get("steps", {}), **training.steps},
                       natures=tuple(sorted(natures)))
    if spec := manifest.acquisition:
        networks = replace(networks, acquisition=acquisition_graph(
            spec, networks.decoder, networks.encoder, training.images, run.cohort.spacing_mm))
    described = (f"{manifest.description} In {section.steps} steps, distilled from {teacher.identity}.")
    differing = {
        "description": described,
        "latent": {"channels": manifest.latent.channels, "shape": list(manifest.latent.shape),
                   "mean": list(manifest.latent.mean), "std": list(manifest.latent.std)} if manifest.latent else None,
        "distilled": {"teacher": teacher.identity, "teacher_sha256": teacher.manifest_sha256, "guidance": guidance},
    }
    return GeneratorExport(settings.exported_as(sampling), networks, manifest.schedule.noise_schedule(),
                           training, torchscript, sections=differing)


def load_networks(sections: SmallSections, run: RunFolder, finishes: Sequence[FinishConfig]) -> Networks:
    """The student, trained on as `finishes` say, and the small networks where the configuration has them, else the
    teacher's."""
    small, condition = sections.small, sections.design.diffusion.condition
    condition_encoder: nn.Module
    if small.mask_encoder and KINDS[condition].small_stage == small_codec.MASK_ENCODER:
        condition_encoder = small_codec.trained_mask_encoder(sections, run)
    else:
        condition_encoder = sections.module(condition_facts(condition).encoder)
        use_accurate_norms(condition_encoder)
    encoder = sections.module("encoder")
    decoder = small_codec.trained_decoder(sections, run) if small.decoder else sections.module("decoder")
    assert isinstance(encoder, Encoder) and isinstance(decoder, TexturedDecoder | SmallTexturedDecoder | PlainDecoder)
    student = finish.trained_student(finishes, sections.distil, sections.design, run)
    return Networks(student, condition_encoder, decoder, encoder)


def few_steps_stages(sections: SmallSections, run: RunFolder, finished: int) -> dict[str, Path]:
    """The stages whose weights are in the bundle in addition to the teacher's, and their folders."""
    names = [distil.STAGE, *(finish.folder(run, number).name for number in range(finished))]
    small, small_stage = sections.small, KINDS[sections.design.diffusion.condition].small_stage
    names += [small_codec.DECODER, small_codec.TEXTURE] if small.decoder else []
    names += [small_stage] if small.mask_encoder and small_stage else []
    return {name: run.own(name) for name in names}
