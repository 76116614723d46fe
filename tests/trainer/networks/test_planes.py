"""Planes of attributes beside the latent of a label map, by hand."""

import torch

from cldm_trainer.networks.planes import AttributePlanes

VALUES, DEFINED = torch.tensor([[9.0, 4.0, 7.0]]), torch.tensor([[1.0, 1.0, 0.0]])


def planes(regions: tuple[tuple[int, ...], ...] = ((), ())) -> AttributePlanes:
    made = AttributePlanes(3, regions, 2)
    made.standardise_by(torch.tensor([[9.0, 1.0, 5.0], [9.0, 3.0, 0.0]]), torch.tensor([[1.0, 1, 1], [1, 1, 0]]))
    return made


def test_the_last_attributes_are_standardised_by_what_is_defined() -> None:
    assert planes().mean.tolist() == [2.0, 5.0] and planes().std.tolist() == [1.0, 1.0] and planes().shape == (7,)


def test_a_number_without_a_region_is_the_same_at_every_place() -> None:
    latent, one_hot = torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 8, 8)
    made = planes()(latent, one_hot, VALUES, DEFINED)
    assert torch.equal(made[:, :3], latent)
    assert [made[0, channel].unique().tolist() for channel in range(3, 7)] == [[2.0], [0.0], [1.0], [0.0]]


def test_a_number_stands_where_its_region_lies() -> None:
    """Label 2 fills one place and half of another; label 3 a quarter of a third."""
    one_hot = torch.zeros(1, 4, 8, 8)
    one_hot[0, 2, :2, :2], one_hot[0, 2, :2, 2], one_hot[0, 3, 4, 4] = 1.0, 1.0, 1.0
    share = torch.zeros(4, 4)
    share[0, 0], share[0, 1], share[2, 2] = 1.0, 0.5, 0.25
    made = planes(((2, 3), ()))(torch.randn(1, 3, 4, 4), one_hot, VALUES, DEFINED)[0]
    torch.testing.assert_close(made[3], 2.0 * share)
    torch.testing.assert_close(made[5], share)
    assert made[4].unique().tolist() == [0.0] and made[6].unique().tolist() == [0.0]
