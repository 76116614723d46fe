"""A dataset goes to folders of other programs and comes back the same."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("SimpleITK")
pytest.importorskip("onnx")

import SimpleITK as itk

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.files.derived import Derivation
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.scans.conversion.formats import FORMATS
from cldm_runtime.store import (
    MASK_ATTRIBUTES_FROM,
    DatasetSpec,
    are_mask_attributes_stale,
    create_dataset,
    edit_dataset,
    open_dataset,
    read_content,
)

LGE = get_domain("lge")
MASKS = np.random.default_rng(0).integers(0, 5, (6, 20, 24)).astype(np.uint8)


def content(path: Path) -> dict[str, Any]:
    """Everything in a file, read by h5py alone."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update(
            {name: (item[()].tobytes() if isinstance(item, h5py.Dataset) else b"", str(dict(item.attrs)))}))
        return {**found, "/": {name: (type(value), str(value)) for name, value in file.attrs.items()}}


def cohort(path: Path) -> Path:
    """Two channels, annotations, subsets, undefined attributes, intensities of -1 to 3."""
    spec = DatasetSpec(LGE, (20, 24), (1.5, 1.25), 2, (-1.0, 3.0), {"nature": "patients", "derived_from": "{}"})
    measured = LGE.measure(MASKS)
    with create_dataset(path, spec) as writer:
        writer.append(images=np.random.default_rng(1).random((6, 2, 20, 24)) * 4 - 1, masks=MASKS,
                      annotations=np.roll(MASKS, 1, 1), mask_attributes=measured.values * [[1, np.nan, 1, 1]],
                      mask_reasons=measured.reasons, subset=["train"] * 3 + ["val"] + ["test"] * 2,
                      patients=["P1", "P1", "P2", "P3", "Ä4", "P5"], slices=np.arange(6), pair=[0, 0, 1, 1, 2, 2],
                      given_row=[4, 4, 7, 7, 4, 4])
    with open_dataset(path) as dataset:
        made = read_content(dataset).only("masks").text()
    with edit_dataset(path) as editor:
        editor.set_metadata({MASK_ATTRIBUTES_FROM: made})
    return path


def volumes(path: Path) -> Path:
    """Of a declared domain, as a run writes them: with checksums and indices that do not begin at 0."""
    domain = Declaration("spleen", 3, {"background": 0, "spleen": 1}).domain()
    spec = DatasetSpec(domain, (3, 8, 9), (4.0, 1.0, 1.1), metadata={"seed": 3, "plan": "{}"}, checksums=True)
    rng = np.random.default_rng(0)
    with create_dataset(path, spec) as writer:
        writer.append(images=rng.random((4, 1, 3, 8, 9)), masks=rng.integers(0, 2, (4, 3, 8, 9), np.uint8),
                      sample_index=np.arange(40, 44))
    return path


@pytest.mark.parametrize(("make", "layout"), [(make, layout) for make, axes in ((cohort, 2), (volumes, 3))
                                              for layout, used in FORMATS.items() if axes in used.axes])
def test_the_way_back_is_the_same_file(tmp_path: Path, make: Any, layout: str) -> None:
    convert(make(tmp_path / "a.h5"), layout, tmp_path / "folder")
    convert(tmp_path / "folder", "h5", tmp_path / "b.h5")
    assert content(tmp_path / "b.h5") == content(tmp_path / "a.h5")


def test_from_folder_to_folder_is_the_same_file(tmp_path: Path) -> None:
    convert(cohort(tmp_path / "a.h5"), "png", tmp_path / "png")
    for number, layout in enumerate(("nnunet", "npz", "nifti")):
        convert(tmp_path / "png" if not number else tmp_path / str(number - 1), layout, tmp_path / str(number))
    convert(tmp_path / "2", "h5", tmp_path / "b.h5")
    assert content(tmp_path / "b.h5") == content(tmp_path / "a.h5")


def test_another_reader_sees_images_and_label_maps(tmp_path: Path) -> None:
    convert(cohort(tmp_path / "a.h5"), "nnunet", tmp_path / "n")
    with h5py.File(tmp_path / "a.h5") as file:
        image = file["images"][4, 1] * (4 / 65535) - 1
        annotation = file["annotations"][4]
    found = itk.GetArrayFromImage(itk.ReadImage(str(tmp_path / "n/imagesTs/sample00004_0001.nii.gz")))
    assert found.dtype == np.float32 and np.allclose(found[0], image, atol=1e-6)
    found = itk.GetArrayFromImage(itk.ReadImage(str(tmp_path / "n/labelsTs/sample00004.nii.gz")))
    assert np.array_equal(found[0], annotation)


def even(count: int, columns: Any) -> np.ndarray:
    return np.arange(0, count, 2)


def test_some_rows_are_a_dataset_of_their_own(tmp_path: Path) -> None:
    """Its record of what was measured is of its own label maps; what it was made from is not said any more."""
    convert(cohort(tmp_path / "a.h5"), "h5", tmp_path / "b.h5", choose=even)
    with open_dataset(tmp_path / "a.h5") as whole, open_dataset(tmp_path / "b.h5") as part:
        assert np.array_equal(part.stored_images(), whole.stored_images()[::2])
        assert np.array_equal(part.masks(), MASKS[::2]) and part.patients.tolist() == ["P1", "P2", "Ä4"]  # type: ignore[union-attr]
        assert not are_mask_attributes_stale(part, read_content(part))
        assert Derivation.read(str(part.metadata[MASK_ATTRIBUTES_FROM])) and "derived_from" not in part.metadata


def drop_labels(folder: Path) -> None:
    for path in folder.glob("labels*/sample00002*"):
        path.unlink()
    (folder / "imagesTr" / "other_0000.nii.gz").write_bytes(b"")


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    convert(volumes(tmp_path / "a.h5"), "nnunet", tmp_path / "n")
    drop_labels(tmp_path / "n")
    with pytest.raises(InputError) as error:
        convert(tmp_path / "n", "h5", tmp_path / "b.h5")
    for words in ("labelsTr/sample00002.nii.gz: is missing", "imagesTr/other_0000.nii.gz: belongs to no sample"):
        assert words in str(error.value)
    assert not (tmp_path / "b.h5").exists()


def test_changed_labels_are_named_and_what_was_measured_is_left_out(tmp_path: Path) -> None:
    convert(cohort(tmp_path / "a.h5"), "png", tmp_path / "p")
    itk.WriteImage(itk.GetImageFromArray(np.zeros((20, 24), np.uint8)), str(tmp_path / "p/truth/sample00003.png"))
    notes = convert(tmp_path / "p", "h5", tmp_path / "b.h5").notes
    with open_dataset(tmp_path / "b.h5") as dataset:
        assert not dataset.masks(3).any() and np.array_equal(dataset.masks(2), MASKS[2])
        assert "mask_attributes" not in dataset and dataset.nature == "patients"
        assert dataset.metadata["source"] == "cldm convert" and MASK_ATTRIBUTES_FROM not in dataset.metadata
    assert "1 of 6 samples were changed since they were written (sample00003)" in notes[0]


def test_every_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    convert(cohort(tmp_path / "a.h5"), "png", tmp_path / "p")
    shutil.copy(tmp_path / "p/labels/sample00001.png", tmp_path / "p/images/sample00000_0001.png")
    itk.WriteImage(itk.GetImageFromArray(np.full((20, 24), 9, np.uint8)), str(tmp_path / "p/labels/sample00003.png"))
    itk.WriteImage(itk.GetImageFromArray(np.zeros((20, 25), np.uint8)), str(tmp_path / "p/truth/sample00005.png"))
    with pytest.raises(InputError) as error:
        convert(tmp_path / "p", "npz", tmp_path / "z")
    for words in ("sample00000_0001.png: its pixels are uint8, expected 16 bits", r"unknown label values [9]",
                  "sample00005.png: its shape is (20, 25), expected (20, 24)"):
        assert words in str(error.value)
    assert not (tmp_path / "z").exists()


def test_without_labels_all_is_for_prediction(tmp_path: Path) -> None:
    convert(cohort(tmp_path / "a.h5"), "nnunet", tmp_path / "n", labels=False)
    assert sorted(path.name for path in (tmp_path / "n").iterdir() if path.is_dir()) == ["imagesTs"]
    convert(tmp_path / "n", "h5", tmp_path / "b.h5")
    with open_dataset(tmp_path / "b.h5") as dataset:
        assert "masks" not in dataset and "annotations" not in dataset and "mask_attributes" in dataset


def test_stale_attributes_are_refused(tmp_path: Path) -> None:
    with h5py.File(cohort(tmp_path / "a.h5"), "r+") as file:
        file["masks"][0, 0, 0] = 4 - file["masks"][0, 0, 0]
    with pytest.raises(DatasetError, match=r"Run `cldm measure .*` first"):
        convert(tmp_path / "a.h5", "npz", tmp_path / "z")


@pytest.mark.parametrize(("put", "overwrite", "words"), [
    ("", False, "is not empty"), ("imagesTr/mine.txt", True, "holds 1 file(s) that `cldm convert` did not write")])
def test_a_folder_that_holds_something_is_refused(tmp_path: Path, put: str, overwrite: bool, words: str) -> None:
    convert(volumes(tmp_path / "a.h5"), "nnunet", tmp_path / "n")
    if put:
        (tmp_path / "n" / put).write_text("mine")
    with pytest.raises(InputError) as error:
        convert(tmp_path / "a.h5", "nifti", tmp_path / "n", overwrite=overwrite)
    assert words in str(error.value) and put in str(error.value) and (tmp_path / "n" / "dataset.json").exists()


def test_an_earlier_conversion_is_replaced(tmp_path: Path) -> None:
    convert(volumes(tmp_path / "a.h5"), "nnunet", tmp_path / "n")
    convert(tmp_path / "a.h5", "nifti", tmp_path / "n", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "n").iterdir()) == ["images", "labels", "samples.csv",
                                                                        "samples.json"]


def test_a_folder_of_strangers_is_sent_to_prepare(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(InputError, match="become a dataset with `cldm prepare"):
        convert(tmp_path / "raw", "h5", tmp_path / "b.h5")


def test_volumes_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds slices\. Choose another format: nnunet, nifti, dicom, npz"):
        convert(volumes(tmp_path / "a.h5"), "png", tmp_path / "p")
