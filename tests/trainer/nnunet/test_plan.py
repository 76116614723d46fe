"""What nnU-Net is given of a cohort."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.nnunet.plan import DATASET_NAME, drawn_cases, write_raw_images


def test_a_segmenter_learns_what_a_reader_drew(tmp_path: Path) -> None:
    """The annotations of a cohort that has some, else its masks."""
    masks = np.ones((2, 8, 8), np.uint8)
    for name, columns, expected in (("read", {"annotations": 2 * masks}, 2), ("exact", {}, 1)):
        with create_dataset(tmp_path / f"{name}.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
            writer.append(images=np.zeros((2, 1, 8, 8), np.float32), masks=masks, subset=["train", "val"], **columns)
        write_raw_images(tmp_path / f"{name}.h5", tmp_path / name, "sha256")
        file = tmp_path / name / "raw" / DATASET_NAME / "labelsTr" / "slice_000001.mha"
        assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) == expected).all()


def test_cases_without_a_lesion_are_drawn_as_often_as_asked(tmp_path: Path) -> None:
    """Of four training slices one shows none: at a share of one half it stands in the list as often as the others."""
    masks = np.full((5, 8, 8), 2, np.uint8)
    masks[[0, 1, 3], 4, 4] = 3  # infarct
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((5, 1, 8, 8), np.float32), masks=masks, subset=["train"] * 4 + ["val"])
    shown = ["slice_000000", "slice_000001", "slice_000003"]
    assert sorted(drawn_cases(tmp_path / "a.h5", 0.5)) == sorted(shown + 3 * ["slice_000002"])
    with create_dataset(tmp_path / "b.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 8, 8), np.float32), masks=masks[:2], subset=["train", "val"])
    with pytest.raises(InputError, match="of 1 training images 0 hold no infarct"):
        drawn_cases(tmp_path / "b.h5", 0.5)
