"""Identifiers by content: UUIDs of version 5 in DICOM's form."""

import uuid

import numpy as np

from cldm_runtime.scans.dicom.uids import content_of, uid


def test_they_are_uuids_and_follow_role_and_identity() -> None:
    found = uid("image", "a", 1)
    prefix, number = found.rsplit(".", 1)
    assert prefix == "2.25" and uuid.UUID(int=int(number)).version == 5
    assert found == uid("image", "a", 1)
    assert len({found, uid("series", "a", 1), uid("image", "a", 2), uid("image", "a1")}) == 4


def test_content_is_values_types_and_shapes() -> None:
    zeros = np.zeros((2, 3), np.uint16)
    assert content_of(zeros) == content_of(zeros.copy())
    assert len({content_of(zeros), content_of(zeros.T), content_of(zeros.view(np.int16)), content_of(zeros + 1)}) == 4
