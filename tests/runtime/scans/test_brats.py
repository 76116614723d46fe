"""Folders in the layout of BraTS from 2023: the phantom writes them, and `prepare` reads them as it reads others'."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.cli.prepare import prepare as prepare_command
from cldm_runtime.errors import InputError
from cldm_runtime.scans.phantom_cohort import write_phantom_cohort
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings
from cldm_runtime.store import open_dataset

DOMAIN = str(Path(__file__).parents[3] / "trainer" / "configs" / "domains" / "brain.toml")
SEQUENCES = ("t1n", "t1c", "t2w", "t2f")
SETTINGS = PrepareSettings(shape=(24, 24, 24), spacing_mm=(8.0, 8.0, 8.0), centre="image", margin_mm=0.0,
                           channels="all", workers=1, image_order=1)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def phantom_settings(folder: Path, **changes: object) -> CohortSettings:
    return CohortSettings(str(folder), DOMAIN, patients={"train": 1, "val": 0, "test": 1},
                          phantom_shape=(24, 24, 24), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "raw"
    assert write_phantom_cohort(phantom_settings(folder), folder, workers=1) == (2, 2)
    return folder


def case_folder(folder: Path, name: str, *, kind: type = np.float32, labels: tuple[int, ...] = (1, 2, 3),
                prefix: str = "") -> Path:
    """Twenty-four voxels a side: a head of noise with a tumour of three values, zero outside."""
    place, rng = folder / prefix / name, np.random.default_rng(0)
    place.mkdir(parents=True)
    brain = np.zeros((24, 24, 24), bool)
    brain[4:20, 3:21, 5:20] = True
    tumour = np.zeros(brain.shape, np.uint8)
    for number, value in enumerate(labels):
        tumour[8:12, 8:12, 8 + 2 * number:10 + 2 * number] = value
    for sequence in SEQUENCES:
        image = np.where(brain, rng.uniform(40, 200, brain.shape), 0).astype(kind)
        save(place / f"{name}-{sequence}.nii.gz", image)
    save(place / f"{name}-seg.nii.gz", tumour)
    return place


def save(file: Path, array: np.ndarray, affine: np.ndarray = LPS) -> None:
    nibabel.save(nibabel.Nifti1Image(array.T, affine), file)


def changed(file: Path, change: object) -> None:
    save(file, change(np.asarray(nibabel.load(file).dataobj).T))  # type: ignore[operator]


def prepared(folder: Path, **changes: object) -> dict[str, int]:
    settings = PrepareSettings(**{**vars(SETTINGS), "spacing_mm": (1.0, 1.0, 1.0), **changes})  # type: ignore[arg-type]
    counts = prepare(folder, folder.parent / "cohort.h5", settings, DOMAIN, overwrite=True)
    return {name: count.samples for name, count in counts.items()}


def test_the_phantom_is_written_as_brats_is(drawn):
    files = sorted(str(file.relative_to(drawn)) for file in drawn.rglob("*.nii.gz"))
    assert files[:2] == ["BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg.nii.gz",
                         "BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz"] and len(files) == 10
    assert json.loads((drawn / "subsets.json").read_text()) == {"train": ["BraTS-GLI-00000-000"],
                                                                "test": ["BraTS-GLI-40000-000"]}
    image = nibabel.load(drawn / files[1])
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S") and image.get_data_dtype() == np.int16
    assert image.affine[1, 3] == pytest.approx(23 * image.header.get_zooms()[1])
    assert not (drawn / "dataset.json").exists()


def test_prepare_reads_the_phantom_with_four_channels(drawn, tmp_path):
    counts = prepare(drawn, tmp_path / "cohort.h5", SETTINGS, DOMAIN)
    assert {name: count.samples for name, count in counts.items()} == {"train": 1, "test": 1}
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert cohort.images(slice(0, 2)).shape == (2, 4, 24, 24, 24) and cohort.nature == "phantom"
        names = cohort.load_domain().attribute_names
        volumes = cohort.mask_attributes[:, names.index("whole_tumour_volume")]
        assert set(np.unique(cohort.masks())) <= {0, 1, 2, 3} and volumes.max() > 1000


def test_another_size_is_another_cohort(drawn):
    larger = CohortSettings(**{**vars(phantom_settings(drawn)), "phantom_shape": (24, 24, 28)})
    with pytest.raises(InputError, match=r"another recipe.*'shape': \[24, 24, 24\]"):
        write_phantom_cohort(larger, drawn, workers=1)
    with pytest.raises(InputError, match=r"phantom_shape: found \[8, 8\], expected three numbers of 24 or more"):
        write_phantom_cohort(CohortSettings(**{**vars(larger), "phantom_shape": (8, 8)}), drawn, workers=1)
    with pytest.raises(InputError, match="the volumes of lge-1 have one size"):
        write_phantom_cohort(CohortSettings(str(drawn), "lge", phantom_shape=(24, 24, 24)), drawn, workers=1)


def test_numbers_of_brats_are_five_digits(drawn):
    many = CohortSettings(**{**vars(phantom_settings(drawn)), "first_patient": 20_000})
    with pytest.raises(InputError, match="20001 patients of a subset, expected at most 20000"):
        write_phantom_cohort(many, drawn, workers=1)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_every_type_of_voxel_gives_the_same(kind, tmp_path):
    for name in ("BraTS-GLI-00000-000", "BraTS-SSA-00001-000", "case7-001"):
        case_folder(tmp_path / "raw", name, kind=kind, prefix="ASNR-MICCAI-Data" if kind == np.uint8 else "")
    assert prepared(tmp_path / "raw") == {"train": 2, "val": 1}
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        labels = cohort.masks()
        assert [int((labels == value).sum()) for value in (1, 2, 3)] == [3 * 32] * 3


def test_another_grid_is_resampled(tmp_path):
    place = case_folder(tmp_path / "raw", "BraTS-GLI-00000-000")
    for file in place.iterdir():
        array = np.asarray(nibabel.load(file).dataobj).T
        save(file, array.repeat(2, axis=0), LPS @ np.diag([1.0, 1.0, 0.5, 1.0]))
    case_folder(tmp_path / "raw", "BraTS-GLI-00001-000")
    prepared(tmp_path / "raw")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        one, other = cohort.masks()
        np.testing.assert_array_equal(one, other)


def test_a_missing_sequence_is_named(tmp_path):
    place = case_folder(tmp_path / "raw", "BraTS-GLI-00000-000")
    case_folder(tmp_path / "raw", "BraTS-GLI-00001-000")
    (place / f"{place.name}-t2f.nii.gz").unlink()
    with pytest.raises(InputError, match=r"case BraTS-GLI-00000-000: .* is there, .*-t2f\.nii\[\.gz\] is missing"):
        prepared(tmp_path / "raw")
    assert not (tmp_path / "cohort.h5").exists()


FAULTS = {
    "shape": ("t1c", lambda image: image[:-1], "the image is 23x24x24 pixels .* its label map 24x24x24"),
    "NaN": ("t2w", lambda image: np.where(image > 150, np.nan, image), r"not finite \(NaN\).*prepare\.nan"),
    "empty": ("t1n", np.zeros_like, "channel 0: .*(constant|padding)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_a_message(name, tmp_path):
    sequence, change, message = FAULTS[name]
    place = case_folder(tmp_path / "raw", "BraTS-GLI-00000-000")
    changed(place / f"{place.name}-{sequence}.nii.gz", change)
    with pytest.raises(InputError, match=f"case BraTS-GLI-00000-000: .*{message}"):
        prepared(tmp_path / "raw")
    assert not (tmp_path / "cohort.h5").exists()


def test_differing_affines_have_a_message(tmp_path):
    place = case_folder(tmp_path / "raw", "BraTS-GLI-00000-000")
    file = place / f"{place.name}-t2f.nii.gz"
    array = np.asarray(nibabel.load(file).dataobj).T
    moved = LPS.copy()
    moved[0, 3] = 3.0
    save(file, array, moved)
    with pytest.raises(InputError, match="image and label map differ in geometry"):
        prepared(tmp_path / "raw")


def test_labels_of_before_2023_have_one_message_whose_advice_works(tmp_path):
    for number in range(2):
        case_folder(tmp_path / "raw", f"BraTS-GLI-0000{number}-000", labels=(1, 2, 4))
    (tmp_path / "my.toml").write_text(
        f'[cohort]\nfolder = "{tmp_path}"\ndomain = "{DOMAIN}"\n[prepare]\nshape = [24, 24, 24]\n'
        'spacing_mm = [1.0, 1.0, 1.0]\ncentre = "image"\nmargin_mm = 0.0\nchannels = "all"\nworkers = 1\n')
    refused = CliRunner().invoke(prepare_command, ["--config", str(tmp_path / "my.toml")])
    assert isinstance(refused.exception, InputError) and "cldm prepare --et-label 4" in str(refused.exception)
    assert not (tmp_path / "cohort.h5").exists()
    done = CliRunner().invoke(prepare_command, ["--config", str(tmp_path / "my.toml"), "--et-label", "4"])
    assert done.exit_code == 0, done.output
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        value = cohort.load_domain().labels.names.index("enhancing_tumour")
        assert int((cohort.masks() == value).sum()) == 2 * 32


def test_the_domain_has_the_regions_of_brats():
    domain = find_domain(DOMAIN)
    assert dict(domain.labels.regions) == {"enhancing_tumour": (3,), "tumour_core": (1, 3), "whole_tumour": (1, 2, 3)}
    assert list(domain.phantoms) == ["brain", "brain-shifted"] and domain.axes == 3
