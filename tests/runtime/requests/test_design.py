"""Grids by design: each row countable by hand; rows that no anatomy meets are left out with the reason."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Attribute
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.requests.design import (
    Axis,
    as_csv,
    factorial,
    feasible,
    latin_hypercube,
    like_cohort,
    parse_axis,
)
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

SIZE = Attribute("size", "fraction", 0.0, 1.0, 0.02, "")
DEPTH = Attribute("depth", "fraction", 0.0, 1.0, 0.04, "")


class Anatomy:
    """Meets every request but a size above the depth."""

    def faults(self, request: Mapping[str, float]) -> list[str]:
        size, depth = request.get("size", 0), request.get("depth", 1)
        return [f"size = {size:g} is above depth = {depth:g}"] if size > depth else []


DOMAIN = Domain("toy", LabelSet(("background", "wall"), {}, ()), (SIZE, DEPTH),
                measure=None, anatomy=Anatomy())  # type: ignore[arg-type]


def silent(done: int, total: int) -> None:
    pass


def test_values_are_levels_a_range_or_a_list() -> None:
    assert parse_axis("0.1:0.4:4", SIZE).levels == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert parse_axis("0.1:0.4", SIZE) == Axis("size", 0.1, 0.4)
    assert parse_axis("0.3, 0.1", SIZE) == Axis("size", 0.1, 0.3, (0.3, 0.1))
    assert parse_axis("0.2", SIZE) == Axis("size", 0.2, 0.2, (0.2,))


@pytest.mark.parametrize("text", ["", "a", "0.1:", "0.4:0.1:3", "0.1:0.4:1", "0.1:0.4:2.5", "0.1:0.2,0.3", "0:1:2:3",
                                  "5:40:8", "-0.1", "nan", "0.1:0.4:60000"])
def test_other_values_are_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_axis(text, SIZE)


def test_a_full_design_holds_every_combination_once() -> None:
    rows = factorial([Axis("size", 0, 1, (0.1, 0.2)), Axis("depth", 0, 1, (0.5, 0.6, 0.7))])
    assert as_csv(rows, ["size", "depth"]).splitlines() == [
        "size,depth", "0.1,0.5", "0.1,0.6", "0.1,0.7", "0.2,0.5", "0.2,0.6", "0.2,0.7"]


def test_a_full_design_needs_levels_and_has_an_end() -> None:
    with pytest.raises(InputError, match="0:1:COUNT"):
        factorial([Axis("size", 0, 1)])
    levels = tuple(np.linspace(0, 1, 300).tolist())
    with pytest.raises(InputError, match="90000 rows"):
        factorial([Axis("size", 0, 1, levels), Axis("depth", 0, 1, levels)])


def test_a_latin_hypercube_has_one_row_in_each_stratum_of_each_axis() -> None:
    rows = latin_hypercube([Axis("size", 0.2, 0.4), Axis("depth", 0, 1), Axis("turn", 0, 90, (0, 90))], 40, seed=3)
    for name, low, high in (("size", 0.2, 0.4), ("depth", 0, 1)):
        strata = sorted(int((row[name] - low) / (high - low) * 40) for row in rows)
        assert strata == list(range(40))
    assert sum(row["turn"] == 90 for row in rows) == 20
    assert abs(np.corrcoef([row["size"] for row in rows], [row["depth"] for row in rows])[0, 1]) < 0.5


def test_a_latin_hypercube_depends_on_its_seed_alone() -> None:
    axes = [Axis("size", 0, 1), Axis("depth", 0, 1)]
    assert latin_hypercube(axes, 5, 1) == latin_hypercube(axes, 5, 1) != latin_hypercube(axes, 5, 2)


def test_rows_that_no_anatomy_meets_are_left_out_and_counted() -> None:
    rows = factorial([Axis("size", 0, 1, (0.1, 0.5, 0.9)), Axis("depth", 0, 1, (0.2, 0.6))])
    found = feasible(rows, DOMAIN, silent)
    assert [tuple(row.values()) for row in found.rows] == [(0.1, 0.2), (0.1, 0.6), (0.5, 0.6)]
    assert found.reasons == ((3, "size = 0.5 is above depth = 0.2"),) and found.left_out == 3


def test_what_is_checked_is_what_is_written(tmp_path: Path) -> None:
    found = feasible([{"size": 0.12345678, "depth": 1 / 3}], DOMAIN, silent)
    (tmp_path / "grid.csv").write_text(as_csv(found.rows, ["size", "depth"]))
    assert read_grid(tmp_path / "grid.csv", DOMAIN).rows[0].request == dict(found.rows[0]) == {
        "size": 0.123457, "depth": 0.333333}


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Four slices of sizes 0, 0.1, 0.2, 0.3; the first has no transmurality, and is the only one of `val`."""
    domain, path = get_domain("lge"), tmp_path / "cohort.h5"
    nan = np.nan
    attributes = np.array([[0, nan, 0, 0.5], [0.1, 0.5, 0.2, 0.5], [0.2, 0.6, 0.3, 0.5], [0.3, 0.7, 0.4, nan]])
    with create_dataset(path, DatasetSpec(domain, (8, 8), (1.0, 1.0), 1, (0.0, 1.0), {})) as writer:
        writer.append(images=np.zeros((4, 1, 8, 8), np.float32), masks=np.zeros((4, 8, 8), np.uint8),
                      mask_attributes=attributes.astype(np.float32), mask_reasons=np.zeros((4, 4), np.uint8),
                      subset=["val", "train", "train", "train"])
    return path


def test_rows_like_a_cohort_are_its_samples(cohort: Path) -> None:
    with open_dataset(cohort) as dataset:
        rows = like_cohort(dataset, ["infarct_size", "transmurality"], [], None, seed=0)
        again = like_cohort(dataset, ["infarct_size"], [], 8, seed=0)
    assert sorted(row["infarct_size"] for row in rows) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [row.get("transmurality") for row in rows if row["infarct_size"] == 0] == [None]
    assert sorted(row["infarct_size"] for row in again) == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])


def test_ranges_and_subsets_keep_some_samples(cohort: Path) -> None:
    with open_dataset(cohort) as dataset:
        rows = like_cohort(dataset, ["infarct_size"], [Axis("infarct_size", 0.05, 0.25)], None, 0, "train")
        assert sorted(row["infarct_size"] for row in rows) == pytest.approx([0.1, 0.2])
        with pytest.raises(InputError, match="none of 1 samples"):
            like_cohort(dataset, ["infarct_size"], [Axis("infarct_size", 0.05, 0.25)], None, 0, "val")
        with pytest.raises(InputError, match="no measured lesion_contrast"):
            like_cohort(dataset, ["lesion_contrast"], [], None, 0)
