"""The configuration of a run: frozen dataclasses, which `stages.config_file` reads from a TOML file.

A field without a default must be given.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cldm_runtime.files.records import plain
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings

from .bench import BenchConfig
from .codec import CodecConfig, CodecSections, LatentsConfig, TextureConfig
from .faithfulness import FaithfulnessConfig
from .gan import GanConfig
from .optimiser import OptimiserConfig
from .reward import RewardConfig
from .utility import UtilityConfig
from .validity import ValidityConfig

__all__ = [
    "MEDNEXT",
    "STRONG",
    "UNET",
    "AcquisitionConfig",
    "BenchConfig",
    "CodecConfig",
    "CodecSections",
    "Config",
    "ControlConfig",
    "DiffusionConfig",
    "DistilConfig",
    "ExportConfig",
    "FaithfulnessConfig",
    "FinishConfig",
    "GanConfig",
    "LabelVaeConfig",
    "LatentsConfig",
    "OptimiserConfig",
    "ResultsConfig",
    "RewardConfig",
    "RunConfig",
    "SegmenterConfig",
    "SmallCodecConfig",
    "TextureConfig",
    "UtilityConfig",
    "ValidityConfig"
]


@dataclass(frozen=True)
class RunConfig:
    name: str  # of the run, and of its folder
    seed: int = 0  # of the first weights, the order of samples and all noise
    folder: str = "runs"  # everything that training writes goes to <folder>/<name>
    output: str = "image"  # what the generator draws: image; labels: label maps, a channel for each region or label
    codecs: str = ""  # the run whose codecs, latents and texture are used, unchanged; empty: this run trains its own
    threads: int = 2  # CPU threads of torch, in each process
    accelerator: str = "cpu"  # cpu, cuda, or auto
    devices: int = 1  # of each node, one process for each; they share the batch_size of every stage
    nodes: int = 1  # machines
    precision: str = "32-true"  # Lightning Fabric's names, such as bf16-mixed
    channels_last: bool = True  # halves the time of a convolution step on CPUs


@dataclass(frozen=True)
class AcquisitionConfig:
    """Generators draw the noise, resolution and rim of their images from the distribution over the training slices,
    and apply them in a last graph; the texture then adds no noise."""

    detection: str = ""  # real: phase-sensitive images, Gaussian noise; magnitude: Rician noise; empty: no last graph
    zero: float = 0.0  # intensity of no signal in a prepared magnitude image, 0 to 1


@dataclass(frozen=True)
class DiffusionConfig:
    optimiser: OptimiserConfig
    channels: tuple[int, ...] = (32, 64)  # of each level of the denoiser; each but the first halves the resolution
    residual_blocks: int = 1  # of each level
    attention: tuple[bool, ...] = (False, True)  # whether each level has it
    patch: int = 1  # pixel-unshuffle in front: 4 moves the U-Net from 128x128 to 32x32
    hidden_channels: int = 16  # at full resolution behind the pixel-shuffle; unused where patch is 1
    head_channels: int = 64  # of each attention head
    norm_groups: int = 32  # of group normalisation; every number of channels is a multiple of it
    objective: str = "v"  # v, epsilon, sample, or flow, which has the schedule flow
    schedule: str = "linear"  # linear, scaled_linear, cosine or flow
    timesteps: int = 1000  # of the schedule that is trained
    beta_start: float = 1e-4  # of the schedules linear and scaled_linear, at the first timestep
    beta_end: float = 2e-2  # the same at the last timestep
    zero_terminal_snr: bool = False  # the schedule is rescaled to end in pure noise, for v and sample
    shifted_for: int = 0  # [pixels] of a side: more noise, log SNR + 2 log(64 / side); 0: not shifted
    min_snr_gamma: float = 0.0  # most weight of an error of x0, which is its SNR; 0: every timestep weighs the same
    least_snr_weight: float = 0.0  # least weight of an error of x0, where min_snr_gamma is not 0
    condition: str = "mask"  # a name in conditions.registry.KINDS: none, mask, attributes, label-vae, control, ...
    condition_dropout: float = 0.0  # share of training samples without their condition; above 0 allows guidance
    tokens: str = "corrected"  # of attributes: each value knows its attribute; "as-released": bare numbers
    image_attributes: tuple[str, ...] = ()  # conditions attributes, mask-attributes: of the image, such as its contrast
    value_dropout: float = 0.0  # share of attributes or classes hidden in training; painting: of whole images
    context_width: int = 64  # of the tokens of attributes and label-vae, in cross-attention
    sample_steps: int = 50  # DDIM steps of the pictures
    noisy_timesteps: float = 0.0  # 0: uniform; up to 1: noisier timesteps more often, density 1 + x (2 t / T - 1)
    region_weight: float = 0.0  # mask-attributes: added to the weight 1 of errors, for each attribute, in its region
    start: str = ""  # the run whose trained denoiser this one begins with, as far as their networks are alike
    reward: RewardConfig | None = None  # None: none, the condition is learned from the noise alone


@dataclass(frozen=True)
class LabelVaeConfig:
    optimiser: OptimiserConfig = OptimiserConfig(steps=3000, batch_size=32, learning_rate=1e-3)
    patch: int = 1  # pixel-unshuffle in front: 2 makes the convolutions four times cheaper
    channels: tuple[int, ...] = (32, 64, 128)  # each level halves the resolution
    dimensions: int = 8  # of the latent vector: as many tokens
    dice_weight: float = 1.0  # added to a cross-entropy of weight 1
    kl_weight: float = 1e-3  # of the divergence of the latent vector from a normal distribution
    attribute_weight: float = 0.0  # above 0: AR-VAE, one dimension for each attribute, in the domain's order
    attribute_delta: float = 20.0  # steepness of the tanh that stands for a sign


@dataclass(frozen=True)
class ControlConfig:
    base: str = ""  # the run whose unconditional denoiser is frozen and controlled
    channels: tuple[int, ...] = (16, 32, 64)  # of the condition's encoder; each level but the first halves
    image_channels: int = 1  # of the cohort's images; conditions image and painting
    patch: int = 1  # pixel-unshuffle in front of it: 4 makes volumes ten times cheaper; condition image alone


@dataclass(frozen=True)
class DistilConfig:
    optimiser: OptimiserConfig = OptimiserConfig(steps=3000, batch_size=32, learning_rate=3e-4)
    bundle: str = ""  # the generator that is distilled, any with this configuration's [diffusion]; empty: none
    steps: int = 4  # of the student
    states: int = 4  # kept of each trajectory, its noise not counted; a multiple of steps
    teacher_steps: int = 20  # a multiple of states
    guidance: float = 0.0  # that the student is taught to stand for; 0: the bundle's own
    trajectories: int = 6400  # of the teacher that the student learns from
    critic_weight: float = 0.0  # of an adversarial loss added to the squared error, 0: none
    critic_channels: int = 48  # of the critic's first level
    critic_penalty: float = 0.05  # weight, on the critic's squared gradient at the teacher's latents
    critic_start: int = 0  # [step] from which the critic counts


@dataclass(frozen=True)
class FinishConfig:
    """A further training of the student that [distil] leaves, against a critic of slices. Of several, the bundle gets
    the mean of their weights."""

    optimiser: OptimiserConfig = OptimiserConfig(steps=1000, batch_size=32, learning_rate=2e-4)
    critic_weight: float = 0.05  # of the adversarial loss
    critic_channels: int = 48  # of the critic's first level
    critic_penalty: float = 0.05  # weight, on the critic's squared gradient at the slices' latents


@dataclass(frozen=True)
class SmallCodecConfig:
    optimiser: OptimiserConfig = OptimiserConfig(steps=3000, batch_size=16, learning_rate=1e-3)
    decoder: bool = True  # whether the bundle gets a small decoder, and its texture
    mask_encoder: bool = True  # whether it gets a small encoder of label maps
    channels: int = 48  # at the latent's resolution, half as many at twice that
    blocks: int = 1  # at the latent's resolution
    border_weight: float = 0.5  # images: L1 between image gradients


STRONG = "strong"
UNET, MEDNEXT = "unet", "mednext"


@dataclass(frozen=True)
class SegmenterConfig:
    planned: bool = True  # nnU-Net's own plan; False: network, features, convolutions and batch_size replace its own
    network: str = "unet"  # or "mednext": MONAI's MedNeXt, trained as nnU-Net's own network is
    features: tuple[int, ...] = (16, 32, 64, 128, 128)  # channels of each stage
    convolutions: int = 2  # for each stage, in encoder and decoder; of MedNeXt the blocks
    batch_size: int = 12  # [samples] of one iteration
    epochs: int = 1000  # of training in all
    iterations_per_epoch: int = 250  # training steps
    validation_iterations_per_epoch: int = 50  # batches that are measured after each epoch
    learning_rate: float = 0.01  # of SGD at the start; falls as nnU-Net's does
    augmentation: str = "nnunet"  # or "strong": bias fields, ghosts, ringing and wider contrast and blur besides
    without_lesion: float = 0.0  # share of the drawn training images that hold no lesion; 0: as the cohort has them
    start: str = ""  # segmenter bundle whose weights the network begins with; empty: random ones
    loader_processes: int = 0  # 0: batches are made between the steps


@dataclass(frozen=True)
class ExportConfig:
    generator: str = "exported/lge"  # its bundle; empty: no diffusion, and what only that needs is not trained
    segmenter: str = "exported/lge-segmenter"  # its bundle; empty: none is trained
    int8: str = ""  # a second bundle of the generator, whose denoiser and decoder compute in int8; empty: none
    fp16: str = ""  # a second bundle of the generator, whose denoiser and decoder compute in fp16; empty: none
    anatomy: str = ""  # bundle of the label VAE, which draws label maps for attributes; empty: none
    version: str = "1.0"  # revision of the bundles' content
    weights: str = "fp32"  # fp16, int8: large weights are rounded, stored in fewer bytes; int8 the denoiser's alone
    sampler: str = "ddim"  # default of the bundle: ddim, ddpm, dpm++2m or unipc
    steps: int = 50  # [sampling steps] default of the bundle
    spacing: str = "trailing"  # which timesteps are visited: trailing, leading, linspace, log-snr or karras
    eta: float = 0.0  # fresh noise of ddim: 0 none, 1 as much as ddpm
    guidance: float = 1.0  # weight of classifier-free guidance; other than 1 needs diffusion.condition_dropout
    guidance_interval: tuple[float, ...] = (0.0, 1.0)  # shares of the training timesteps, 0 clean
    batch_size: int = 16  # [images] computed at once by default
    parity_tolerance: float = 1e-4  # most difference from torch; of a segmenter's logits as a share of their range
    segmenter_mirroring: bool = True  # whether the segmenter averages over mirrored copies by default
    nnunet: str = ""  # another nnU-Net result folder (2-D or 3-D) to export as the segmenter; empty: this run's
    nnunet_fold: str = "0"  # fold of that result folder
    nnunet_checkpoint: str = "checkpoint_final.pth"  # weights of that fold
    nnunet_labels: dict[str, str] = dataclasses.field(default_factory=dict)  # its label name or value -> our name


@dataclass(frozen=True)
class ResultsConfig:
    without: dict[str, str] = dataclasses.field(default_factory=dict)  # subset -> label: also shown without its slices
    strategies: dict[str, str] = dataclasses.field(default_factory=dict)  # number in the paper -> bundle to compare
    features: str = ""  # an ONNX file for Frechet and kernel distance, such as an Inception; empty: the segmenter's
    students: dict[str, str] = dataclasses.field(default_factory=dict)  # bundle of few steps -> bundle of its teacher
    # Of a phantom: subset -> patients that are drawn anew, in place of the cohort's, which may have served a choice.
    new_patients: dict[str, int] = dataclasses.field(default_factory=dict)
    first_new_patient: int = 1000  # their numbers begin here; the cohort's begin at 0


@dataclass(frozen=True)
class Config:
    """Everything that a run depends on. Sections are named as in the file."""

    run: RunConfig
    cohort: CohortSettings
    image_codec: CodecConfig
    diffusion: DiffusionConfig
    mask_codec: CodecConfig = CodecConfig(
        optimiser=OptimiserConfig(3000, 8, 1e-3), latent_channels=4, channels=(16, 32))
    texture: TextureConfig = TextureConfig()
    prepare: PrepareSettings = dataclasses.field(default_factory=PrepareSettings)
    acquisition: AcquisitionConfig = AcquisitionConfig()
    latents: LatentsConfig = LatentsConfig()
    label_vae: LabelVaeConfig = LabelVaeConfig()
    control: ControlConfig = ControlConfig()
    gan: GanConfig = dataclasses.field(default_factory=GanConfig)
    distil: DistilConfig = DistilConfig()
    finish: tuple[FinishConfig, ...] = ()
    small_codec: SmallCodecConfig = SmallCodecConfig()
    segmenter: SegmenterConfig = SegmenterConfig()
    export: ExportConfig = ExportConfig()
    results: ResultsConfig = ResultsConfig()
    validity: ValidityConfig = dataclasses.field(default_factory=ValidityConfig)
    utility: UtilityConfig = dataclasses.field(default_factory=UtilityConfig)
    faithfulness: FaithfulnessConfig = dataclasses.field(default_factory=FaithfulnessConfig)
    bench: BenchConfig = dataclasses.field(default_factory=BenchConfig)

    @property
    def codecs(self) -> CodecSections:
        return CodecSections(self.image_codec, self.mask_codec, self.latents)

    @property
    def run_folder(self) -> Path:
        return Path(self.run.folder) / self.run.name

    @property
    def codecs_folder(self) -> Path:
        """The run folder that holds the stages image-codec, mask-codec, latents and texture."""
        return Path(self.run.folder) / (self.run.codecs or self.run.name)

    @property
    def cohort_file(self) -> Path:
        return self.cohort.file

    def resolved(self) -> dict[str, Any]:
        """Every value, defaults included, as plain JSON types."""
        return dict(plain(self))
