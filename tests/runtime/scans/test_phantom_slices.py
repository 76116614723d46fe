"""Phantoms in memory are prepared as those of a cohort's files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import DOMAINS, get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.scans.phantom_cohort import write_phantom_cohort
from cldm_runtime.scans.phantom_slices import PhantomSource
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings, ScanSettings
from cldm_runtime.store import open_dataset

NONE = {"train": 0, "val": 0, "test": 0, "d8": 0}
SETTINGS = ScanSettings(CohortSettings("nowhere", seed=5, patients={**NONE, "d8": 1}), PrepareSettings(workers=1))


def test_a_stack_is_what_prepare_makes_of_its_files(tmp_path: Path) -> None:
    cohort = replace(SETTINGS.cohort, folder=str(tmp_path))
    write_phantom_cohort(cohort, tmp_path / "raw", workers=1)
    prepare(tmp_path / "raw", cohort.file, SETTINGS.prepare, "lge")
    found = PhantomSource.of(ScanSettings(cohort, SETTINGS.prepare)).stack("d8", 0).prepared
    with open_dataset(cohort.file) as dataset:
        np.testing.assert_array_equal(found.labels, dataset.masks())
        np.testing.assert_array_equal(found.slices, dataset.slices)
        assert np.abs(found.images - dataset.images()).max() <= 1 / 65535  # as files store them


def test_a_fresh_patient_is_one_that_the_cohort_lacks() -> None:
    source = PhantomSource.of(SETTINGS)
    assert (source.first_fresh("d8"), source.first_fresh("test")) == (1, 0)
    later = PhantomSource.of(replace(SETTINGS, cohort=replace(SETTINGS.cohort, first_patient=50)))
    assert later.first_fresh("d8") == 51


def test_rerendered_slices_lie_where_the_stack_lies() -> None:
    source = PhantomSource.of(SETTINGS)
    stack = source.stack("d8", 1)
    images, again = source.rerendered(stack, 0, [2, 3]), source.rerendered(stack, 0, [3])
    assert images.shape == (2, 1, 128, 128) and images.min() == 0.0 and images.max() == 1.0
    np.testing.assert_array_equal(images[1], again[0])
    assert not np.array_equal(images[1], stack.prepared.images[3])
    assert source.rerendered(stack, 1).shape == stack.prepared.images.shape


def test_a_phantom_that_cannot_be_rendered_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lge = get_domain("lge")
    fixed = replace(lge, name="fixed", phantoms={"one": replace(lge.phantoms["lge-1"], rerender=None)})
    monkeypatch.setitem(DOMAINS, "fixed", lambda: fixed)
    source = PhantomSource.of(replace(SETTINGS, cohort=replace(SETTINGS.cohort, domain="fixed")))
    with pytest.raises(InputError, match=r"cannot be rendered again.*Choose another cohort\.phantom"):
        source.rerendered(source.stack("d8", 0), 0)
