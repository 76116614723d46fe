"""Layers that exist for images of two and of three spatial dimensions."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
MEAN_POOL: dict[int, type[nn.AdaptiveAvgPool2d] | type[nn.AdaptiveAvgPool3d]] = {
    2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
SMOOTH = {2: "bilinear", 3: "trilinear"}  # interpolation, as torch names it


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(N, C, *spatial) -> (N, C factor^d, *(spatial / factor)): blocks of pixels or voxels become channels. In two
    dimensions that is `pixel_unshuffle`, and in three its channels come in the same order."""
    if x.ndim == 4:
        return functional.pixel_unshuffle(x, factor)
    n, channels, *sizes = x.shape
    split = x.reshape(n, channels, *(part for size in sizes for part in (size // factor, factor)))
    dims = len(sizes)
    order = (0, 1, *(3 + 2 * axis for axis in range(dims)), *(2 + 2 * axis for axis in range(dims)))
    return split.permute(order).reshape(n, channels * factor**dims, *(size // factor for size in sizes))


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    if x.ndim == 4:
        return functional.pixel_shuffle(x, factor)
    n, channels, *sizes = x.shape
    dims = len(sizes)
    split = x.reshape(n, channels // factor**dims, *(factor,) * dims, *sizes)
    order = (0, 1, *(part for axis in range(dims) for part in (2 + dims + axis, 2 + axis)))
    return split.permute(order).reshape(n, channels // factor**dims, *(size * factor for size in sizes))


class SpaceToDepth(nn.Module):
    """`space_to_depth` as a layer."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return space_to_depth(x, self.factor)


class DepthToSpace(nn.Module):
    """`depth_to_space` as a layer."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(x, self.factor)


def spatial_axes(x: Tensor) -> tuple[int, ...]:
    """Axes of (N, C, *spatial) that are places."""
    return tuple(range(2, x.ndim))


def per_channel(values: Tensor, dims: int) -> Tensor:
    """(..., C) -> (..., C, 1, ..., 1), which goes with (..., C, *spatial)."""
    return values.reshape(*values.shape, *(1,) * dims)


def stride_sizes(shape: Sequence[int], stride: int) -> tuple[int, ...]:
    """Sizes of a latent of an image. Raises ValueError where the stride does not divide the image."""
    sizes = tuple(size // stride for size in shape)
    if tuple(size * stride for size in sizes) != tuple(shape):
        raise ValueError(f"images of {tuple(shape)} pixels cannot be divided by {stride}")
    return sizes
