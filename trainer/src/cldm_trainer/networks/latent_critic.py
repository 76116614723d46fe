"""The critic that a denoiser of few steps is trained against."""

from torch import Tensor, nn

from .rank import CONVOLUTION, MEAN_POOL


class LatentCritic(nn.Module):
    """(clean latent, state, condition, step) as channels (N, C, *latent) -> one number a latent, and one for each patch
    of it: high for the teacher's. No normalisation, which an R1 penalty does not go well with."""

    def __init__(self, in_channels: int, channels: int, dims: int = 2) -> None:
        super().__init__()
        convolution = CONVOLUTION[dims]
        widths = ((in_channels, channels, 3, 1), (channels, channels, 3, 1), (channels, 2 * channels, 4, 2),
                  (2 * channels, 2 * channels, 3, 1))
        layers: list[nn.Module] = []
        for before, after, size, stride in widths:
            layers += [convolution(before, after, size, stride, padding=1), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.patches = convolution(2 * channels, 1, 1)
        self.whole = nn.Sequential(convolution(2 * channels, 2 * channels, 4, 2, padding=1), nn.LeakyReLU(0.2),
                                   MEAN_POOL[dims](1), nn.Flatten(), nn.Linear(2 * channels, 1))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, *latent) -> (N,) and (N, patches)."""
        h = self.features(seen)
        patches: Tensor = self.patches(h).flatten(1)
        return self.whole(h)[:, 0] + patches.mean(dim=1), patches
