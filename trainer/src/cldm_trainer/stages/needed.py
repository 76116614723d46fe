"""Which stages a run needs, by its configuration and what is there."""

from cldm_runtime.bundle.outputs import LABELS
from cldm_runtime.scans.settings import raw_folder

from ..conditions.registry import KINDS
from ..config import Config

_OF_A_GENERATOR = ("acquisition", "image-codec", "mask-codec", "texture", "latents", "diffusion")


def owns_segmenter(config: Config) -> bool:
    """Whether the run trains a segmenter. One that uses another run's codecs or distils a bundle does not."""
    return bool(config.export.segmenter) and not config.run.codecs and not config.distil.bundle


def is_needed(stage: str, config: Config) -> bool:
    """Whether `cldm-train all` runs a stage, which is a name of `stages.table.STAGES`."""
    prepared, export, kind = config.cohort_file.exists(), config.export, KINDS[config.diffusion.condition]
    few, small = bool(config.distil.bundle), config.small_codec
    unneeded = dict.fromkeys(_OF_A_GENERATOR, not export.generator or few)
    if config.run.output == LABELS.name:
        unneeded |= {"mask-codec": True, "texture": True}
    if config.image_codec.is_identity:
        unneeded |= dict.fromkeys(("image-codec", "mask-codec", "texture"), True)
    unneeded["gan"] = not config.gan.channels or unneeded["diffusion"]
    unneeded["diffusion"] |= bool(config.gan.channels)
    unneeded["texture"] |= not config.texture.channels
    unneeded["acquisition"] |= not config.acquisition.detection or bool(config.run.codecs)
    unneeded |= dict.fromkeys(("trajectories", "distil"), not few) | {"finish": not (few and config.finish)}
    unneeded |= dict.fromkeys(("small-decoder", "small-texture"), not (few and small.decoder))
    unneeded |= {"small-mask-encoder": not (few and small.mask_encoder and kind.small_stage == "small-mask-encoder")}
    raw = raw_folder(config.cohort, config.prepare)
    comparable = raw.is_dir() if config.prepare.raw else (raw / "dataset.json").exists()  # with what it was made from
    unneeded |= {"phantom": prepared or bool(config.prepare.raw), "prepare": prepared and not comparable,
                 "segmenter": not owns_segmenter(config),
                 "label-vae": not export.anatomy and "label-vae" not in kind.stages}
    return not unneeded.get(stage, False)
