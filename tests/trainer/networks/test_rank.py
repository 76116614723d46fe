"""Layers of two and of three spatial dimensions."""

import pytest
import torch
from torch.nn import functional

from cldm_trainer.graphs.accurate_norm import AccurateGroupNorm
from cldm_trainer.networks.rank import depth_to_space, space_to_depth, stride_sizes
from cldm_trainer.training.batches import move, step_generator, turn_and_mirror
from cldm_trainer.training.losses import gradient_l1, soft_dice


def test_blocks_of_voxels_become_channels_in_the_order_of_their_axes() -> None:
    volume = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    assert space_to_depth(volume, 2).flatten().tolist() == list(range(8))
    wide = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(depth_to_space(space_to_depth(wide, 2), 2), wide)


def test_each_slice_of_flat_blocks_is_unshuffled_as_in_two_dimensions() -> None:
    """A volume that is constant along its first axis: its channels are those of the slice, twice."""
    plane = torch.randn(1, 2, 4, 4)
    folded = space_to_depth(plane[:, :, None].repeat(1, 1, 2, 1, 1), 2)[:, :, 0].unflatten(1, (2, 2, 4))
    expected = functional.pixel_unshuffle(plane, 2).unflatten(1, (2, 4))
    assert torch.equal(folded[:, :, 0], expected) and torch.equal(folded[:, :, 1], expected)


def test_a_stride_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be divided by 4"):
        stride_sizes((16, 10), 4)


def test_a_cube_is_rearranged_voxel_by_voxel_and_a_slab_keeps_its_axes() -> None:
    cubes = torch.arange(27.0).reshape(1, 1, 3, 3, 3).repeat(32, 1, 1, 1, 1)
    turned = turn_and_mirror(cubes, step_generator(0, 0))
    assert torch.equal(turned.flatten(1).sort(1).values, cubes.flatten(1))
    assert len({tuple(row) for row in turned.flatten(1).tolist()}) > 8
    slab = torch.randn(4, 1, 2, 3, 4)
    assert turn_and_mirror(slab, step_generator(0, 0)).shape == slab.shape


def test_a_volume_that_does_not_move_stays() -> None:
    volume = torch.rand(1, 1, 4, 6, 8)
    assert torch.allclose(move(volume, 0.0, 0.0, 0.0, step_generator(0, 0), mode="bicubic"), volume, atol=1e-5)


def test_losses_of_volumes_by_hand() -> None:
    ramp = torch.zeros(1, 1, 2, 2, 2)
    ramp[..., 1] = 3.0  # a step along the last axis alone
    assert gradient_l1(ramp, torch.zeros_like(ramp)) == 3.0
    one_hot = torch.zeros(1, 2, 2, 2, 2)
    one_hot[:, 0] = 1.0
    assert soft_dice(100.0 * one_hot, one_hot).abs() < 1e-6


def test_the_accurate_norm_is_the_norm_in_three_dimensions() -> None:
    norm, volume = torch.nn.GroupNorm(2, 4), torch.randn(2, 4, 3, 4, 5)
    torch.nn.init.normal_(norm.weight)
    assert torch.allclose(AccurateGroupNorm(norm)(volume), norm(volume), atol=1e-5)
