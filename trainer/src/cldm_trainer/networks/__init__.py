"""The networks, built from MONAI's: codecs, denoiser, encoders of its condition, and the modules that are exported.

Images are in [-1, 1] inside the networks and in [0, 1] at the modules that are exported. Latents that leave a codec
for the diffusion model are standardised per channel: (z - mean) / std.
"""

from .affine import Affine
from .codec import Codec, Encoder, LabelDecoder, MaskEncoder, discriminator, make_image_codec
from .control import ControlEncoder, ControlImageEncoder, PaintingEncoder
from .denoiser import Conditioned, ConditionInput, Denoiser
from .identity import IdentityCodec, OneHotEncoder, PlainDecoder
from .label_vae import LabelVae, LabelVectorEncoder
from .signal import SignalUnits
from .texture import NoTexture, Texture, TextureCritic, TexturedDecoder
from .tokens import AttributeTokens

__all__ = [
    "Affine",
    "AttributeTokens",
    "Codec",
    "ConditionInput",
    "Conditioned",
    "ControlEncoder",
    "ControlImageEncoder",
    "Denoiser",
    "Encoder",
    "IdentityCodec",
    "LabelDecoder",
    "LabelVae",
    "LabelVectorEncoder",
    "MaskEncoder",
    "NoTexture",
    "OneHotEncoder",
    "PaintingEncoder",
    "PlainDecoder",
    "SignalUnits",
    "Texture",
    "TextureCritic",
    "TexturedDecoder",
    "discriminator",
    "make_image_codec",
]
