"""A bundle of few steps: a distilled denoiser, small networks in the place of the codecs', and the rest of its teacher.
"""

from dataclasses import replace
from pathlib import Path

from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.nature import joined_nature

from ..conditions.facts import condition_facts
from ..config import Config
from ..graphs.accurate_norm import use_accurate_norms
from ..networks import Encoder, TexturedDecoder
from ..networks.small import SmallTexturedDecoder
from ..stages import distil, finish, small_codec
from ..stages.from_bundle import load_module, teacher_bundle
from .checkpoints import read_training, round_weights
from .generator import GeneratorExport, Networks


def load_few_steps(config: Config, *, torchscript: bool = True) -> GeneratorExport:
    """Everything for the bundle of a run with a [distil] section. Raises InputError naming the stage that has not been
    trained."""
    teacher = teacher_bundle(config)
    manifest = teacher.manifest
    assert manifest.schedule is not None and manifest.sampling is not None  # a generator has them
    networks = load_networks(config, teacher)
    round_weights(networks, config.export.weights)
    sampling = replace(config.export, sampler="ddim", steps=config.distil.steps, spacing="trailing", eta=0.0,
                       guidance=1.0, guidance_interval=(0.0, 1.0))
    guidance = config.distil.guidance or manifest.sampling.guidance
    training = read_training(config, few_steps_stages(config))
    training = replace(training, steps={**manifest.provenance.get("steps", {}), **training.steps},
                       nature=joined_nature([training.nature, manifest.nature]))
    described = (f"{manifest.description} In {config.distil.steps} steps, distilled from {teacher.identity}.")
    sections = {
        "description": described,
        "latent": {"channels": manifest.latent.channels, "shape": list(manifest.latent.shape),
                   "mean": list(manifest.latent.mean), "std": list(manifest.latent.std)} if manifest.latent else None,
        "distilled": {"teacher": teacher.identity, "teacher_sha256": teacher.manifest_sha256, "guidance": guidance},
    }
    return GeneratorExport(replace(config, export=sampling), networks, manifest.schedule.noise_schedule(),
                           training, torchscript, sections=sections)


def load_networks(config: Config, teacher: Bundle) -> Networks:
    """The student, and the small networks where the configuration has them, else the teacher's."""
    small = config.small_codec
    role = condition_facts(config.diffusion.condition).encoder
    condition_encoder: nn.Module
    if small.mask_encoder and role == "mask_encoder":
        condition_encoder = small_codec.trained_mask_encoder(config)
    else:
        condition_encoder = load_module(config, teacher, role)
        use_accurate_norms(condition_encoder)
    encoder = load_module(config, teacher, "encoder")
    decoder = small_codec.trained_decoder(config) if small.decoder else load_module(config, teacher, "decoder")
    assert isinstance(encoder, Encoder) and isinstance(decoder, TexturedDecoder | SmallTexturedDecoder)
    return Networks(finish.trained_student(config, teacher), condition_encoder, decoder, encoder)


def few_steps_stages(config: Config) -> dict[str, Path]:
    """The stages whose weights are in the bundle beside the teacher's, and their folders."""
    names = [distil.STAGE, *(finish.folder(config, number).name for number in range(len(config.finish)))]
    if config.small_codec.decoder:
        names += [small_codec.DECODER, small_codec.TEXTURE]
    if config.small_codec.mask_encoder and config.diffusion.condition == "mask":
        names.append(small_codec.MASK_ENCODER)
    return {name: config.run_folder / name for name in names}
