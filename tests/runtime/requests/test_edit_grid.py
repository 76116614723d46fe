"""Grids of edits: what is read, and what each faulty cell says."""

from pathlib import Path

import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.requests.edit_grid import (
    edit_grid_from_prompt,
    edit_of,
    edit_rules,
    open_edit_grid,
    read_edit_grid,
)
from cldm_runtime.requests.grid import Grid

DOMAIN = get_domain("lge")


def read(folder: Path, text: str) -> Grid:
    (folder / "edits.csv").write_text(text)
    return read_edit_grid(folder / "edits.csv", DOMAIN, edit_rules(DOMAIN, "scar"))


def test_numbers_and_words_of_each_row_are_read(tmp_path: Path) -> None:
    grid = read(tmp_path, "Operation,infarct_size,angle_deg,layer,weight,label\n,0.1,30,Mid-Wall,2,a\nremove,,,,,\n")
    first, second = grid.rows
    assert (first.request, first.words) == ({"infarct_size": 0.1, "angle_deg": 30.0}, {"layer": "mid-wall"})
    assert (first.weight, first.label, first.line, second.line) == (2.0, "a", 2, 3)
    assert (second.request, second.words, second.weight) == ({}, {"operation": "remove"}, 1.0)


def test_a_row_overrides_what_is_known_of_a_map(tmp_path: Path) -> None:
    row = read(tmp_path, "slice_position,infarct_size\n0.5,\n").rows[0]
    assert edit_of(row, {"slice_position": 0.2, "transmurality": 0.3}).numbers == {
        "slice_position": 0.5, "transmurality": 0.3}


def test_without_a_grid_all_is_open() -> None:
    assert [edit_of(row).numbers for row in open_edit_grid().rows] == [{}]


@pytest.mark.parametrize(("text", "fault"), [
    ("size\n0.1\n", "unknown column 'size'"),
    ("weight\n1\n", "no column says what to edit"),
    ("layer,layer\nmid-wall,mid-wall\n", "column 'layer' stands 2 times"),
    ("layer\nmiddle\n", "line 2: layer = 'middle' is unknown. Known: endocardial, mid-wall, epicardial, transmural"),
    ("infarct_size\n14\n", "write 0.14 for 14 %"),
    ("angle_deg\nup\n", "line 2: angle_deg = 'up'"),
    ("angle_deg,aha_segment,rv_insertion_deg\n10,2,0\n", "line 2: angle_deg and aha_segment both say where"),
    ("layer\nmid-wall,0.1\n", "2 cells, the header has 1"),
    ("layer\n", "there is no row below the header"),
    ("layer,weight\nmid-wall,0\n", "every weight is 0"),
    ("", "the file is empty. Expected a header with some of: infarct_size"),
    ("layer,,infarct_size\nmid,,0.1\n", "line 1: column 2 has no name. Name it, or delete it"),
])
def test_faults_are_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert fault in str(error.value)


def test_only_the_lesion_of_the_domain_can_be_edited() -> None:
    with pytest.raises(InputError, match="--edit tumour: in given label maps of the domain lge there is scar to edit"):
        edit_rules(DOMAIN, "tumour")


def test_a_prompt_asks_for_place_and_layer(tmp_path: Path) -> None:
    grid = read(tmp_path, "prompt,rv_insertion_deg,transmurality\nlarge mid-wall scar in the septal wall,,\n"
                          "\"scar in the septal wall, basal level\",300,0.5\nscar at 5 o'clock,,\n")
    assert [(dict(row.request), dict(row.words)) for row in grid.rows] == [
        ({"rv_insertion_deg": 330.0, "infarct_size": pytest.approx(0.275), "angle_deg": 300.0}, {"layer": "mid-wall"}),
        ({"rv_insertion_deg": 300.0, "transmurality": 0.5, "angle_deg": 300.0}, {}),
        ({"angle_deg": 150.0, "rv_insertion_deg": 0.0}, {})]
    assert "line 3: understood, but not requested: 'basal level': a given slice has its own level" in grid.notes
    asked = edit_grid_from_prompt("large mid-wall scar in the septal wall", DOMAIN, edit_rules(DOMAIN, "scar"))
    assert (asked.rows[0].request, asked.rows[0].words) == (grid.rows[0].request, grid.rows[0].words)


@pytest.mark.parametrize(("text", "fault"), [
    ("prompt,layer\nmid-wall scar,transmural\n", "line 2: prompt asks for layer mid-wall, the column for transmural"),
    ("prompt,angle_deg\nscar in the septal wall,10\n",
     "line 2: prompt asks for angle_deg 300, the column angle_deg for"),
    ("prompt,operation\nlarge transmural scar,remove\n", "line 2: "),
    ("prompt,aha_segment\nscar in the septal wall,3\n", "line 2: "),
    ("prompt\nein Infarkt\n", "line 2: nothing of 'ein Infarkt' was understood"),
])
def test_a_prompt_and_columns_may_not_contradict_each_other(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read(tmp_path, text)
