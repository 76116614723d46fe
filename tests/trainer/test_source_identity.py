"""A patient's name in the raw data gets into nothing that is made from them: cohort, runs, bundles, images, reports.

It is planted where it stands in practice: in the headers and extensions of NIfTI files, in the names of cases, files
and folders, and in dataset.json. The commands run as a user runs them, and all that they wrote or said is searched, as
text of several encodings and inside of what is compressed.
"""

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

import dicom_fixtures
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.scans.nnunet_raw import write_nifti
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cohort_fixtures import draw_anatomy
from onnx_fixtures import GREYS
from short_run_fixtures import SHORT

ROOT = Path(__file__).parents[2]
NAME, BORN = "Qvistgaard", "1957-03-0"
CONFIG = """
extends = "short.toml"
[run]
name = "site"
folder = "runs"
[prepare]
raw = "archive/Qvistgaard^Erika/raw"
workers = 1
[segmenter]
planned = false
features = [4, 8, 8]
batch_size = 2
epochs = 1
iterations_per_epoch = 20
validation_iterations_per_epoch = 1
[export]
generator = "lge"
segmenter = "lge-segmenter"
"""
MODULES = {"cldm-train": "cldm_trainer.cli", "cldm": "cldm_runtime.cli.main"}
COMMANDS = [["cldm-train", "all", "--config", "site.toml"],
            ["cldm-train", "export", "--config", "site.toml", "--no-torchscript"],
            ["cldm", "gen", "--n", "4", "--bundle", "lge", "--masks", "cohort/cohort.h5", "--out", "made.h5"],
            ["cldm", "evaluate", "made.h5", "--segmenter", "lge-segmenter", "--out", "report"],
            ["cldm", "evaluate", "cohort/cohort.h5", "--segmenter", "lge-segmenter", "--out", "report-of-scans"]]


def write_raw(folder: Path) -> None:
    """Five cases of three slices that name their patient wherever NIfTI and nnU-Net have room for it."""
    cases = [f"{NAME}_Erika_{BORN}{day}" for day in range(1, 6)]
    rng = np.random.default_rng(0)
    for number, case in enumerate(cases):
        drawn = np.stack([draw_anatomy(10 * number + i, 0.1 * i) for i in range(3)])
        maps = np.pad(drawn, [(0, 0), (20, 20), (20, 20)])
        scan = (500 * GREYS[maps] + 20 * rng.standard_normal(maps.shape)).astype(np.float32)
        for kind, ending, array in (("images", "_0000", scan), ("labels", "", maps)):
            part = "Ts" if number == 4 else "Tr"
            (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
            file = folder / f"{kind}{part}" / f"{case}{ending}.nii.gz"
            write_nifti(file, array, (8.0, 1.0, 1.0))
            name_patient(file)
    write_json(folder / "dataset.json", {
        "name": f"{NAME} study", "description": f"scans of {NAME}", "channel_names": {"0": "LGE"},
        "labels": {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3, "mvo": 4},
        "file_ending": ".nii.gz"})
    write_json(folder / "patients.json", {case: f"{NAME}-{number}" for number, case in enumerate(cases)})
    write_json(folder / "splits_final.json", [{"train": cases[:3], "val": cases[3:4]}])


def write_dicom(folder: Path) -> None:
    """A series and its SEG that name their patient wherever DICOM has room for it, private elements included."""
    maps = np.pad(np.stack([draw_anatomy(i, 0.1 * i) for i in range(4)]), [(0, 0), (20, 20), (20, 20)])
    images = dicom_fixtures.series((500 * GREYS[maps]).astype(np.uint16), patient=f"{NAME}-1")
    for image in images:
        image.PatientName = image.ReferringPhysicianName = image.OperatorsName = f"{NAME}^Erika"
        for keyword in ("InstitutionName", "StudyDescription", "SeriesDescription", "ImageComments", "AccessionNumber",
                        "StudyID", "ProtocolName"):
            setattr(image, keyword, NAME)
        image.PatientBirthDate = "19570301"
        image.private_block(0x0033, NAME, create=True).add_new(1, "LO", f"{NAME} {BORN}1")
    mask = dicom_fixtures.segmentation(images, maps)
    mask.ContentCreatorName = mask.ContentDescription = mask.SeriesDescription = mask.Manufacturer = NAME
    dicom_fixtures.save(folder / "scan", *images)
    dicom_fixtures.save(folder, mask, stem="SEG")


def name_patient(file: Path) -> None:
    image = nibabel.load(file)
    for field in ("descrip", "db_name", "intent_name", "aux_file"):
        image.header[field] = f"{NAME}^E".encode()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"patient {NAME}".encode()))
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), file)


def contents(data: bytes, depth: int = 3) -> Iterator[bytes]:
    """The bytes, and what can be unpacked from them: zip members, gzip, zlib as in the chunks of HDF5 and PNG."""
    yield data
    if depth == 0:
        return
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                yield from contents(archive.read(member), depth - 1)
    if data[:2] == b"\x1f\x8b":
        yield from contents(gzip.decompress(data), depth - 1)
    for magic in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        at = data.find(magic)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj().decompress(data[at:], 2**24)
            at = data.find(magic, at + 1)


def values(file: Path) -> Iterator[bytes]:
    """What h5py reads: names, attributes and data, whatever filters they went through."""
    found: list[bytes] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found.append(name.encode() + repr(dict(item.attrs)).encode())
        if isinstance(item, h5py.Dataset):
            found.append(item[()].tobytes())

    with h5py.File(file) as opened:
        found.append(repr(dict(opened.attrs)).encode())
        opened.visititems(visit)
    yield from found


def names_patient(data: bytes) -> bool:
    lowered = data.lower()
    return any(word.lower().encode(encoding) in lowered for word in (NAME, BORN)
               for encoding in ("ascii", "utf-16-le", "utf-32-le"))


def leaks(folder: Path) -> list[str]:
    """Files below the folder that hold the name, or have it in theirs."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        unpacked = [str(file.relative_to(folder)).encode(), *contents(file.read_bytes())]
        if h5py.is_hdf5(file):
            unpacked += values(file)
        if any(map(names_patient, unpacked)):
            found.append(str(file.relative_to(folder)))
    return found


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw")
    for file in (tmp_path / "raw").rglob("*"):
        if file.is_file():
            file.rename(tmp_path / f"{len(list(tmp_path.iterdir()))}")
    text = f"... {NAME.upper()} ..."
    (tmp_path / "utf-16").write_bytes(text.encode("utf-16"))
    np.savez_compressed(tmp_path / "array.npz", a=np.array([text]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=np.array([text] * 9, "S32"), compression="gzip", shuffle=True)
    (tmp_path / "innocent").write_bytes(os.urandom(10_000))
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) == 5 * 2 + 3 + 4 and set(leaks(tmp_path)) == files - {"innocent"}


def test_the_cohort_does_not_name_the_patient(tmp_path: Path) -> None:
    write_raw(tmp_path / f"{NAME}^Erika")
    settings = PrepareSettings(shape=(128, 128), spacing_mm=(1.0, 1.0), workers=1)
    prepare(tmp_path / f"{NAME}^Erika", tmp_path / "cohort" / "cohort.h5", settings, "lge")
    assert (tmp_path / "cohort" / "cohort.h5").exists() and leaks(tmp_path / "cohort") == []


def test_nothing_of_a_dicom_header_gets_further(tmp_path: Path) -> None:
    """Neither into a cohort, nor into DICOM that is made of it, nor into what is said on the way."""
    write_dicom(tmp_path / "raw")
    assert leaks(tmp_path / "raw") == ["SEG000.dcm", *(f"scan/IM00{number}.dcm" for number in range(4))]
    said: list[str] = []
    settings = PrepareSettings(shape=(128, 128), spacing_mm=(1.5, 1.25), workers=1, nature="patients",
                               first_slice="base")
    prepare(tmp_path / "raw", tmp_path / "made" / "cohort.h5", settings, "lge", notes=said)
    said += convert(tmp_path / "made" / "cohort.h5", "dicom", tmp_path / "made" / "dicom").notes
    (tmp_path / "raw" / "scan" / "IM001.dcm").unlink()
    for layout in ("dicom", "auto"):
        with pytest.raises(InputError, match="there is a gap from 0 to 16 mm") as caught:
            prepare(tmp_path / "raw", tmp_path / "none.h5", PrepareSettings(layout=layout), "lge")
        said.append(str(caught.value))
    assert len(list((tmp_path / "made" / "dicom").rglob("*.dcm"))) == 8
    assert leaks(tmp_path / "made") == [] and not names_patient("\n".join(said).encode())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything was trained, exported, generated and evaluated. The raw data is below `archive`."""
    folder = tmp_path_factory.mktemp("site")
    write_raw(folder / "archive" / f"{NAME}^Erika" / "raw")
    (folder / "short.toml").write_text(SHORT)
    (folder / "site.toml").write_text(CONFIG)
    sources = os.pathsep.join(str(ROOT / part / "src") for part in ("runtime", "trainer"))
    (folder / "said").mkdir()
    for number, (program, *words) in enumerate(COMMANDS):
        run = "main()" if program == "cldm-train" else "sys.exit(run(cldm, sys.argv[1:]))"
        script = f"import sys\nfrom {MODULES[program]} import *\nif __name__ == '__main__':\n    {run}"
        (folder / f"{program}.py").write_text(script)
        done = subprocess.run([sys.executable, f"{program}.py", *words], cwd=folder, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": sources}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "said" / f"{number}.txt").write_text(done.stdout + done.stderr)
    return folder


@pytest.mark.long
def test_nothing_that_is_made_names_the_patient(site: Path) -> None:
    made = [site / name for name in ("cohort", "runs", "lge", "lge-segmenter", "report", "report-of-scans", "said")]
    assert all(any(folder.rglob("*")) for folder in made)
    assert {str(path.relative_to(site)): leaks(path) for path in made if leaks(path)} == {}
    with_name = [path.name for path in site.iterdir() if path.is_file() and names_patient(path.read_bytes())]
    assert with_name == ["site.toml"]  # which the user wrote


@pytest.mark.long
def test_the_manifests_hold_no_path_of_the_site(site: Path) -> None:
    for bundle in ("lge", "lge-segmenter"):
        text = (site / bundle / "manifest.json").read_text()
        assert "archive" not in text and str(site) not in text
        assert json.loads(text)["provenance"]["config"]["prepare"]["shape"] == [128, 128]
