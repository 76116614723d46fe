"""Regions that overlap become one label map by rule, or an error."""

from pathlib import Path

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.files import read_header
from cldm_runtime.scans.dicom.frames import frames_of
from cldm_runtime.scans.dicom.masks import DicomMask, drawing_order, read_mask
from cldm_runtime.scans.dicom.stacks import stacks_of


def span(first: int, last: int) -> np.ndarray:
    return (np.arange(100) >= first) & (np.arange(100) < last)


def test_what_lies_within_is_on_top() -> None:
    regions = {"scar": span(10, 20), "epi": span(0, 60), "endo": span(30, 60)}
    assert drawing_order(regions, ()) == ["epi", "endo", "scar"]
    assert drawing_order({"a": span(0, 50), "b": span(48, 90)}, ()) == ["a", "b"]  # they touch


def test_other_overlaps_need_the_users_order() -> None:
    regions = {"scar": span(0, 40), "cavity": span(30, 90)}
    with pytest.raises(InputError, match=r"'cavity' and 'scar' overlap in 10 voxels, 25% of the smaller one, and "
                                         r"neither lies within the other. Name both in \[prepare.labels\]"):
        drawing_order(regions, ("scar",))
    assert drawing_order(regions, ("scar", "cavity")) == ["scar", "cavity"]
    assert drawing_order(regions, ("cavity", "scar")) == ["cavity", "scar"]
    assert drawing_order({**regions, "body": span(0, 100)}, ("scar", "cavity")) == ["body", "scar", "cavity"]


def test_files_of_one_region_each_make_one_map(tmp_path: Path) -> None:
    images = write.series(np.zeros((2, 6, 7), np.uint16))
    files = write.save(tmp_path, *images)
    (group,) = stacks_of([frame for file in files for frame in frames_of(file, read_header(file))])
    wall = np.indices((2, 6, 7))[2] < 5
    masks = [write.segmentation(images, wall, names={1: "Wall"}),
             write.contours(images, {"Scar": {0: [[(0.5, 0.5), (0.5, 2.5), (2.5, 2.5), (2.5, 0.5)]]}})]
    drawn = tuple(write.save(tmp_path, *masks, stem="MASK"))
    labels, spacing, _ = read_mask(DicomMask(drawn, group.stack, (("wall", 7), ("scar", 9))))
    assert np.unique(labels, return_counts=True)[1].tolist() == [2 * 6 * 2, 2 * 6 * 5 - 4, 4]
    assert labels[0, 1, 1] == 9 and labels[1, 1, 1] == 7 and spacing == (8, 1.5, 1.25)
    with pytest.raises(InputError, match=r"MASK000.dcm: region 'wall' is in MASK000.dcm too"):
        read_mask(DicomMask((drawn[0], drawn[0]), group.stack, (("wall", 7),)))
