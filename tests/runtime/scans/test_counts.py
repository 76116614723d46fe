"""An empty result is not passed for a result: nothing kept, no validation, no lesion, a killed process."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError, WorkerError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.counts import count_lines, warnings
from cldm_runtime.scans.nnunet_raw import read_raw_dataset
from cldm_runtime.scans.pool import process_pool
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from scan_fixtures import describe, write_case

LGE = get_domain("lge")
SETTINGS = PrepareSettings(shape=(32, 32), spacing_mm=(1.0, 1.0), workers=1, validation_share=0.4)
LABELS = {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3}
RAMP = np.arange(2048.0).reshape(2, 32, 32)


def rings(opened: bool = False, infarct: bool = True) -> np.ndarray:
    """(2, 32, 32) rings, half of whose wall is infarct."""
    y, x = np.mgrid[:32, :32] - 15.5
    wall = np.where((x > 0) & infarct, 3, 2)
    ring = np.where(np.hypot(y, x) < 4, 1, np.where(np.hypot(y, x) < 8, wall, 0))
    ring[14:18, 16:] *= not opened
    return np.stack([ring] * 2)


def raw(folder: Path, *stacks: np.ndarray) -> Path:
    for number, labels in enumerate(stacks):
        write_case(folder, f"c{number}", [RAMP], labels, (8.0, 1.0, 1.0))
    return describe(folder, labels=LABELS)


def test_a_cohort_without_a_slice_is_an_error_with_rule_and_counts(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw", rings(opened=True), rings(opened=True))
    with pytest.raises(InputError, match="all 4 labelled slices were dropped: no closed ring of myocardium around lv_"):
        prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge")
    assert list(tmp_path.glob("cohort*")) == []
    kept = prepare(folder, tmp_path / "cohort.h5", replace(SETTINGS, ring=()), "lge")  # as the message advises
    assert sum(count.samples for count in kept.values()) == 4


def test_a_subset_that_lost_every_slice_is_an_error_that_names_patients_and_rule(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw", rings(), rings(opened=True))
    with pytest.raises(InputError, match=r"subset 'val' is empty: all 2 labelled slices of its patients \(c1\) were "
                                         r"dropped: no closed ring.*name cases of other patients for 'val'"):
        prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge")
    assert list(tmp_path.glob("cohort*")) == []
    write_json(folder / "subsets.json", {"val": ["c0"], "train": ["c1"]})  # as advised; now train is the empty one
    with pytest.raises(InputError, match=r"subset 'train' is empty.*\(c1\)"):
        prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge")
    assert prepare(folder, tmp_path / "cohort.h5", replace(SETTINGS, ring=()), "lge")["val"].samples == 2


def test_a_case_that_lost_every_slice_is_a_note(tmp_path: Path) -> None:
    folder, notes = raw(tmp_path / "raw", rings(), rings(opened=True), rings()), list[str]()
    counts = prepare(folder, tmp_path / "cohort.h5", SETTINGS, "lge", notes=notes)
    assert "case c1: every labelled slice was dropped (no closed ring)." in notes
    assert " ".join(count_lines(counts, LGE)[0].split()) == "train 1 patients 2 slices (2 dropped: no closed ring)"


@pytest.mark.parametrize(("patients", "share", "val"), [(10, 0.05, 1), (3, 0.05, 1), (2, 0.05, 0), (2, 0.4, 1),
                                                       (40, 0.05, 2), (10, 0.0, 0), (1, 0.9, 0), (3, 0.9, 2)])
def test_three_patients_or_more_leave_one_for_validation(tmp_path: Path, patients: int, share: float, val: int) -> None:
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / kind).mkdir()
    for number in range(patients):
        for file in (f"imagesTr/{number:02d}_0000.nii.gz", f"labelsTr/{number:02d}.nii.gz"):
            (tmp_path / file).touch()
    found, faults = read_raw_dataset(describe(tmp_path), validation_share=share)
    assert [case.subset for case in found.cases] == ["train"] * (patients - val) + ["val"] * val and faults == []


def test_a_cohort_without_validation_or_lesion_is_named(tmp_path: Path) -> None:
    counts = prepare(raw(tmp_path / "raw", rings(infarct=False)), tmp_path / "cohort.h5", SETTINGS, "lge")
    lesion, validation = warnings(counts, LGE)
    assert lesion.startswith("none of 2 slices holds infarct") and validation.startswith("there is no subset 'val'")


def test_a_subset_without_lesion_is_named(tmp_path: Path) -> None:
    counts = prepare(raw(tmp_path / "raw", rings(), rings(infarct=False)), tmp_path / "cohort.h5", SETTINGS, "lge")
    assert [count.lesions for count in counts.values()] == [2, 0]
    assert warnings(counts, LGE) == ["subset 'val': none of 2 slices holds infarct."]


def kill_this_process(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_one_message() -> None:
    with pytest.raises(WorkerError, match=r"one of 2 worker processes was killed .* Set a smaller prepare\.workers"), \
            process_pool(2) as pool:
        assert pool is not None
        list(pool.map(kill_this_process, [1, 2]))
