"""Reports on volumes of several channels: planes of the first channel are shown, and both are named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.report.planes import ShownPlane, lesion_planes, shown_plane, what_is_shown
from cldm_runtime.store import DatasetSpec, create_dataset

DOMAIN = Declaration("organ", 3, {"organ": 1, "tumour": 2}, {"whole": ("organ", "tumour"), "tumour": ("tumour",)},
                     lesion="tumour").domain()


def volume(number: int) -> np.ndarray:
    """5 x 16 x 16: an organ in planes 1 to 3, its tumour in plane 2 alone."""
    labels = np.zeros((5, 16, 16), np.uint8)
    labels[1:4, 3:13, 3:13] = 1
    labels[2, 5:8, 5 : 8 + number % 3] = 2
    return labels


@pytest.fixture
def page(tmp_path: Path) -> str:
    masks = np.stack([volume(number // 2) for number in range(8)])
    images = np.stack([masks / 4, 1 - masks / 4], axis=1)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (5, 16, 16), (3.0, 1.0, 1.0), 2)) as writer:
        writer.append(images=images, masks=masks, condition=np.arange(8) // 2, sample_index=np.arange(8))
        writer.segmentation("mine").append(masks=np.roll(masks, 1, axis=2))
    measure_dataset(tmp_path / "a.h5")
    return write_report(tmp_path / "a.h5", "mine", tmp_path / "out").html.read_text(encoding="utf-8")


def test_plane_and_channel_are_named(page: str) -> None:
    assert page.count("planes z 3 of 5, y 7 of 16, x") == 6 and page.count("channel 1 of 2") >= 6
    drawn = re.findall(r'<image id="case(\d+)([zyx])"', page)
    assert len(drawn) == len(set(drawn)) == 18 and {axis for _, axis in drawn} == set("zyx")
    assert "plane 3 of 5, channel 1 of 2" in page  # of a repeated condition
    assert "Uncertainty" in page and "whole volume" in page.lower()


def test_the_plane_with_most_of_the_lesion_is_shown() -> None:
    assert shown_plane(DOMAIN, volume(0)) == (2,)
    assert shown_plane(DOMAIN, np.minimum(volume(0), 1)) == (2,)  # the middle one of three
    assert shown_plane(DOMAIN, volume(0)[2]) == ()
    aside = np.where(volume(0) == 2, 1, volume(0))
    aside[3, 3, 3] = 2  # one voxel decides, not the organ
    assert shown_plane(DOMAIN, aside) == (3,)


def test_the_masks_plane_is_shown_and_the_segmentations_where_the_mask_is_empty(tmp_path: Path) -> None:
    masks = np.stack([volume(number) * (number != 1) for number in range(3)]).astype(np.uint8)
    told = np.roll(np.stack([volume(number) for number in range(3)]), 1, axis=1)  # one plane further
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (5, 16, 16), (3.0, 1.0, 1.0))) as writer:
        writer.append(images=masks[:, None] / 4, masks=masks)
        writer.segmentation("mine").append(masks=told)
    measure_dataset(tmp_path / "a.h5")
    page = write_report(tmp_path / "a.h5", "mine", tmp_path / "out").html.read_text(encoding="utf-8")
    assert [f"Row {row}, planes z {plane} of 5," in page for row, plane in ((0, 3), (1, 4), (2, 3))] == [True] * 3


def test_a_grey_slice_needs_no_words() -> None:
    assert what_is_shown((8, 8), 1, ()) == "" and what_is_shown((8, 8), 3, ()) == ", channel 1 of 3"


def test_without_a_lesion_in_the_domain_the_plane_that_holds_most_is_shown() -> None:
    labels = np.zeros((5, 4, 4), np.uint8)
    labels[1, 0, :2], labels[2:4, 0, :3] = 1, 1
    plain = replace(get_domain("lge"), lesion=None, lesion_size=None)
    assert shown_plane(plain, labels) == (3,) and shown_plane(plain, labels[0]) == ()
    labels[1, 1] = 1
    assert shown_plane(plain, labels) == (1,)


def test_three_planes_go_through_the_largest_lesion() -> None:
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[1:11, 1:13, 1:15] = 1
    labels[2, 2, 2:4] = 2  # a small one
    labels[7:10, 8:11, 9:12] = 2
    labels[8, 9, 12] = 2
    assert [(plane.axis, plane.place) for plane in lesion_planes(DOMAIN, labels)] == [(0, 8), (1, 9), (2, 10)]
    assert [plane.place for plane in lesion_planes(DOMAIN, np.zeros_like(labels))] == [6, 7, 8]
    assert lesion_planes(DOMAIN, np.minimum(labels, 1))[0].place == 6  # without a lesion, the middle of the organ


def test_planes_stand_upright_and_their_pixels_are_square() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(ShownPlane(0, 1).of(volume, (3.0, 1.0, 1.0)), volume[1])
    across = ShownPlane(1, 2).of(volume, (3.0, 1.0, 1.0))  # z from above downwards, three times as high
    assert across.shape == (6, 4) and across[0].tolist() == across[2].tolist() == volume[1, 2].tolist()
    assert ShownPlane(2, 0).of(volume, (1.0, 2.0, 1.0)).shape == (2, 6)
