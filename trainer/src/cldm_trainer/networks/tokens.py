"""Numbers to tokens for cross-attention: attributes (strategy 1.1) and latent vectors of label maps (1.2, 1.3).

Cross-attention sees a set of tokens. Where a token is the bare number, as in the released code of the cLDM paper, a
size of 0.3 and a depth of 0.6 are the same set as 0.6 and 0.3: the network cannot tell which is which. The preset
"as-released" keeps that, to show it; "corrected" gives each attribute a learned identity.
"""

import torch
from torch import Tensor, nn


class AttributeTokens(nn.Module):
    """A values of each sample, in the user's units -> tokens (N, A, W).

    preset "corrected": token_a = identity_a + MLP_a((value_a - mean_a) / std_a), and where the value is undefined a
    learned token of the attribute. preset "as-released": the standardised values themselves, W = 1; an undefined one
    counts as the value 0. `mean` and `std` (A,) are those of the training samples' defined values, kept as buffers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, count: int, preset: str, width: int) -> None:
        super().__init__()
        self.corrected = preset == "corrected"
        self.shape = (count, width if self.corrected else 1)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))
        if self.corrected:
            self.identity = nn.Parameter(torch.randn(count, width))
            self.undefined = nn.Parameter(torch.randn(count, width))
            self.networks = nn.ModuleList(
                nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(count)
            )

    def standardise_by(self, values: Tensor, defined: Tensor) -> None:
        """Take mean and deviation of the training samples' values (N, A) where `defined` (N, A) is 1."""
        for a in range(len(self.mean)):
            column = values[:, a][defined[:, a] > 0].double()
            if len(column):
                self.mean[a] = column.mean()
                self.std[a] = column.std(correction=0) if column.std(correction=0) > 1e-6 else 1.0

    def forward(self, attributes: Tensor, defined: Tensor) -> Tensor:
        """attributes (N, A), 0 where undefined; defined (N, A), 0 or 1 -> tokens (N, A, W)."""
        scaled = ((attributes * defined - self.mean) / self.std)[..., None]
        if not self.corrected:
            return scaled
        embedded = torch.stack([network(scaled[:, a]) for a, network in enumerate(self.networks)], dim=1)
        return torch.where(defined[..., None] > 0.5, self.identity + embedded, self.undefined)
