"""Datasets of tiny hearts, written file by file in the layouts of public datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cldm_runtime.files.atomic import write_json

Labels = NDArray[np.uint8]
SPACING = (10.0, 1.4, 1.4)  # z, y, x
IN_DOMAIN = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}


def ring_stack(shape: tuple[int, int, int] = (7, 60, 64), infarct: bool = True) -> Labels:
    """(Z, H, W): 1 cavity, 2 wall around it, 3 infarct with 4 in it at one side; the rings grow from slice to slice."""
    y, x = np.mgrid[:shape[1], :shape[2]] - np.array([shape[1] // 2, shape[2] // 2])[:, None, None]
    radius, stack = np.hypot(y, x), []
    for z in range(shape[0]):
        inner, outer = 5 + 0.5 * z, 11 + 0.5 * z
        wall = np.where((x > 3) & infarct, 3, 2)
        wall = np.where((x > inner + 1) & (abs(y) < 3) & infarct, 4, wall)
        stack.append(np.where(radius < inner, 1, np.where(radius < outer, wall, 0)))
    return np.stack(stack).astype(np.uint8)


def picture_of(labels: Labels, seed: int = 0) -> NDArray[np.float64]:
    """Intensities that follow the labels, with noise: no two pixels are equal."""
    noise = np.random.default_rng(seed).random(labels.shape)
    return np.asarray(labels * 50.0 + 20 * noise)


def write_nii(file: Path, array: NDArray[np.generic], spacing: Sequence[float] = SPACING,
              signs: Sequence[int] = (1, 1, 1), affine: NDArray[np.float64] | None = None) -> None:
    """(Z, H, W). signs: of the axes x, y, z in space; (-1, -1, 1) is LPS."""
    file.parent.mkdir(parents=True, exist_ok=True)
    place = np.diag([*(sign * step for sign, step in zip(signs, reversed(spacing), strict=True)), 1.0])
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), place if affine is None else affine), file)


def revalued(labels: Labels, values: Mapping[int, int], dtype: type = np.int16) -> NDArray[np.generic]:
    """The label map in the values of another dataset: value here -> value there."""
    table = np.zeros(5, dtype)
    table[list(values)] = list(values.values())
    return table[labels]


def emidec(folder: Path, cases: Sequence[str] = ("P001", "N002", "P003"), affine: NDArray[np.float64] | None = None
           ) -> Path:
    """As the files are: float64 images and contours, LPS, an offset of 2048, and exact zeros where a slice was shifted.

    affine: of the contours, where it differs."""
    for seed, case in enumerate(cases):
        labels = ring_stack((7 + seed, 148, 246), infarct=case.startswith("P"))
        image = picture_of(labels, seed) + 2048
        for z in range(len(image)):
            image[z, :14 + z], image[z, :, -16:] = 0, 0  # 15 to 20 % of the slice
        file = f"Case_{case}.nii.gz"
        write_nii(folder / f"Case_{case}" / "Images" / file, image, (10.0, 1.42, 1.42), (-1, -1, 1))
        write_nii(folder / f"Case_{case}" / "Contours" / file, labels.astype(np.float64), (10.0, 1.42, 1.42),
                  (-1, -1, 1), affine)
        (folder / f"Case {case}.txt").write_text("Sex : F\nAge : 66\n")
    return folder


def myosaiq(folder: Path) -> Path:
    for name, time in (("001_D8", "D8"), ("001_M1", "M1"), ("002_M1", "M1"), ("002_M12", "M12")):
        labels = ring_stack()
        write_nii(folder / "training" / f"{time}_postMI" / "images" / f"{name}.nii.gz", picture_of(labels))
        write_nii(folder / "training" / f"{time}_postMI" / "labels" / f"{name}.nii.gz", labels)
    return folder


def lascarqs(folder: Path, scar: bool = True) -> Path:
    """Two files of one region each, whose values are 420 and 255 and not 1."""
    for case in ("train_1", "train_2"):
        labels = ring_stack()
        write_nii(folder / "train_data" / case / "enhanced.nii.gz", picture_of(labels))
        write_nii(folder / "train_data" / case / "atriumSegImgMO.nii.gz", np.int16(420) * (labels == 1))
        if scar:
            write_nii(folder / "train_data" / case / "scarSegImgM.nii.gz", np.int16(255) * (labels == 3))
    write_nii(folder / "test_data" / "test_1" / "enhanced.nii.gz", picture_of(ring_stack()))
    return folder


MYOPS = {0: 0, 1: 500, 2: 200, 3: 2221, 4: 1220}


def myops(folder: Path) -> Path:
    for number in (101, 102):
        labels = ring_stack()
        for seed, sequence in enumerate(("C0", "DE", "T2")):
            write_nii(folder / "train25" / f"myops_training_{number}_{sequence}.nii.gz", picture_of(labels, seed))
        write_nii(folder / "train25_myops_gd" / f"myops_training_{number}_gd.nii.gz", revalued(labels, MYOPS))
    for sequence in ("C0", "DE", "T2"):
        write_nii(folder / "test20" / f"myops_test_201_{sequence}.nii.gz", picture_of(ring_stack()))
    return folder


MS_CMRSEG = {0: 0, 1: 500, 2: 200, 3: 600}


def ms_cmrseg(folder: Path) -> Path:
    """Sequences of other sizes lie next to the LGE images, as they do there; 3 is the right ventricle here."""
    for number in (6, 7):
        labels = np.where(ring_stack() == 4, 3, ring_stack()).astype(np.uint8)
        write_nii(folder / "c0t2lge" / f"patient{number}_LGE.nii.gz", picture_of(labels))
        write_nii(folder / "c0t2lge" / f"patient{number}_C0.nii.gz", picture_of(ring_stack((5, 40, 40))))
        write_nii(folder / "lgegt" / f"patient{number}_LGE_manual.nii.gz", revalued(labels, MS_CMRSEG))
        write_nii(folder / "c0gt" / f"patient{number}_C0_manual.nii.gz", ring_stack((5, 40, 40)))
    return folder


ACDC = {0: 0, 1: 3, 2: 2, 3: 1}


def acdc(folder: Path) -> Path:
    for patient, subset in (("patient001", "training"), ("patient002", "training"), ("patient101", "testing")):
        place = folder / "database" / subset / patient
        for frame in ("01", "12"):
            labels = np.where(ring_stack() == 4, 3, ring_stack()).astype(np.uint8)
            write_nii(place / f"{patient}_frame{frame}.nii.gz", picture_of(labels))
            write_nii(place / f"{patient}_frame{frame}_gt.nii.gz", revalued(labels, ACDC, np.uint8))
        (place / f"{patient}_4d.nii.gz").write_bytes(b"cine")
        (place / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n")
    return folder


def brats(folder: Path, *, older: bool = False, enhancing: int = 3) -> Path:
    """Four sequences of a case, zero outside the head; `older` is the layout of the challenges until 2021."""
    names = ("t1", "t1ce", "t2", "flair") if older else ("t1n", "t1c", "t2w", "t2f")
    cases = ("BraTS2021_00000", "BraTS2021_00002") if older else ("BraTS-GLI-00000-000", "BraTS-GLI-00000-001",
                                                                   "BraTS-GLI-00002-000")
    dash = "_" if older else "-"
    for case in cases:
        labels = ring_stack((16, 24, 24), infarct=True)
        for seed, name in enumerate(names):
            write_nii(folder / case / f"{case}{dash}{name}.nii.gz", picture_of(labels, seed) * (labels > 0), (1, 1, 1))
        tumour = revalued(labels, {0: 0, 1: 1, 2: 2, 3: enhancing, 4: enhancing}, np.uint8)
        write_nii(folder / case / f"{case}{dash}seg.nii.gz", tumour, (1, 1, 1))
    return folder


def seg_guided(folder: Path, ending: str = ".png") -> Path:
    """Grey PNG files, or arrays, of one slice; the same names in every part."""
    for part in ("train", "val", "test"):
        for number in (1, 2):
            labels = ring_stack((number, 60, 64))[-1]
            for place, pixels in ((f"img/{part}", picture_of(labels)), (f"mask/all/{part}", labels)):
                (folder / place).mkdir(parents=True, exist_ok=True)
                file = folder / place / f"tr_{number}{ending}"
                if ending == ".npy":
                    np.save(file, pixels.astype(np.uint8))
                else:
                    Image.fromarray(pixels.astype(np.uint8)).save(file)
    return folder


def nnunet_case(folder: Path, name: str, labels: Labels, ending: str) -> None:
    """A case of one channel: a volume, one slice as 2-D NIfTI, or a picture."""
    for place, array in ((f"imagesTr/{name}_0000", picture_of(labels)), (f"labelsTr/{name}", labels)):
        file = folder / f"{place}{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".png":
            Image.fromarray(array[0].astype(np.uint8)).save(file)
        elif len(labels) == 1:
            nibabel.save(nibabel.Nifti1Image(array[0].T, np.diag([1.4, 1.4, 1.0, 1.0])), file)
        else:
            write_nii(file, array)


def describe_nnunet(folder: Path, labels: Mapping[str, object], ending: str) -> None:
    write_json(folder / "dataset.json", {"channel_names": {"0": "LGE"}, "labels": dict(labels), "numTraining": 3,
                                         "file_ending": ending})
