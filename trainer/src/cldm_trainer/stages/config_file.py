"""Reads a run's configuration from its TOML file, and finds what contradicts itself in it."""

from pathlib import Path

from cldm_runtime.bundle.acquisition_spec import NOISE_LEVEL
from cldm_runtime.bundle.outputs import LABELS, OUTPUTS
from cldm_runtime.diffusion.samplers import SAMPLERS
from cldm_runtime.diffusion.schedule import SPACINGS
from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.records import TOML, read_record
from cldm_runtime.files.toml_file import read_toml
from cldm_runtime.scans.settings import gather_patients

from ..conditions.registry import KINDS
from ..config import MEDNEXT, STRONG, UNET, Config, DiffusionConfig, SegmenterConfig
from ..config.codec import CODECS
from ..config.validity import READER, TRUTH

OBJECTIVES = ("v", "epsilon", "sample", "flow")
SCHEDULES = ("linear", "scaled_linear", "cosine", "flow")
_POSITIVE = ("steps", "batch_size", "log_every", "validate_every", "picture_every", "checkpoint_every")


def load_config(path: str | Path) -> Config:
    """Read a TOML file and those that it extends.

    A file that begins with `extends = "other.toml"` (a path relative to the file) states only what differs from the
    other. Raises InputError that lists every unknown, missing or wrongly typed key.
    """
    table = gather_patients(read_toml(Path(path)))
    faults: list[str] = []
    config = read_record(Config, table, "", faults, TOML)
    if config is not None:
        faults += _rule_faults(config)
    if config is None or faults:
        raise InputError(list_faults(f"{path}: {len(faults)} fault(s) in the configuration:", faults))
    return config


def _rule_faults(config: Config) -> list[str]:
    """What types alone cannot say."""
    faults = []
    diffusion = config.diffusion
    choices = {
        "run.output": (config.run.output, tuple(OUTPUTS)),
        "image_codec.codec": (config.image_codec.codec, CODECS),
        "mask_codec.codec": (config.mask_codec.codec, (config.image_codec.codec,)),
        "diffusion.objective": (diffusion.objective, OBJECTIVES),
        "diffusion.schedule": (diffusion.schedule, SCHEDULES),
        "diffusion.condition": (diffusion.condition, tuple(KINDS)),
        "diffusion.tokens": (diffusion.tokens, ("corrected", "as-released")),
        "acquisition.detection": (config.acquisition.detection, ("", "real", "magnitude")),
        "segmenter.network": (config.segmenter.network, (UNET, MEDNEXT)),
        "segmenter.augmentation": (config.segmenter.augmentation, ("nnunet", STRONG)),
        "validity.scored_against": (config.validity.scored_against, (TRUTH, READER)),
        "run.accelerator": (config.run.accelerator, ("cpu", "cuda", "auto")),
        "export.sampler": (config.export.sampler, tuple(SAMPLERS)),
        "export.spacing": (config.export.spacing, tuple(SPACINGS)),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            faults.append(f"{key}: found {value!r}, expected one of {', '.join(allowed)}.")
    faults += [f"run.{key}: found {count}, expected at least 1."
               for key, count in (("devices", config.run.devices), ("nodes", config.run.nodes)) if count < 1]
    faults += [*_codec_faults(config), *_schedule_faults(config.diffusion), *_condition_faults(config),
               *_output_faults(config), *_gan_faults(config), *_reward_faults(config)]
    if config.distil.states % config.distil.steps or config.distil.teacher_steps % config.distil.states:
        faults.append(f"distil: found {config.distil.steps} steps, {config.distil.states} states, "
                      f"{config.distil.teacher_steps} teacher_steps, expected each to be a multiple of the one before.")
    for name in ("image_codec", "mask_codec", "diffusion"):
        section = getattr(config, name)
        if section.attention and len(section.attention) != len(section.channels):
            faults.append(f"{name}.attention: {len(section.attention)} entries for {len(section.channels)} channels.")
        if any(width % section.norm_groups for width in section.channels):
            faults.append(f"{name}.channels: found {list(section.channels)}, expected multiples of norm_groups = "
                          f"{section.norm_groups}.")
    if not config.segmenter.planned and len(config.segmenter.features) < 3:
        faults.append(f"segmenter.features: found {list(config.segmenter.features)}, expected at least 3 numbers: "
                      "nnU-Net's loss leaves out the output of lowest resolution, and two stages have no other.")
    faults += _mednext_faults(config.segmenter)
    if not 0 <= config.segmenter.without_lesion < 1:
        faults.append(f"segmenter.without_lesion: found {config.segmenter.without_lesion:g}, expected a share of 0 or "
                      "more, below 1.")
    for name in ("image_codec", "mask_codec", "texture", "diffusion", "label_vae", "gan"):
        optimiser = getattr(config, name).optimiser
        faults += [f"{name}.optimiser.{key}: found {getattr(optimiser, key)}, expected at least 1."
                   for key in _POSITIVE if getattr(optimiser, key) < 1]
    return faults


def _mednext_faults(segmenter: SegmenterConfig) -> list[str]:
    if segmenter.network != MEDNEXT:
        return []
    if segmenter.planned:
        return [f"segmenter.network: found {MEDNEXT!r} with planned = true, which is nnU-Net's own network. Set "
                "planned = false, and features."]
    first = segmenter.features[0] if segmenter.features else 32
    doubling = [first << stage for stage in range(len(segmenter.features))]
    return [] if list(segmenter.features) == doubling else [
        f"segmenter.features: found {list(segmenter.features)}, expected {doubling}: MedNeXt doubles its channels from "
        "stage to stage."]


def _codec_faults(config: Config) -> list[str]:
    """What a codec lacks, what the identity cannot go with, and images that the networks cannot divide."""
    faults, image, diffusion = [], config.image_codec, config.diffusion
    if image.latent_channels < 1:
        faults.append("image_codec.latent_channels: found 0, expected 1 or more.")
    for name, section in (("image_codec", image), ("mask_codec", config.mask_codec)):
        if not section.is_identity and not section.channels:
            faults.append(f"{name}.channels: found none, expected the channels of each level.")
    if not config.mask_codec.is_identity and config.mask_codec.latent_channels < 1:
        faults.append("mask_codec.latent_channels: found 0, expected 1 or more.")
    plain = config.texture.channels == 0 and not image.is_identity
    if config.texture.channels < 0 or (plain and not config.acquisition.detection):
        faults.append(f"texture.channels: found {config.texture.channels}, expected 1 or more, or 0 with [acquisition] "
                      "detection: without either, images have no noise.")
    if plain and config.distil.bundle and config.small_codec.decoder:
        faults.append("small_codec.decoder: found true where texture.channels is 0. Set it to false: a small decoder "
                      "needs a texture.")
    if image.is_identity and config.acquisition.detection:
        faults.append("acquisition.detection: images of the codec identity have their noise already. Leave it out.")
    if image.is_identity and config.distil.bundle and (config.small_codec.decoder or config.small_codec.mask_encoder):
        faults.append("small_codec: the codec identity has nothing to imitate. Set decoder = false and mask_encoder = "
                      "false.")
    if diffusion.patch < 1 or diffusion.hidden_channels < 1 or diffusion.shifted_for < 0:
        faults.append(f"diffusion: found patch {diffusion.patch}, hidden_channels {diffusion.hidden_channels}, "
                      f"shifted_for {diffusion.shifted_for}, expected at least 1, 1 and 0.")
        return faults
    divisor = image.stride * diffusion.patch * 2 ** (len(diffusion.channels) - 1)
    if any(size % divisor for size in config.prepare.shape):
        faults.append(f"prepare.shape: found {list(config.prepare.shape)}, expected multiples of {divisor}: the codec, "
                      "diffusion.patch and the levels of the denoiser divide it.")
    return faults


def _schedule_faults(diffusion: DiffusionConfig) -> list[str]:
    """Contradictions between what is predicted and the noise that it is predicted from."""
    objective, schedule = diffusion.objective, diffusion.schedule
    if objective == "flow" and schedule != "flow":
        return [f"diffusion.schedule: found {schedule!r}, expected 'flow', the schedule of the objective flow."]
    if objective == "epsilon" and (schedule == "flow" or diffusion.zero_terminal_snr):
        return ["diffusion.objective: found 'epsilon', which tells nothing of the image in the pure noise that this "
                "schedule ends in. Use v or sample, or another schedule without zero_terminal_snr."]
    if schedule == "flow" and diffusion.shifted_for:
        return [f"diffusion.shifted_for: found {diffusion.shifted_for}, expected 0: the schedule flow is not shifted."]
    if schedule == "flow" and diffusion.zero_terminal_snr:
        return ["diffusion.zero_terminal_snr: found True, expected False: the schedule flow ends in pure noise anyway."]
    return []


def _output_faults(config: Config) -> list[str]:
    """What a run that draws label maps cannot have."""
    if config.run.output != LABELS.name:
        return []
    faults = []
    if not KINDS[config.diffusion.condition].draws_labels:
        fitting = [name for name, kind in KINDS.items() if kind.draws_labels]
        faults.append(f"diffusion.condition: found {config.diffusion.condition!r} where run.output is labels, expected "
                      f"one of {', '.join(fitting)}: label maps are what is drawn.")
    if config.image_codec.is_identity:
        faults.append("image_codec.codec: found 'identity' where run.output is labels, expected kl: the identity is "
                      "for images.")
    for key, value in (("distil.bundle", config.distil.bundle), ("export.int8", config.export.int8),
                       ("export.fp16", config.export.fp16), ("acquisition.detection", config.acquisition.detection)):
        if value:
            faults.append(f"{key}: found {value!r} where run.output is labels, expected nothing: it is for images.")
    return faults


def _reward_faults(config: Config) -> list[str]:
    reward = config.diffusion.reward
    if reward is None:
        return []
    faults = [f"diffusion.reward.{name}: found {value:g}, expected 0 or more." for name, value in
              (("weight", reward.weight), ("size_weight", reward.size_weight)) if value < 0]
    if not 0 < reward.below <= 1:
        faults.append(f"diffusion.reward.below: found {reward.below:g}, expected a share of the timesteps, above 0 and "
                      "at most 1.")
    if min(reward.channels, reward.blocks) < 1:
        faults.append(f"diffusion.reward: found {reward.channels} channels and {reward.blocks} blocks, expected 1 or "
                      "more of each.")
    if config.run.output == "labels":
        faults.append("diffusion.reward: reads label maps in images, but this run draws label maps. Leave it out.")
    return faults


def _gan_faults(config: Config) -> list[str]:
    """What a SPADE network cannot go with."""
    section, faults = config.gan, []
    if not section.channels:
        return []
    if not config.image_codec.is_identity or config.diffusion.condition != "mask":
        faults.append(f"gan.channels: found {list(section.channels)} with the codec {config.image_codec.codec} and the "
                      f"condition {config.diffusion.condition}, expected the codec identity and the condition mask.")
    if config.distil.bundle:
        faults.append("distil.bundle: found a bundle where [gan] has channels. Leave one of them out: a GAN has one "
                      "step already.")
    divisor = 2 ** len(section.channels)
    if any(size % divisor for size in config.prepare.shape):
        faults.append(f"prepare.shape: found {list(config.prepare.shape)}, expected multiples of {divisor}: each of "
                      "gan.channels doubles the resolution.")
    faults += [f"gan.{key}: found {getattr(section, key)}, expected at least 1."
               for key in ("hidden_channels", "mask_channels", "style", "critic_channels") if getattr(section, key) < 1]
    return faults


def _condition_faults(config: Config) -> list[str]:
    """Contradictions between the kind of condition and the rest."""
    faults = []
    diffusion, dropout = config.diffusion, config.diffusion.condition_dropout
    if not 0.0 <= dropout < 1.0:
        faults.append(f"diffusion.condition_dropout: found {dropout}, expected 0 to below 1.")
    if not 0.0 <= diffusion.value_dropout < 1.0:
        faults.append(f"diffusion.value_dropout: found {diffusion.value_dropout}, expected 0 to below 1.")
    if config.export.weights not in ("fp32", "fp16", "int8"):
        faults.append(f"export.weights: found {config.export.weights!r}, expected fp32, fp16 or int8.")
    if config.export.guidance != 1.0 and dropout == 0.0:
        faults.append(f"export.guidance: found {config.export.guidance}, expected 1 where diffusion.condition_dropout "
                      "is 0: there is nothing to guide away from.")
    if diffusion.image_attributes and diffusion.condition not in ("attributes", "mask-attributes"):
        faults.append(f"diffusion.image_attributes: found {list(diffusion.image_attributes)} for the condition "
                      f"{diffusion.condition}, expected none. Use the condition attributes or mask-attributes.")
    if diffusion.region_weight and diffusion.condition != "mask-attributes":
        faults.append(f"diffusion.region_weight: found {diffusion.region_weight} for the condition "
                      f"{diffusion.condition}, expected 0. Only mask-attributes has regions.")
    if diffusion.region_weight < 0.0:
        faults.append(f"diffusion.region_weight: found {diffusion.region_weight}, expected 0 or more.")
    if NOISE_LEVEL in diffusion.image_attributes and config.acquisition.detection:
        faults.append(f"diffusion.image_attributes: found {NOISE_LEVEL}, which the last graph of [acquisition] "
                      "applies. Leave it out.")
    kind = KINDS.get(diffusion.condition)
    return faults + (kind.faults(config) if kind is not None else [])
