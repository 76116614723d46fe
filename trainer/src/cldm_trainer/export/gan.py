"""A SPADE network as a generator bundle of one step: its schedule has a single timestep, of pure noise, and what it
predicts there is the clean image. So everything that takes a bundle takes it, in C++ too."""

from dataclasses import replace

import numpy as np

from cldm_runtime.diffusion.schedule import NoiseSchedule

from ..conditions.kind import Design
from ..config import GanConfig
from ..networks import Encoder, OneHotEncoder, PlainDecoder
from ..stages import gan
from ..stages.codec import trained_image_codec
from ..stages.latents import load_affines
from .checkpoints import read_training
from .generator import GeneratorExport, Networks
from .settings import BundleSettings

_DESCRIPTION = "Images from label maps in one step: a SPADE network, trained as a GAN, for comparison with diffusion."


def load_gan(settings: BundleSettings, design: Design, section: GanConfig, *,
             torchscript: bool = True) -> GeneratorExport:
    """Everything for the bundle of a run with a [gan] section. Raises InputError where it has not been trained."""
    run = settings.run
    affine = load_affines(design.codecs, run)[0]
    networks = Networks(
        denoiser=gan.trained_generator(section, design, run), condition_encoder=OneHotEncoder(),
        decoder=PlainDecoder(affine).eval().requires_grad_(False),
        encoder=Encoder(trained_image_codec(design.codecs.image, run), affine).eval().requires_grad_(False))
    sampling = replace(settings.export, sampler="ddim", steps=1, spacing="trailing", eta=0.0, guidance=1.0,
                       guidance_interval=(0.0, 1.0))
    training = read_training(run, {gan.STAGE: run.own(gan.STAGE)})
    return GeneratorExport(settings.exported_as(sampling), networks, NoiseSchedule("sample", np.zeros(1)), training,
                           torchscript, sections={"description": _DESCRIPTION})
