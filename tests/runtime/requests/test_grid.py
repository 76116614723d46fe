"""grid.csv: every fault is named with its line, and samples are spread over the rows."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from cldm_runtime.domains.attributes import Attribute
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.requests import csv_file, grid_table
from cldm_runtime.requests.grid import (
    Grid,
    GridRow,
    grid_from_mapping,
    read_grid,
    row_from_request,
)
from cldm_runtime.requests.turns import row_of

ROOT = Path(__file__).parents[3]


class Anatomy:
    """Meets every request but a size above the depth."""

    def faults(self, request: Mapping[str, float]) -> list[str]:
        return ["no anatomy has size > depth"] if request.get("size", 0) > request.get("depth", 1) else []


DOMAIN = Domain("toy", LabelSet(("background", "wall"), {}, ()),
                (Attribute("size", "fraction", 0, 1, 0.02, ""), Attribute("depth", "fraction", 0, 1, 0.04, "")),
                measure=None, anatomy=Anatomy())  # type: ignore[arg-type]


def assigned(grid: Grid, samples: int) -> NDArray[np.int64]:
    """(samples,) the row of each sample."""
    counts = grid.counts(samples)
    return np.array([row_of(index, counts) for index in range(samples)])


def read(folder: Path, text: str | bytes) -> Grid:
    path = folder / "grid.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_grid(path, DOMAIN)


def test_cells_become_requests(tmp_path: Path) -> None:
    grid = read(tmp_path, "depth,size,rotation_deg,weight,label\n0.5,0.25,-30,2,a\n,0.1,,,\n")
    assert grid.rows == (GridRow(2, {"size": 0.25, "depth": 0.5}, -30.0, 2.0, "a"), GridRow(3, {"size": 0.1}))


def test_both_ends_of_a_range_may_be_asked_for(tmp_path: Path) -> None:
    grid = read(tmp_path, "size,depth,rotation_deg,weight\n0,0,-360,0\n1,1,360,1e9\n")
    assert [(row.request, row.rotation_deg, row.weight) for row in grid.rows] == [
        ({"size": 0.0, "depth": 0.0}, -360.0, 0.0), ({"size": 1.0, "depth": 1.0}, 360.0, 1e9)]


@pytest.mark.parametrize("cell", ["-360.1", "360.1"])
def test_beyond_the_ends_of_a_range_is_a_fault(tmp_path: Path, cell: str) -> None:
    with pytest.raises(InputError, match=f"line 2: rotation_deg = {cell} is outside -360..360"):
        read(tmp_path, f"size,rotation_deg\n0.1,{cell}\n")


def test_spaces_blank_lines_byte_order_mark_and_crlf_are_harmless(tmp_path: Path) -> None:
    grid = read(tmp_path, b"\xef\xbb\xbf Size , depth\r\n\r\n 0.1 , \r\n")
    assert [(row.line, row.request) for row in grid.rows] == [(3, {"size": 0.1})]


def test_blank_rows_and_columns_of_a_spreadsheet_are_passed_over(tmp_path: Path) -> None:
    grid = read(tmp_path, ",,,\nsize,depth,,\n, ,,\n0.1,0.5,,\n0.2,,\n,,,\n\n")
    assert [(row.line, row.request) for row in grid.rows] == [(4, {"size": 0.1, "depth": 0.5}), (5, {"size": 0.2})]


@pytest.mark.parametrize(("text", "fault"), [
    ("", "the file is empty"),
    ("\n\n", "the file is empty"),
    ("size\n", "no row below the header"),
    ("sise\n0.1\n", "line 1: unknown column 'sise'. Known: size, depth, rotation_deg, weight, label"),
    ("size;depth\n0.1;0.2\n", "Separate columns by commas"),
    ("size,size\n0.1,0.1\n", "line 1: column 'size' stands 2 times"),
    ("label\na\n", "line 1: no attribute column"),
    ("size\nsome\n", "line 2: size = 'some' is not a number"),
    ("size\n14%\n", "Write 14 percent as a fraction"),
    ("size\n14\n", "line 2: size = 14 is outside 0..1. Values are fractions: write 0.14 for 14 %."),
    ("size\n-0.1\n", "line 2: size = -0.1 is outside 0..1"),
    ("size\nnan\n", "line 2: size = 'nan' is not a finite number"),
    ("size\ninf\n", "line 2: size = 'inf' is not a finite number"),
    ("size,depth\n0.1\n", "line 2: 1 cells, the header has 2"),
    ("size,depth\n0.1,0.2,0.3\n", "line 2: 3 cells, the header has 2"),
    ("size,,depth\n0.1,,0.2\n", "line 1: column 2 has no name. Name it, or delete it"),
    ("size,\n0.1,7\n", "line 2: 2 cells, the header has 1"),
    ("size\n\"0,1\"\n", "line 2: size = '0,1' is not a number. Write decimals with a point: 0.1."),
    ("Sise\n0.1\n", "unknown column 'sise'. Known: size, depth, rotation_deg, weight, label. Did you mean size?"),
    ("sep=,\nsize\n0.1\n", "Delete this line, which is for Excel alone."),
    ("size\n0_1\n", "line 2: size = '0_1' is not a number"),
    (",,\n,,\n", "the file is empty"),
    ("size,depth\n,\n,\n", "no row below the header"),
    ("size,weight\n0.1,-1\n", "line 2: weight = -1 is outside"),
    ("size,weight\n0.1,0\n", "every weight is 0"),
    ("size,rotation_deg\n0.1,400\n", "line 2: rotation_deg = 400 is outside -360..360"),
    ("size\n\"0.1\n", "not CSV"),
    ("size,depth\n0.3,0.5\n0.5,0.3\n", "line 3: no anatomy has size > depth"),
    (b"size\n\xff\n", "byte 5 is not UTF-8"),
])
def test_each_fault_is_named_with_its_line(tmp_path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert fault in str(error.value) and "grid.csv" in str(error.value)


@pytest.mark.parametrize(("header", "hint"), [("sise", " Did you mean size?"), ("xyz", ""),
                                              ("a;b", " Separate columns by commas."),
                                              ("a\tb", " Separate columns by commas.")])
def test_a_hint_is_given_where_commas_are_missing(tmp_path: Path, header: str, hint: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, f"size,{header}\n0.1,0.1\n")
    known = "size, depth, rotation_deg, weight, label"
    assert str(error.value).endswith(f"unknown column {header!r}. Known: {known}.{hint}")


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, "size,depth\n2,x\n0.1,0.2\n0.1,nan\n")
    faults = str(error.value).splitlines()[1:]
    assert [fault.split(":")[0] for fault in faults] == ["  - line 2", "  - line 2", "  - line 4"]


def test_fifty_faults_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, "size\n" + "x\n" * 50)
    assert "50 fault(s)" in str(error.value) and len(str(error.value).splitlines()) == 51
    with pytest.raises(InputError) as error:
        read(tmp_path, "size\n" + "x\n" * 52)
    assert str(error.value).splitlines()[-2:] == ["  - line 51: size = 'x' is not a number.", "  - ... and 2 more"]


@pytest.mark.parametrize(("module", "limit", "most", "fault"), [
    (grid_table, "MOST_ROWS", 2, "more than 1 rows"), (csv_file, "_MOST_LINES", 3, "more than 2 lines"),
    (grid_table, "_MOST_COLUMNS", 2, "2 columns"), (csv_file, "_LARGEST_FILE", 25, "is larger than")])
def test_a_file_may_reach_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, limit: str,
                                     most: int, fault: str) -> None:
    monkeypatch.setattr(module, limit, most)
    assert len(read(tmp_path, "size,depth\n0.1,.5\n0.2,.5\n")) == 2  # 25 bytes
    monkeypatch.setattr(module, limit, most - 1)
    with pytest.raises(InputError, match=fault):
        read(tmp_path, "size,depth\n0.1,.5\n0.2,.5\n")


def test_a_grid_knows_its_file(tmp_path: Path) -> None:
    grid = read(tmp_path, "size\n0.1\n")
    assert (grid.name, len(grid), grid.sha256) == ("grid.csv", 1, hashlib.sha256(b"size\n0.1\n").hexdigest())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read \(No such file or directory\)"):
        read_grid(tmp_path / "none.csv", DOMAIN)


def rows(*weights: float) -> Grid:
    return Grid("g", tuple(GridRow(i + 2, {"size": 0.1}, weight=weight) for i, weight in enumerate(weights)), "")


def test_samples_are_spread_evenly_and_the_first_rows_get_the_remainder() -> None:
    assert rows(1, 1, 1).counts(8).tolist() == [3, 3, 2]
    assert assigned(rows(1, 1, 1), 8).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_samples_are_spread_by_weight() -> None:
    assert rows(3, 0, 1).counts(8).tolist() == [6, 0, 2]
    assert assigned(rows(3, 0, 1), 8).tolist() == [0, 2, 0, 2, 0, 0, 0, 0]
    assert rows(0, 1, 1).counts(3).tolist() == [0, 2, 1]


def test_every_row_gets_its_count() -> None:
    grid = rows(5, 0.3, 2, 0, 1.7)
    assert np.array_equal(np.bincount(assigned(grid, 997), minlength=5), grid.counts(997))


def test_weights_that_binary_cannot_hold_lose_no_sample() -> None:
    assert rows(*[0.1] * 10).counts(1000).tolist() == [100] * 10


def test_fewer_samples_than_rows_take_the_first_rows() -> None:
    assert assigned(rows(1, 1, 1, 1), 2).tolist() == [0, 1]


def test_a_grid_from_python_values_repeats_single_numbers() -> None:
    grid = grid_from_mapping({"size": [0.1, 0.2], "depth": 0.5}, DOMAIN)
    assert [dict(row.request) for row in grid.rows] == [{"size": 0.1, "depth": 0.5}, {"size": 0.2, "depth": 0.5}]


@pytest.mark.parametrize(("attributes", "fault"), [
    ({}, "no attribute given"), ({"sise": 0.1}, "unknown column 'sise'"), ({"size": [0.1, 7]}, "row 2: size = 7"),
    ({"size": []}, "size: holds no number. Leave it out"),
    ({"size": [0.1, 0.2], "depth": [0.1, 0.2, 0.3]}, "differ in length"), ({"size": 0.9, "depth": 0}, "row 1: no anat"),
])
def test_faulty_python_values_are_listed(attributes: dict[str, float], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        grid_from_mapping(attributes, DOMAIN)


def test_a_single_request_is_checked_as_a_row() -> None:
    assert row_from_request({"size": 0.1, "rotation_deg": 90}, 4, DOMAIN) == GridRow(4, {"size": 0.1}, 90.0)
    with pytest.raises(InputError, match="request 4: no anatomy"):
        row_from_request({"size": 0.9, "depth": 0.1}, 4, DOMAIN)


@pytest.mark.parametrize("request_", ["size", [0.1], None, {"size": "0_1"}, {"size": None}])
def test_what_is_no_request_is_refused(request_: object) -> None:
    with pytest.raises(InputError, match="request"):
        row_from_request(request_, 4, DOMAIN)  # type: ignore[arg-type]


def test_the_example_grid_is_feasible_and_covers_the_range() -> None:
    grid = read_grid(ROOT / "examples" / "grid.csv", get_domain("lge"))
    sizes = [row.request["infarct_size"] for row in grid.rows]
    assert len(grid) == 64 and sizes.count(0) == 6 and max(sizes) == 0.45
