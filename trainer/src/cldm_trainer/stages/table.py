"""The stages of a training run, in order: what `cldm-train all` carries out, and what each takes of a configuration."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..config import Config

# subcommand -> (module, function, what it takes, as `arguments` names it, help). Modules are imported when they are
# needed: torch and nnU-Net are slow to load.
STAGES: dict[str, tuple[str, str, str, str]] = {
    "phantom": ("stages.phantom", "run", "cohort workers", "Draw a phantom cohort as an nnU-Net raw dataset."),
    "prepare": ("stages.cohort", "run", "cohort prepare",
                "Crop, resample and normalise an nnU-Net raw dataset into cohort.h5."),
    "image-codec": ("stages.codec", "run_image_codec", "image_codec run", "Train the image codec."),
    "mask-codec": ("stages.codec", "run_mask_codec", "mask_codec run", "Train the mask codec."),
    "acquisition": ("stages.acquisition", "run", "acquisition run",
                    "Estimate noise, resolution and rim of the training slices, for the last graph."),
    "texture": ("stages.texture", "run", "texture codecs acquisition run",
                "Train the texture that the image codec leaves out."),
    "latents": ("stages.latents", "run", "codecs run",
                "Encode the cohort for the diffusion model (done by `diffusion` too)."),
    "label-vae": ("stages.label_vae", "run", "label_vae latents run",
                  "Train the VAE or AR-VAE of label maps, a condition or an anatomy."),
    "diffusion": ("stages.diffusion", "run", "design run", "Train the latent diffusion model."),
    "gan": ("stages.gan", "run", "gan design run",
            "Train a SPADE network as a GAN, where [gan] names its channels: in place of `diffusion`."),
    "trajectories": ("stages.trajectories", "run", "distil design run",
                     "Compute a bundle's sampling trajectories, from which `distil` learns."),
    "distil": ("stages.distil", "run", "distil design run", "Train a denoiser of few steps from a bundle's."),
    "finish": ("stages.finish", "run", "finish distil design run",
               "Continue training the few-step student, against a critic of slices."),
    "small-decoder": ("stages.small_codec", "run_decoder", "small run",
                      "Train a small network that replaces a bundle's decoder."),
    "small-texture": ("stages.small_codec", "run_texture", "small run",
                      "Train the texture that the small decoder leaves out."),
    "small-mask-encoder": ("stages.small_codec", "run_mask_encoder", "small run",
                           "Train a small network that replaces a bundle's mask encoder."),
    "segmenter": ("stages.segmenter", "run", "segmenter workers run", "Train nnU-Net on the cohort."),
}

# Trained by `loop.train`, in as many processes as the run has; the first of them carries out the others alone.
SHARED = ("image-codec", "mask-codec", "texture", "label-vae", "diffusion", "gan", "distil", "finish", "small-decoder",
           "small-texture", "small-mask-encoder")


def arguments(name: str, config: Config) -> tuple[Any, ...]:
    """What a stage takes of a configuration: its sections by their names, and what is made of several."""
    from ..conditions.kind import Design
    from ..training.run_folder import RunFolder

    combined: dict[str, Callable[[], Any]] = {
        "workers": lambda: config.prepare.workers, "codecs": lambda: config.codecs,
        "design": lambda: Design.of(config), "run": lambda: RunFolder.of(config),
        "small": lambda: import_module("cldm_trainer.stages.small_codec").SmallSections(
            config.small_codec, config.texture, config.distil, Design.of(config)),
    }
    return tuple(combined[part]() if part in combined else getattr(config, part) for part in STAGES[name][2].split())


def run_stage(name: str, config: Config) -> None:
    """Carry out a stage of a run; imports its module."""
    module, function, *_ = STAGES[name]
    getattr(import_module(f"cldm_trainer.{module}"), function)(*arguments(name, config))
