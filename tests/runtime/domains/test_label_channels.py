"""Label maps as channels and back: nested regions, single labels, and channels that contradict each other."""

import numpy as np
import pytest

from cldm_runtime.domains.label_channels import label_channels
from cldm_runtime.domains.registry import get_domain

NAMES = ("background", "ncr", "ed", "et")
REGIONS = {"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)}  # as BraTS 2023 has them
NESTED, SINGLE = label_channels(NAMES, REGIONS), label_channels(NAMES, {"ncr": (1,), "ed": (2,), "et": (3,)})


def test_nested_regions_are_the_channels() -> None:
    assert (NESTED.kind, NESTED.names) == ("regions", ("ET", "TC", "WT"))
    assert NESTED.encode(np.array([[0, 1, 2, 3]], np.uint8)).tolist() == [[[0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1]]]


def test_other_regions_give_a_channel_for_each_label() -> None:
    assert (SINGLE.kind, SINGLE.names) == ("labels", NAMES)
    lge = get_domain("lge").labels
    assert label_channels(lge.names, lge.regions).names == lge.names
    assert label_channels(NAMES, {"TC": (1, 3), "WT": (1, 2, 3)}).kind == "labels"  # ET and NCR are not told apart
    assert label_channels(NAMES, {"ET": (3,), "TC": (1, 3), "ED": (2,)}).kind == "labels"  # not nested


@pytest.mark.parametrize("channels", [NESTED, SINGLE], ids=["regions", "labels"])
def test_every_label_map_comes_back(channels) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (3, 4, 5, 6)).astype(np.uint8)
    assert np.array_equal(channels.decode(channels.encode(labels).astype(np.float32)), labels)


@pytest.mark.parametrize(("voxel", "label"), [
    ((0.9, 0.9, 0.4), 0),  # a core outside the whole tumour is no core
    ((0.9, 0.2, 0.8), 2),  # enhancing outside the core is not enhancing
    ((0.51, 0.6, 0.7), 3), ((0.5, 0.6, 0.7), 1)])
def test_regions_stay_inside_each_other(voxel: tuple[float, ...], label: int) -> None:
    voxels = np.array(voxel).reshape(1, 3, 1)
    assert NESTED.decode(voxels).item() == label
    assert NESTED.binary(voxels)[0, :, 0].tolist() == [label == 3, label in (1, 3), label > 0]


def test_of_labels_the_greatest_channel_wins() -> None:
    voxels = np.array([[0.3, 0.2], [0.1, 0.4], [0.3, 0.4], [0.2, 0.0]])[None]
    assert SINGLE.decode(voxels).tolist() == [[0, 1]]  # the first at a tie
    assert SINGLE.binary(voxels)[0].argmax(axis=0).tolist() == [0, 1]
