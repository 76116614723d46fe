"""The critic that a denoiser of few steps is trained against."""

from torch import Tensor, nn


class LatentCritic(nn.Module):
    """(clean latent, state, condition, step) as channels (N, C, h, w) -> one number a latent, and one for each patch of
    it: high for the teacher's. No normalisation, which an R1 penalty does not go well with."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        widths = ((in_channels, channels, 3, 1), (channels, channels, 3, 1), (channels, 2 * channels, 4, 2),
                  (2 * channels, 2 * channels, 3, 1))
        layers: list[nn.Module] = []
        for before, after, size, stride in widths:
            layers += [nn.Conv2d(before, after, size, stride, padding=1), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.patches = nn.Conv2d(2 * channels, 1, 1)
        self.whole = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 4, 2, padding=1), nn.LeakyReLU(0.2),
                                   nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * channels, 1))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) -> (N,) and (N, patches)."""
        h = self.features(seen)
        patches: Tensor = self.patches(h).flatten(1)
        return self.whole(h)[:, 0] + patches.mean(dim=1), patches
