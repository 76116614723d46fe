"""What images and label maps become before diffusion, and what is added behind it."""

from dataclasses import dataclass

from .optimiser import OptimiserConfig

KL, IDENTITY = "kl", "identity"
CODECS = (KL, IDENTITY)


@dataclass(frozen=True)
class CodecConfig:
    codec: str = KL  # kl: an autoencoder, which is trained; identity: diffusion on the pixels, both codecs alike
    optimiser: OptimiserConfig = OptimiserConfig(steps=2600, batch_size=16, learning_rate=1e-3)
    latent_channels: int = 0  # of the latent; with the codec identity those of the images themselves
    channels: tuple[int, ...] = ()  # of each level of kl; each but the first halves the resolution
    patch: int = 1  # pixel-unshuffle in front: 2 moves the convolutions from 128x128 to 64x64
    hidden_channels: int = 8  # at full resolution behind the pixel-shuffle; unused where patch is 1
    residual_blocks: int = 1  # of each level
    attention: tuple[bool, ...] = ()  # whether each level has it; empty: none has
    middle_attention: bool = False  # attention at the lowest resolution
    components: bool = False  # the network adds to the principal components of blocks of as many pixels as the stride
    norm_groups: int = 8  # of group normalisation; every number of channels is a multiple of it
    recompute: bool = False  # activations, in the backward pass: less memory, a third more time
    augment: bool = True  # rotations by 90 degrees and mirroring
    window: int = 0  # [pixels] of a side of what a step sees of a sample, half the time around a lesion; 0: all of it
    kl_weight: float = 1e-6  # of the divergence of the latent from a normal distribution
    l1_weight: float = 1.0  # images: absolute error
    mse_weight: float = 0.0  # images: squared error
    gradient_weight: float = 0.0  # images: L1 between image gradients
    perceptual_weight: float = 0.0  # images: distance in features of perceptual_network
    perceptual_network: str = ""  # a TorchScript file, image in [-1, 1] -> features; nothing is downloaded
    adversarial_weight: float = 0.0  # images: loss against a critic of patches; 0: none
    adversarial_start: int = 0  # [step] from which the critic counts
    adversarial_rate: float = 8e-4  # learning rate of that critic
    dice_weight: float = 1.0  # masks, added to a cross-entropy of weight 1; where run.output is labels, to the others
    relabel: float = 0.0  # masks: share of the maps whose foreground labels are permuted, so that rare ones are learned

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to train."""
        return self.codec == IDENTITY

    @property
    def stride(self) -> int:
        """Pixels to each side of a latent's pixel."""
        return 1 if self.is_identity else int(self.patch * 2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class TextureConfig:
    optimiser: OptimiserConfig = OptimiserConfig(
        steps=2000, batch_size=24, learning_rate=1e-3, momentum=0.0, second_momentum=0.98)
    channels: int = 32  # of the texture's network; 0: no texture, where [acquisition] applies the noise
    window: int = 64  # [pixels] what the critic sees at once; a whole slice where that is smaller
    coarse_weight: float = 400.0  # of what the texture changes beyond fine detail
    critic_channels: int = 24  # of the critic's first level
    critic_penalty: float = 0.05  # weight, on the critic's squared gradient at the cohort's slices


@dataclass(frozen=True)
class LatentsConfig:
    copies: int = 1  # encodings of each training slice: the first plain, the others moved
    rotation_deg: float = 15.0  # at most, either way
    shift_pixels: float = 4.0  # at most, either way, along each axis
    scale: float = 0.08  # share of the size, either way


@dataclass(frozen=True)
class CodecSections:
    """What the latents of a cohort depend on."""

    image: CodecConfig
    mask: CodecConfig
    latents: LatentsConfig
