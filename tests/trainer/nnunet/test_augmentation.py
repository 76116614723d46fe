"""Stronger augmentation: what it changes, and what it leaves."""

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from cldm_trainer.nnunet.augmentation import ScannerChange, bias, contrast_curve, ghosts, ringing, strengthen


def disc() -> torch.Tensor:
    y, x = np.mgrid[:64, :64] - 31.5
    image = np.where(np.hypot(y, x) < 15, 2.0, 0.0) + 0.01 * x
    return torch.from_numpy(((image - image.mean()) / image.std()).astype(np.float32))[None]


@pytest.mark.parametrize("change", [bias, contrast_curve, ringing, ghosts])
def test_a_change_keeps_mean_and_deviation_and_comes_from_numpys_stream(change) -> None:
    np.random.seed(3)
    first = ScannerChange(change)(image=disc())["image"]
    np.random.seed(3)
    again = ScannerChange(change)(image=disc())["image"]
    assert torch.equal(first, again) and not torch.allclose(first, disc(), atol=1e-2)
    assert abs(float(first.mean())) < 1e-3 and abs(float(first.std()) - 1) < 1e-2


def test_a_contrast_curve_keeps_the_order_of_intensities() -> None:
    np.random.seed(0)
    values = torch.linspace(0, 1, 32).reshape(1, 32)
    assert (contrast_curve(values).diff() >= -1e-6).all()


def test_ghosts_stand_at_equal_distances_on_both_sides() -> None:
    np.random.seed(1)
    point = torch.zeros(64, 64)
    point[32, 32] = 1.0
    places = np.argwhere(ghosts(point).numpy() != 0)
    assert len(places) == 3 and (places.sum(axis=0) == 3 * 32).all()


def test_the_spatial_transform_stays_first_and_scales_more_often() -> None:
    spatial = SpatialTransform((64, 64), 0, False, p_scaling=0.2)
    strong = strengthen(ComposeTransforms([spatial])).transforms
    assert strong[0] is spatial and spatial.p_scaling == 0.4 and len(strong) == 7
