"""A wrong input of every way in and out of docs/your-own-data.md: what to write, and the command that refuses it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import layout_fixtures as layouts
import segmenter_fixtures as segmenters
from cldm_runtime.cli.main import cldm, run
from layout_fixtures import ring_stack, write_nii

Command = list[str]
Wrong = Callable[[Path], Command]
"""(empty folder) -> the arguments of `cldm`; bundles of the fixtures are in its folders `generator` and `segmenter`."""
_SETTINGS = "[cohort]\nfolder = {out}\n[prepare]\nraw = {raw}\n"


def prepare(folder: Path, more: str = "") -> Command:
    """`cldm prepare` of the folder `raw`. more: further lines of the settings."""
    text = _SETTINGS.format(out=json.dumps(str(folder / "out")), raw=json.dumps(str(folder / "raw")))
    (folder / "my.toml").write_text(text + more)
    return ["prepare", "--config", str(folder / "my.toml")]


def lacking(write: Callable[[Path], object], pattern: str) -> Wrong:
    """A dataset without the first file of that pattern."""
    def wrong(folder: Path) -> Command:
        write(folder / "raw")
        min((folder / "raw").rglob(pattern)).unlink()
        return prepare(folder)

    return wrong


def nnunet(folder: Path) -> None:
    for name in ("a", "b"):
        layouts.nnunet_case(folder, name, ring_stack(), ".nii.gz")
    layouts.describe_nnunet(folder, {"background": 0, "lv_cavity": 1}, ".nii.gz")


def pairs(folder: Path, values: int = 1, shape: tuple[int, int, int] = (7, 60, 64)) -> None:
    """Two folders with equal file names. values: what the label maps are multiplied by. shape: of the label map."""
    write_nii(folder / "images" / "a.nii.gz", layouts.picture_of(ring_stack()))
    write_nii(folder / "labels" / "a.nii.gz", ring_stack(shape) * np.uint8(values))


def wrong_values(folder: Path) -> Command:
    pairs(folder / "raw", values=10)
    return prepare(folder)


def jpeg(folder: Path) -> Command:
    pairs(folder / "raw")
    (folder / "raw" / "images" / "a.nii.gz").rename(folder / "raw" / "images" / "a.jpg")
    return prepare(folder)


def no_label_maps(folder: Path) -> Command:
    for file in layouts.acdc(folder / "raw").rglob("*_gt.nii.gz"):
        file.unlink()
    return prepare(folder)


def two_grids(folder: Path) -> Command:
    pairs(folder / "raw", shape=(7, 60, 60))
    return prepare(folder)


def damaged(folder: Path) -> Command:
    pairs(folder / "raw")
    (folder / "raw" / "images" / "a.nii.gz").write_bytes(b"no scan")
    return prepare(folder)


def same_name_twice(folder: Path) -> Command:
    for place in "xy":
        layouts.emidec(folder / "raw" / place, cases=("P001",))
    return prepare(folder, 'layout = "emidec"\n')


def no_layout(folder: Path) -> Command:
    write_nii(folder / "raw" / "scan.nii.gz", ring_stack())
    return prepare(folder)


def no_label_of_the_domain(folder: Path) -> Command:
    layouts.lascarqs(folder / "raw")
    return prepare(folder)


def dicom(folder: Path, maps: np.ndarray, kind: str = "") -> list[Any]:
    """A series in `scan`, and its SEG. kind: in the series description."""
    from dicom_fixtures import save, segmentation, series

    images = series(layouts.picture_of(maps).astype(np.uint16), patient=folder.name, SeriesDescription=kind)
    save(folder / "scan", *images)
    save(folder, segmentation(images, maps), stem="SEG")
    return images


def overlapping_contours(folder: Path) -> Command:
    from dicom_fixtures import contours, save

    images = dicom(folder / "raw", ring_stack())
    (folder / "raw" / "SEG000.dcm").unlink()
    square = np.array([(10.5, 10.5), (10.5, 20.5), (20.5, 20.5), (20.5, 10.5)])
    save(folder / "raw", contours(images, {"infarct": {0: [square]}, "lv_cavity": {0: [square + np.array([0, 7])]}}))
    return prepare(folder)


def two_phases(folder: Path) -> Command:
    from dicom_fixtures import save, uid

    images = dicom(folder / "raw", ring_stack())
    for number, image in enumerate(images):
        image.SOPInstanceUID, image.TriggerTime = uid("late", number), 600.0
    save(folder / "raw" / "scan", *images, stem="late")
    return prepare(folder)


def missing_slices(folder: Path) -> Command:
    dicom(folder / "raw", ring_stack())
    for number in (2, 3):
        (folder / "raw" / "scan" / f"IM00{number}.dcm").unlink()
    return prepare(folder)


def moved_mask(folder: Path) -> Command:
    from dicom_fixtures import save

    for image in (images := dicom(folder / "raw", ring_stack())):
        rows, columns = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        image.ImagePositionPatient = list(np.round(np.add(image.ImagePositionPatient, 4 * np.cross(rows, columns)), 6))
    save(folder / "raw" / "scan", *images)
    return prepare(folder)


def two_kinds(folder: Path) -> Command:
    for place, kind in (("a", "PSIR"), ("b", "MAG")):
        dicom(folder / "raw" / place, ring_stack(), kind)
    return prepare(folder)


def grid(text: str) -> Wrong:
    def wrong(folder: Path) -> Command:
        (folder / "grid.csv").write_text(text)
        return ["gen", "--n", "2", "--attributes", str(folder / "grid.csv"), "--bundle", str(folder / "generator"),
                "--out", str(folder / "samples.h5")]

    return wrong


def maps(folder: Path) -> Command:
    np.savez(folder / "maps.npz", masks=np.full((1, 128, 128), 9, np.uint8))
    return ["gen", "--n", "1", "--masks", str(folder / "maps.npz"), "--bundle", str(folder / "generator"),
            "--out", str(folder / "samples.h5")]


def evaluate(segmenter: Callable[[Path], object]) -> Wrong:
    """Of ten images that the fixtures draw. segmenter: writes what is wrong and returns what is passed."""
    def wrong(folder: Path) -> Command:
        segmenters.write_hearts(folder / "hearts.h5")
        return ["evaluate", str(folder / "hearts.h5"), "--segmenter", str(segmenter(folder))]

    return wrong


def other_network(folder: Path) -> Path:
    file = segmenters.describe(folder)
    file.write_text(f'sha256 = "{"0" * 64}"\n{file.read_text()}')
    return file


def no_such_function(folder: Path) -> str:
    return "json:segment"


def failing_program(folder: Path) -> Path:
    return segmenters.describe_program(folder, text="raise SystemExit('no licence')")


def missing_predictions(folder: Path) -> Path:
    (folder / "predicted").mkdir()
    for number in range(3):
        np.save(folder / "predicted" / f"sample{number:05d}.npy", segmenters.heart(90))
    return folder / "predicted"


def damaged_bundle(folder: Path) -> Path:
    manifest = folder / "segmenter" / "manifest.json"
    text = json.loads(manifest.read_text())
    text["format_version"] = 99
    manifest.write_text(json.dumps(text))
    return manifest.parent


def foreign_hdf5(folder: Path) -> Command:
    import h5py

    with h5py.File(folder / "scans.h5", "w") as file:
        file["images"] = np.zeros((2, 1, 8, 8), np.uint16)
    return ["measure", str(folder / "scans.h5")]


def converted(folder: Path, *options: str) -> Command:
    """`cldm convert` of images that the fixtures draw. options: after --to."""
    segmenters.write_hearts(folder / "hearts.h5")
    return ["convert", str(folder / "hearts.h5"), "--to", *options]


def converted_back(folder: Path) -> Command:
    """What `cldm convert` has written, without a label map."""
    assert run(cldm, converted(folder, "nnunet", "--out", str(folder / "raw"))) == 0
    (folder / "raw" / "labelsTr" / "sample00002.nii.gz").unlink()
    return ["convert", str(folder / "raw"), "--to", "h5", "--out", str(folder / "samples.h5")]


def folder_in_use(folder: Path) -> Command:
    (folder / "notes.txt").write_text("mine")
    return converted(folder, "nnunet", "--out", str(folder))


def file_in_use(folder: Path) -> Command:
    (folder / "mine.h5").write_text("mine")
    return [*grid("infarct_size\n0.2\n")(folder)[:-1], str(folder / "mine.h5")]


def report(*options: str) -> Wrong:
    def wrong(folder: Path) -> Command:
        segmenters.write_hearts(folder / "hearts.h5")
        return ["report", str(folder / "hearts.h5"), *options]

    return wrong


WAYS: dict[str, Wrong] = {
    "an nnU-Net raw dataset": lacking(nnunet, "labelsTr/*"),
    "EMIDEC": lacking(layouts.emidec, "Contours/*"),
    "MYOSAIQ": lacking(layouts.myosaiq, "labels/*"),
    "LAScarQS": lacking(layouts.lascarqs, "scarSegImgM*"),
    "MyoPS": lacking(layouts.myops, "train25/*_T2.nii.gz"),
    "MS-CMRSeg": lacking(layouts.ms_cmrseg, "*_LGE_manual*"),
    "ACDC": lacking(layouts.acdc, "training/*/*_frame01_gt*"),
    "BraTS": lacking(layouts.brats, "*-t2f*"),
    "folders of SegGuidedDiff": lacking(layouts.seg_guided, "mask/all/train/*"),
    "two folders with equal names": lacking(pairs, "labels/*"),
    "DICOM with SEG": lacking(lambda folder: dicom(folder, ring_stack((1, 60, 64))), "scan/*"),
    "DICOM with RTSTRUCT": overlapping_contours,
    "any other names": lambda folder: prepare(folder, 'image_files = "images/a.nii"\nlabel_files = "{case}.nii"\n'),
    "attributes, as a table": grid("infarct_size,lesion\n0.2,1\n"),
    "label maps": maps,
    "a segmenter: a bundle": evaluate(damaged_bundle),
    "a segmenter: an ONNX file": evaluate(other_network),
    "a segmenter: a function": evaluate(no_such_function),
    "a segmenter: a program": evaluate(failing_program),
    "predictions": evaluate(missing_predictions),
    "files that `cldm convert` wrote": converted_back,
    "an HDF5 file of your own": foreign_hdf5,
}
FOLDERS: dict[str, Wrong] = {
    "no such folder": prepare,
    "a folder in no layout": no_layout,
    "no label map at all": no_label_maps,
    "an image without its label map, or the reverse": lacking(layouts.emidec, "Contours/*"),
    "an ending that is not read": jpeg,
    "the same name twice": same_name_twice,
    "an unknown layout": lambda folder: prepare(folder, 'layout = "acda"\n'),
    "a pattern without a case": WAYS["any other names"],
    "a value without a name": wrong_values,
    "a label that the domain lacks": no_label_of_the_domain,
    "two grids": two_grids,
    "DICOM: two phases of a scan in one series": two_phases,
    "DICOM: missing slices": missing_slices,
    "DICOM: a mask on another grid": moved_mask,
    "DICOM: PSIR in one case, magnitude in another": two_kinds,
    "a damaged file": damaged,
}
OUT: dict[str, Wrong] = {
    "an nnU-Net raw dataset": folder_in_use,
    "NIfTI files": lambda folder: converted(folder, "nifti", "--out", str(folder / "x"), "--rows", "0:99"),
    "PNG files": lambda folder: converted(folder, "png", "--out", str(folder / "x"), "--subset", "test"),
    "DICOM files": lambda folder: converted(folder, "dicom", "--out", str(folder / "x"), "--rows", "2:1"),
    "npz files": lambda folder: converted(folder, "npz", "--out", str(folder / "x"), "--rows", "first"),
    "generated images, a dataset file": file_in_use,
    "a report": report(),
    "a comparison of segmenters": report("--segmentation", "a", "--segmentation", "b"),
}
