"""Stronger augmentation than nnU-Net's own, for a segmenter that is to work on scanners that it was not trained on.

nnU-Net's list stays; spatial scaling becomes more frequent, and six changes of the image are added after it: bias
field, contrast curve and ringing (MONAI's), gamma and blur over wider ranges, and ghosts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.helpers.scalar_type import RandomScalar
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from monai.transforms import GibbsNoise, RandBiasField, RandHistogramShift

_SCALED = 0.4  # share of the samples that are scaled; nnU-Net: .2
_GAMMA: RandomScalar = BGContrast((0.5, 2.0))
Change = Callable[[torch.Tensor], torch.Tensor]


def strengthen(transforms: ComposeTransforms) -> ComposeTransforms:
    """nnU-Net's training transforms, whose first is the spatial one, with the stronger ones put in."""
    spatial, *others = transforms.transforms
    spatial.p_scaling = _SCALED
    return ComposeTransforms([spatial, *_scanner(), *others])


def _scanner() -> list[BasicTransform]:
    gamma = GammaTransform(gamma=_GAMMA, p_invert_image=0, synchronize_channels=False, p_per_channel=1,
                           p_retain_stats=1)
    blur = GaussianBlurTransform(blur_sigma=(0.5, 1.5), synchronize_channels=False, synchronize_axes=False,
                                 p_per_channel=1, benchmark=False)
    return [RandomTransform(transform, apply_probability=share) for transform, share in (
        (ScannerChange(bias), 0.3), (ScannerChange(contrast_curve), 0.3), (gamma, 0.3), (blur, 0.2),
        (ScannerChange(ringing), 0.15), (ScannerChange(ghosts), 0.15))]


class ScannerChange(ImageOnlyTransform):  # type: ignore[misc]
    """Applies a change to each channel, which then starts at 0, and gives it back its mean and deviation: the network
    gets normalised images."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def _apply_to_image(self, img: torch.Tensor, **params: Any) -> torch.Tensor:
        return torch.stack([self._channel(channel) for channel in img])

    def _channel(self, channel: torch.Tensor) -> torch.Tensor:
        mean, deviation = channel.mean(), channel.std()
        changed = self.change(channel - channel.min())
        return (changed - changed.mean()) / changed.std().clamp_min(1e-6) * deviation + mean


def bias(channel: torch.Tensor) -> torch.Tensor:
    """A smooth factor between about .5 and 2, as surface coils leave it."""
    return _seeded(RandBiasField(degree=3, coeff_range=(0.0, 0.3), prob=1.0), channel)


def contrast_curve(channel: torch.Tensor) -> torch.Tensor:
    """A random rising curve over the intensities, half as steep as MONAI's, whose flat parts hide borders."""
    return (channel + _seeded(RandHistogramShift(num_control_points=(4, 8), prob=1.0), channel)) / 2


def ringing(channel: torch.Tensor) -> torch.Tensor:
    """The outer part of k-space is lost: blur with Gibbs ringing. alpha 0 keeps all, 1 nothing."""
    return torch.as_tensor(GibbsNoise(alpha=float(np.random.uniform(0.3, 0.65)))(channel[None])[0]).float()


def ghosts(channel: torch.Tensor) -> torch.Tensor:
    """Two faint copies, shifted to both sides along a random axis, as breathing makes them."""
    axis = int(np.random.randint(channel.ndim))
    shift = int(np.random.randint(8, max(9, channel.shape[axis] // 2)))
    strength = float(np.random.uniform(0.03, 0.15)) * (1 if np.random.uniform() < 0.5 else -1)
    return channel + strength * (channel.roll(shift, axis) + channel.roll(-shift, axis))


def _seeded(transform: Any, channel: torch.Tensor) -> torch.Tensor:
    """MONAI's random transform on (*spatial), with numpy's global stream, which nnU-Net's transforms use too."""
    transform.set_random_state(int(np.random.randint(2**31)))
    return torch.as_tensor(transform(channel[None])[0]).float()
