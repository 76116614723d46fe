"""Each layout is read from files that are named, valued and laid out as those of its dataset are."""

from pathlib import Path

import numpy as np
import pytest

import layout_fixtures as write
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.lge.layouts import LAYOUTS
from cldm_runtime.domains.registry import DOMAINS, get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.scans.dataset import read_dataset
from cldm_runtime.scans.label_map import map_labels
from cldm_runtime.scans.layouts import GENERAL, file_layouts
from cldm_runtime.scans.nnunet_raw import RawDataset
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.scans.volumes import read_volume
from cldm_runtime.store import open_dataset

LGE = get_domain("lge")
DOCS = Path(__file__).parents[3] / "docs" / "your-own-data.md"
SETTINGS = PrepareSettings(shape=(64, 64), spacing_mm=(1.4, 1.4), workers=1, ring=())


def read(folder: Path, domain: Domain = LGE, **settings: object) -> RawDataset:
    raw, faults = read_dataset(folder, PrepareSettings(**settings), domain)
    assert faults == []
    return raw


def lookup(raw: RawDataset, domain: Domain = LGE) -> dict[int, int]:
    faults: list[str] = []
    values = map_labels(raw, domain, {}, faults)
    assert faults == []
    return values


def cases_of(raw: RawDataset) -> dict[str, tuple[str, str]]:
    return {case.name: (case.patient, case.subset) for case in raw.cases}


@pytest.mark.parametrize("affine", [None, np.eye(4)])
def test_emidec_as_it_is_and_with_contours_that_lost_their_affine(tmp_path: Path, affine: np.ndarray | None) -> None:
    folder = write.emidec(tmp_path / "emidec", affine=affine)
    assert read(folder).source == "layout emidec"
    counts = prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge")
    assert {name: (count.patients, count.samples) for name, count in counts.items()} == {"train": (2, 15),
                                                                                         "val": (1, 9)}
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.unique(cohort.masks()).tolist() == [0, 1, 2, 3, 4]
        assert not np.isin(cohort.masks()[np.asarray(cohort.patients) == "P0001"], (3, 4)).any()  # N002 is the first


def test_the_affine_of_emidec_contours_is_compared_unless_it_is_lost(tmp_path: Path) -> None:
    folder = write.emidec(tmp_path / "emidec", affine=np.diag([1.0, 1.5, 10.0, 1.0]))
    with pytest.raises(InputError, match=r"3 cases \(Case_N002, Case_P001, Case_P003\): image and label map differ"):
        prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge")


def test_the_visits_of_a_patient_of_myosaiq_belong_together(tmp_path: Path) -> None:
    raw = read(write.myosaiq(tmp_path))
    assert {name: patient for name, (patient, _) in cases_of(raw).items()} == {
        "001_D8": "001", "001_M1": "001", "002_M1": "002", "002_M12": "002"}
    assert lookup(raw) == {value: value for value in range(5)}


@pytest.mark.parametrize(("scar", "name", "values"), [(True, "lascarqs", [0, 1, 2]),
                                                      (False, "lascarqs-cavity", [0, 1])])
def test_one_file_a_region_of_any_value_becomes_one_label_map(tmp_path: Path, scar: bool, name: str,
                                                              values: list[int]) -> None:
    raw = read(write.lascarqs(tmp_path, scar=scar), Declaration("atrium", 2, {"atrium_cavity": 1, "scar": 2}).domain())
    assert raw.source == f"layout {name}" and cases_of(raw) == {
        "train_1": ("train_1", "train"), "train_2": ("train_2", "train")}
    labels = read_volume(raw.cases[0]).labels
    assert np.unique(labels).tolist() == values and ((labels == 1) == (write.ring_stack() == 1)).all()
    assert any("left out" in note and "test_1" in note for note in raw.notes)


def test_a_cohort_is_out_of_date_where_the_file_of_any_region_changes(tmp_path: Path) -> None:
    folder = write.lascarqs(tmp_path / "raw")
    write.write_json(tmp_path / "atrium.json", {"labels": {"background": 0, "atrium_cavity": 1, "scar": 2},
                                                "file_ending": ".png"})
    domain = str(tmp_path / "atrium.json")
    prepare(folder, tmp_path / "cohort.h5", SETTINGS, domain)
    write.write_nii(folder / "train_data" / "train_1" / "scarSegImgM.nii.gz", write.ring_stack() * 0)
    with pytest.raises(DatasetError, match="made from other data"):
        prepare(folder, tmp_path / "cohort.h5", SETTINGS, domain)


def test_the_values_of_myops_are_those_of_the_domain(tmp_path: Path) -> None:
    raw = read(write.myops(tmp_path))
    assert lookup(raw) == {0: 0, 200: 2, 500: 1, 600: 0, 1220: 2, 2221: 3}
    assert any("right_ventricle is background, edema is healthy_myocardium" in note for note in raw.notes)
    assert [file.name[-9:] for file in raw.cases[0].image_files] == ["DE.nii.gz", "C0.nii.gz", "T2.nii.gz"]
    assert list(cases_of(raw)) == ["myops_training_101", "myops_training_102"]


def test_the_settings_decide_over_what_a_layout_takes_a_label_for(tmp_path: Path) -> None:
    raw = read(write.myops(tmp_path), labels={"edema": "infarct", "600": "lv_cavity"})
    assert map_labels(raw, LGE, {"edema": "infarct", "600": "lv_cavity"}, []) == {
        0: 0, 200: 2, 500: 1, 600: 1, 1220: 3, 2221: 3}


def test_ms_cmrseg_takes_the_lge_images_and_200_is_muscle(tmp_path: Path) -> None:
    raw = read(write.ms_cmrseg(tmp_path))
    assert lookup(raw) == {0: 0, 200: 2, 500: 1, 600: 0}
    assert list(cases_of(raw)) == ["patient6", "patient7"] and len(raw.cases[0].image_files) == 1


def test_the_frames_of_acdc_belong_to_a_patient_and_its_folders_name_the_test(tmp_path: Path) -> None:
    raw = read(write.acdc(tmp_path))
    assert cases_of(raw)["patient001_frame12"] == ("patient001", "train")
    assert cases_of(raw)["patient101_frame01"] == ("patient101", "test") and len(raw.cases) == 6
    assert lookup(raw) == {0: 0, 1: 0, 2: 2, 3: 1}
    assert any("no label of scar" in note for note in raw.notes)


def test_a_domain_with_the_names_of_a_dataset_takes_its_labels_as_they_are(tmp_path: Path) -> None:
    declared = Declaration("cine", 2, {"left_ventricle": 1, "myocardium": 2, "right_ventricle": 3}).domain()
    assert lookup(read(write.acdc(tmp_path), declared), declared) == {0: 0, 1: 3, 2: 2, 3: 1}


TUMOUR = Declaration("tumour", 3, {"edema": 1, "enhancing_tumour": 2, "necrotic_core": 3}).domain()


@pytest.mark.parametrize(("older", "value"), [(False, 3), (True, 4), (True, 3)])
def test_brats_of_every_year(tmp_path: Path, older: bool, value: int) -> None:
    raw = read(write.brats(tmp_path, older=older, enhancing=value), TUMOUR)
    assert lookup(raw, TUMOUR) == {0: 0, 1: 3, 2: 1, 3: 2} | ({4: 2} if older else {})
    assert len(raw.cases[0].image_files) == 4 and value in np.unique(read_volume(raw.cases[0]).labels)
    assert len({case.patient for case in raw.cases}) == 2


NAMES = {"background": 0, "lv_cavity": 1, "wall": [2, 3, 4], "scar": [3, 4], "mvo": 4}
REGIONS = PrepareSettings(**{**vars(SETTINGS), "labels": {"wall": "healthy_myocardium", "scar": "infarct"}})


@pytest.mark.parametrize(("ending", "slices"), [(".nii.gz", 7), (".nii.gz", 1), (".png", 1)])
def test_nnunet_raw_of_volumes_slices_and_pictures_with_regions(tmp_path: Path, ending: str, slices: int) -> None:
    labels = write.ring_stack((7, 60, 64))[:slices]
    for name in "abc":
        write.nnunet_case(tmp_path / "raw", name, labels, ending)
    write.describe_nnunet(tmp_path / "raw", NAMES, ending)
    settings = PrepareSettings(**{**vars(REGIONS), "spacing_mm": (1.0, 1.0) if ending == ".png" else (1.4, 1.4)})
    counts = prepare(tmp_path / "raw", tmp_path / "cohort.h5", settings, "lge")
    assert (counts["train"].samples, counts["val"].samples) == (2 * slices, slices)
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.unique(cohort.masks()).tolist() == [0, 1, 2, 3, 4]


def test_the_ignore_label_of_nnunet_raw_needs_a_decision(tmp_path: Path) -> None:
    write.nnunet_case(tmp_path / "raw", "a", write.ring_stack(), ".nii.gz")
    write.describe_nnunet(tmp_path / "raw", {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3,
                                             "ignore": 4}, ".nii.gz")
    with pytest.raises(InputError, match="voxels that nobody annotated"):
        prepare(tmp_path / "raw", tmp_path / "cohort.h5", SETTINGS, "lge")
    settings = PrepareSettings(**{**vars(SETTINGS), "labels": {"ignore": "background"}})
    assert prepare(tmp_path / "raw", tmp_path / "cohort.h5", settings, "lge")["train"].samples == 7


@pytest.mark.parametrize("ending", [".png", ".npy"])
def test_the_folders_of_seg_guided_name_the_subsets(tmp_path: Path, ending: str) -> None:
    raw = read(write.seg_guided(tmp_path, ending))
    assert cases_of(raw) == {f"{part}_tr_{number}": (f"{part}_tr_{number}", part)
                             for part in ("train", "val", "test") for number in (1, 2)}
    assert lookup(raw) == {value: value for value in range(5)} and "taken for those of domain lge" in raw.notes[1]
    counts = prepare(tmp_path, tmp_path / "cohort.h5", PrepareSettings(workers=1), "lge")
    assert {name: count.samples for name, count in counts.items()} == {"train": 2, "val": 2, "test": 2}


def test_names_are_unique_and_each_dataset_says_what_it_is() -> None:
    layouts = file_layouts()
    assert len({layout.name for layout in layouts}) == len(layouts) == len(LAYOUTS) + len(GENERAL)
    assert all(layout.title and (not layout.labels or layout.labels["background"] == (0,)) for layout in layouts)


def test_a_layout_of_another_domain_is_read_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOMAINS, "empty", lambda: Declaration("empty", 2, {"a": 1}).domain())
    assert [layout.name for layout in file_layouts()] == [layout.name for layout in (*LAYOUTS, *GENERAL)]


def test_the_page_for_users_lists_every_layout_with_its_patterns() -> None:
    rows = {line.split("`")[1]: line for line in reversed(DOCS.read_text().splitlines()) if line.startswith("| `")}
    for layout in file_layouts():
        first = next(iter(layout.images.values()))
        assert all(f"`{text}`" in rows[layout.name] for text in (first, *layout.label_maps)), layout.name
