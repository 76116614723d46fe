"""The last graph of a generator: point spread, noise and rim, as the runtime computes them in `domains.acquisition`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cldm_runtime.bundle.acquisition_spec import AcquisitionSpec
from cldm_runtime.bundle.latent_prior_spec import full_matrix
from cldm_runtime.domains.acquisition.band import SHARP, Taper, cosine_basis, frequencies
from cldm_runtime.domains.acquisition.distribution import QuantileTable, triangle_factor


class TorchScanner(nn.Module):
    """(image (N, C, *spatial) in [0, 1], white noise, noise level (N,), cuts (N,), (N,)) -> the image that is acquired.

    size: pixels along the last two axes.
    """

    def __init__(self, spec: AcquisitionSpec, size: Sequence[int]) -> None:
        super().__init__()
        self.magnitude, self.zero = spec.detection == "magnitude", spec.zero
        rows, columns = size
        self.down, self.across = (_fixed(self, name, cosine_basis(count)) for name, count in (
            ("down", rows), ("across", columns)))
        self.row_waves, self.column_waves = (_fixed(self, name, frequencies(count)) for name, count in (
            ("row_waves", rows), ("column_waves", columns)))
        self.sharp = Lines(SHARP)
        self.taper = Lines(Taper(spec.taper_shares, spec.taper_weights))

    def forward(self, image: Tensor, noise: Tensor, level: Tensor, row_cut: Tensor, column_cut: Tensor) -> Tensor:
        channels, along = image.shape[1], (-1, *[1] * (image.ndim - 3))
        shares = (self.row_waves / row_cut[:, None], self.column_waves / column_cut[:, None])
        sharp, damped = (lines(shares[0]).reshape(*along, self.down.shape[0], 1)
                         * lines(shares[1]).reshape(*along, 1, self.across.shape[0])
                         for lines in (self.sharp, self.taper))
        damped = damped * level.reshape(*along, 1, 1)
        waves = self.down @ image @ self.across.T
        acquired = self.down.T @ (sharp * waves + damped * noise[:, :channels]) @ self.across
        if self.magnitude:
            other = self.down.T @ (damped * noise[:, channels:]) @ self.across
            acquired = self.zero + ((acquired - self.zero).square() + other.square()).sqrt()
        clipped: Tensor = acquired.clamp(0.0, 1.0)
        return clipped


class Lines(nn.Module):
    """A taper: weights, linear between its points and constant beyond them."""

    def __init__(self, taper: Taper) -> None:
        super().__init__()
        at, weights = torch.tensor(taper.shares).double(), torch.tensor(taper.weights).double()
        slopes = torch.cat([torch.zeros(1).double(), (weights[1:] - weights[:-1]) / (at[1:] - at[:-1]),
                            torch.zeros(1).double()])
        self.at, self.turns = _fixed(self, "at", at), _fixed(self, "turns", slopes[1:] - slopes[:-1])
        self.first = taper.weights[0]

    def forward(self, shares: Tensor) -> Tensor:
        """Any shape, as it came."""
        weights: Tensor = self.first + ((shares[..., None] - self.at).relu() * self.turns).sum(-1)
        return weights.clamp(0.0, 1.0)


class Quantiles(nn.Module):
    """Scores (N, V) -> values (N, V): the quantile tables, linear between their points and beyond their ends."""

    def __init__(self, tables: Sequence[QuantileTable]) -> None:
        super().__init__()
        at = torch.tensor([table.scores for table in tables]).double()
        values = torch.tensor([table.values for table in tables]).double()
        slopes = (values[:, 1:] - values[:, :-1]) / (at[:, 1:] - at[:, :-1])
        self.inner = _fixed(self, "inner", at[:, 1:-1])
        self.turns = _fixed(self, "turns", slopes[:, 1:] - slopes[:, :-1])
        self.begin, self.start = _fixed(self, "begin", at[:, 0]), _fixed(self, "start", values[:, 0])
        self.slope = _fixed(self, "slope", slopes[:, 0])

    def forward(self, scores: Tensor) -> Tensor:
        bends = ((scores[..., None] - self.inner).relu() * self.turns).sum(-1)
        return (self.start + self.slope * (scores - self.begin) + bends).clamp(min=0.0)


class AcquisitionGraph(nn.Module):
    """The image of a decoder as a scanner gives it, with values that are drawn from standard normal numbers (N,)."""

    def __init__(self, spec: AcquisitionSpec, shape: Sequence[int], spacing_mm: Sequence[float]) -> None:
        super().__init__()
        self.spec, (rows, columns) = spec, shape[-2:]
        self.scanner = TorchScanner(spec, (rows, columns))
        factor = triangle_factor(full_matrix(spec.correlation, len(spec.values)))
        self.factor = _fixed(self, "factor", torch.from_numpy(factor))
        self.quantiles = Quantiles([value.table for value in spec.values])
        self.row_mm, self.column_mm = spacing_mm[-2:]
        self.row_numbers = _fixed(self, "row_numbers", torch.arange(rows))
        self.column_numbers = _fixed(self, "column_numbers", torch.arange(columns))

    def forward(self, image: Tensor, thermal_noise: Tensor, noise_score: Tensor, row_score: Tensor,
                column_score: Tensor, top_score: Tensor, bottom_score: Tensor, left_score: Tensor,
                right_score: Tensor) -> Tensor:
        independent = torch.stack([noise_score, row_score, column_score, top_score, bottom_score, left_score,
                                   right_score], dim=1)
        values = self.quantiles(independent @ self.factor.T)
        level = (values[:, 0].square() - self.spec.residual_noise**2).clamp(min=0.0).sqrt()
        cuts = (0.5 * mm / values[:, 1 + axis].clamp(min=mm) for axis, mm in enumerate((self.row_mm, self.column_mm)))
        acquired: Tensor = self.scanner(image, thermal_noise, level, *cuts)
        rim, along = values[:, 3:].round(), (-1, *[1] * (image.ndim - 3))
        rows = _inside(self.row_numbers, rim[:, 0], rim[:, 1]).reshape(*along, len(self.row_numbers), 1)
        columns = _inside(self.column_numbers, rim[:, 2], rim[:, 3]).reshape(*along, 1, len(self.column_numbers))
        return acquired * rows * columns


INPUTS = ("noise_score", "row_score", "column_score", "top_score", "bottom_score", "left_score", "right_score")
"""Of `AcquisitionGraph`, after image and noise, in the order of the values."""


def _inside(numbers: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """(N, size): 1 for pixels beyond the first `before` and before the last `after`, else 0."""
    first = (numbers - before[:, None] + 1.0).clamp(0.0, 1.0)
    return first * (len(numbers) - after[:, None] - numbers).clamp(0.0, 1.0)


def _fixed(module: nn.Module, name: str, values: object) -> Tensor:
    """A constant of the module, in single precision; doubled with it."""
    constant = torch.as_tensor(values).float()
    module.register_buffer(name, constant)
    return constant
