"""What nnU-Net is given of a cohort."""

from pathlib import Path

import numpy as np
import SimpleITK

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.nnunet.plan import DATASET_NAME, write_raw_images


def test_a_segmenter_learns_what_a_reader_drew(tmp_path: Path) -> None:
    """The annotations of a cohort that has some, else its masks."""
    masks = np.ones((2, 8, 8), np.uint8)
    for name, columns, expected in (("read", {"annotations": 2 * masks}, 2), ("exact", {}, 1)):
        with create_dataset(tmp_path / f"{name}.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
            writer.append(images=np.zeros((2, 1, 8, 8), np.float32), masks=masks, subset=["train", "val"], **columns)
        write_raw_images(tmp_path / f"{name}.h5", tmp_path / name, "sha256")
        file = tmp_path / name / "raw" / DATASET_NAME / "labelsTr" / "slice_000001.mha"
        assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) == expected).all()
