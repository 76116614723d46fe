"""The U-Net at a part of the resolution, whose input and output are whole."""

import pytest
import torch

from cldm_trainer.config import DiffusionConfig, OptimiserConfig
from cldm_trainer.networks import ConditionInput, Denoiser

CONFIG = DiffusionConfig(OptimiserConfig(1, 1, 1e-3), (8, 8), attention=(False, False), patch=4, hidden_channels=4,
                         head_channels=8, norm_groups=4)


def denoiser(condition: str = "mask", dims: int = 2) -> Denoiser:
    return Denoiser(1, ConditionInput(condition, "channels", (5,)), CONFIG, dims)


def test_pixels_become_channels_in_front_of_it() -> None:
    weights = denoiser().state_dict()
    assert weights["unet.inner.conv_in.conv.weight"].shape == (8, 6 * 16, 3, 3)
    assert weights["unet.inner.out.2.conv.weight"].shape == (4 * 16, 8, 3, 3)
    assert weights["unet.head.0.weight"].shape == (4, 4 + 6, 3, 3)


def test_the_head_sees_every_pixel() -> None:
    """Untrained, the U-Net inside gives zeros: what is left are two convolutions, which reach two pixels far."""
    model, x, condition = denoiser().eval(), torch.zeros(1, 1, 32, 32), torch.zeros(1, 5, 32, 32)
    changed = x.clone()
    changed[0, 0, 5, 6] = 1.0
    with torch.no_grad():
        moved = model(changed, torch.zeros(1), condition) - model(x, torch.zeros(1), condition)
    rows, columns = torch.nonzero(moved[0, 0], as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 4, 8)


def test_volumes_are_folded_too() -> None:
    assert denoiser(dims=3)(torch.zeros(1, 1, 8, 8, 16), torch.zeros(1), torch.zeros(1, 5, 8, 8, 16)).shape[2:] == (
        8, 8, 16)


def test_it_begins_with_a_trunk_of_the_same_condition_alone() -> None:
    trunk, model = denoiser(), denoiser()
    model.begin_with(trunk)
    assert all(torch.equal(a, b) for a, b in zip(trunk.parameters(), model.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"conditioned by other, which only diffusion.patch = 1 can exchange"):
        model.begin_with(denoiser("other"))
