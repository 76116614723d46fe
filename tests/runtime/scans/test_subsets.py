"""Which subset and patient a case belongs to, for datasets of every layout."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.subsets import check_patients, patients_of, split_note, subsets_of

PATIENTS = {"a1": "a", "a2": "a", "b1": "b", "c1": "c", "t1": "t"}


def test_the_last_patients_of_training_validate_with_all_of_their_cases(tmp_path: Path) -> None:
    known = {"b1": "", "c1": "train", "a1": "", "a2": "", "t1": "test"}
    subsets = subsets_of(tmp_path, known, PATIENTS, 0, 0.5, [])
    assert subsets == {"a1": "train", "a2": "train", "b1": "val", "c1": "val", "t1": "test"}
    assert "the last 2 of 3 training patients" in split_note(tmp_path, known, PATIENTS, subsets, 0.5)


def test_folders_that_hold_validation_cases_decide(tmp_path: Path) -> None:
    known = {"a1": "", "b1": "val"}
    assert subsets_of(tmp_path, known, PATIENTS, 0, 0.5, []) == {"a1": "train", "b1": "val"}
    assert split_note(tmp_path, known, PATIENTS, known, 0.5) == ""


def test_a_fold_divides_the_cases_of_training_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "splits_final.json", [{"train": ["a1"], "val": ["b1"]}])
    faults: list[str] = []
    subsets = subsets_of(tmp_path, {"a1": "", "b1": "", "t1": "test", "c1": ""}, PATIENTS, 0, 0.5, faults)
    assert subsets == {"a1": "train", "b1": "val", "t1": "test"} and "case c1 is in neither" in faults[0]


def test_patients_json_overrides_what_the_names_say(tmp_path: Path) -> None:
    write_json(tmp_path / "patients.json", {"a1": "x", "a2": "y"})
    faults: list[str] = []
    assert patients_of(tmp_path, {"a1": "a", "a2": "a", "b1": "b"}, faults) == {"a1": "x", "a2": "y", "b1": "b"}
    assert faults == [f"{tmp_path / 'patients.json'}: case b1 is not listed"]


def test_a_patient_in_two_subsets_is_a_fault() -> None:
    faults: list[str] = []
    check_patients(PATIENTS, {"a1": "train", "a2": "test", "b1": "val"}, faults)
    assert faults == ["patient a is in several subsets: test, train"]


@pytest.mark.parametrize("patient", [None, 1.5, True, ["p"], {}])
def test_a_patient_is_a_text_or_a_number(tmp_path: Path, patient: object) -> None:
    write_json(tmp_path / "patients.json", {"a": patient})
    with pytest.raises(InputError, match="where a patient is a text or a number"):
        patients_of(tmp_path, {"a": "a"}, [])


def test_a_case_in_both_parts_of_a_fold_is_a_fault(tmp_path: Path) -> None:
    write_json(tmp_path / "splits_final.json", [{"train": ["a", "b"], "val": ["b"]}])
    faults: list[str] = []
    subsets_of(tmp_path, {"a": "", "b": ""}, {"a": "a", "b": "b"}, 0, 0.0, faults)
    assert faults == [f"{tmp_path}/splits_final.json, fold 0: case b is in train and in val"]


def test_names_with_accents_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    case, written = "\u00e9", "e\u0301"  # composed; as macOS writes it
    write_json(tmp_path / "patients.json", {written: "p"})
    write_json(tmp_path / "subsets.json", {"test": [written]})
    assert patients_of(tmp_path, {case: case}, faults := []) == {case: "p"}
    assert subsets_of(tmp_path, {case: ""}, {case: "p"}, 0, 0.0, faults) == {case: "test"} and faults == []
