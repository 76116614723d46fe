"""Planes of attributes beside the latent of a label map, by hand."""

import torch

from cldm_trainer.networks.planes import AttributePlanes


def planes() -> AttributePlanes:
    made = AttributePlanes(3, 2)
    made.standardise_by(torch.tensor([[9.0, 1.0, 5.0], [9.0, 3.0, 0.0]]), torch.tensor([[1.0, 1, 1], [1, 1, 0]]))
    return made


def test_the_last_attributes_are_standardised_by_what_is_defined() -> None:
    assert planes().mean.tolist() == [2.0, 5.0] and planes().std.tolist() == [1.0, 1.0] and planes().shape == (7,)


def test_each_number_is_the_same_at_every_place() -> None:
    latent = torch.randn(1, 3, 4, 4)
    made = planes()(latent, torch.tensor([[9.0, 4.0, 7.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    assert torch.equal(made[:, :3], latent)
    assert [made[0, channel].unique().tolist() for channel in range(3, 7)] == [[2.0], [0.0], [1.0], [0.0]]
