"""Requests in words: a column of a grid, and one prompt for a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from cldm_runtime.domains.lge.words.facts import SIZES, size_bin
from cldm_runtime.domains.lge.words.reading import DEPTHS
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.infeasible import settle
from cldm_runtime.requests.prompted import grid_from_prompt

LGE = get_domain("lge")


def grid(folder: Path, text: str, **options: object):  # type: ignore[no-untyped-def]
    (folder / "grid.csv").write_text(text)
    return read_grid(folder / "grid.csv", LGE, **options)  # type: ignore[arg-type]


def test_a_prompt_is_a_column(tmp_path: Path) -> None:
    read = grid(tmp_path, 'prompt,weight,label\n"small, subendocardial scar",2,a\nno scar near the apex,1,b\n,1,c\n')
    assert [dict(row.request) for row in read.rows] == [
        {"infarct_size": 0.065, "transmurality": 0.35}, {"infarct_size": 0.0, "slice_position": pytest.approx(1 / 6)},
        {}]
    assert [row.label for row in read.rows] == ["a", "b", "c"] and read.rows[0].weight == 2
    assert read.notes[0] == "line 2: understood: 'small': infarct_size 0.065 (the middle of 0.03 to 0.1)"
    assert [note.split(":")[0] for note in read.notes] == ["line 2"] * 2 + ["line 3"] * 2


def test_words_and_numbers_share_a_row(tmp_path: Path) -> None:
    read = grid(tmp_path, "prompt,slice_position\nlarge scar,0.4\n")
    assert dict(read.rows[0].request) == {"slice_position": 0.4, "infarct_size": pytest.approx(0.275)}
    same = grid(tmp_path, "prompt,infarct_size\n12 % scar,0.12\n")
    assert dict(same.rows[0].request) == {"infarct_size": 0.12}


def test_what_is_not_understood_is_a_note(tmp_path: Path) -> None:
    read = grid(tmp_path, "prompt\nsmall purple scar in the inferior wall\n")
    assert read.notes[1].startswith("line 2: understood, but not requested: 'inferior': ")
    assert read.notes[2] == "line 2: not understood: 'purple'"


@pytest.mark.parametrize(("text", "message"), [
    ("prompt\nein Infarkt\n", "line 2: nothing of 'ein Infarkt' was understood. Write for example: small sub"),
    ("prompt\nscar in the inferior wall\n", "line 2: nothing of 'scar in the inferior wall' can be requested here: "),
    ("prompt,infarct_size\nsmall scar,0.4\n",
     "line 2: prompt asks for infarct_size 0.065, the column infarct_size for 0.4"),
    ("prompt\nsmall large scar\n", "line 2: 'small' and 'large' contradict each other"),
    ("prompt\n\"90 % of the wall, 20 % deep\"\n", "line 2: transmurality = 0.2 is below infarct_size = 0.9"),
    ("prompts\nsmall\n", "Did you mean prompt?"),
])
def test_faults_have_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        grid(tmp_path, text)
    assert message in str(refused.value)


def test_given_label_maps_decide_themselves(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prompt cannot be requested of given masks"):
        grid(tmp_path, "prompt,rotation_deg\nsmall scar,3\n", for_masks=True)


def test_a_domain_without_words_has_no_such_column(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("prompt\nsmall scar\n")
    plain = replace(LGE, words=None)
    with pytest.raises(InputError, match="unknown column 'prompt'"):
        read_grid(tmp_path / "grid.csv", plain)
    with pytest.raises(InputError, match="the domain lge has no words"):
        grid_from_prompt("small scar", plain)


def test_one_prompt_is_a_grid_of_one_row() -> None:
    read = grid_from_prompt("Large transmural scar, basal level", LGE)
    assert dict(read.rows[0].request) == {"infarct_size": pytest.approx(0.275), "transmurality": 0.85,
                                          "slice_position": pytest.approx(5 / 6)}
    assert read.prompt == "Large transmural scar, basal level" and len(read.notes) == 3
    assert read.sha256 != grid_from_prompt("large transmural scar, basal level", LGE).sha256


@pytest.mark.parametrize("text", ["", "ein Infarkt", "a scar", "small large scar", "90 % of the wall, 20 % deep"])
def test_a_prompt_that_cannot_be_met_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--prompt: nothing was written"):
        grid_from_prompt(text, LGE)


def test_a_row_that_no_anatomy_can_meet_is_moved_and_stays_told() -> None:
    read = settle(grid_from_prompt("90 % of the wall, 20 % deep", LGE, feasible=False), LGE, "nearest")
    assert read.rows[0].request["transmurality"] >= 0.85 and len(read.notes) == 3 and "is moved to" in read.notes[2]


def test_drawn_hearts_are_within_the_bins_of_their_words() -> None:
    """The same request by words and by numbers: at least nine in ten within the bin of each word."""
    inside = []
    for word in [word for word, _ in SIZES][1:]:
        for layer, spelling in (("endocardial", "subendocardial"), ("transmural", "transmural")):
            row = grid_from_prompt(f"{word} {spelling} scar", LGE).rows[0]
            for index in range(3):
                complete = LGE.require_anatomy().complete(row.request, Stream(1, index, Purpose.CONDITION))
                drawn = LGE.require_anatomy().draw(complete, Stream(1, index, Purpose.ANATOMY), shape=(128, 128),
                                                   spacing_mm=(1.0, 1.0))
                size, depth = LGE.measure(drawn.labels[None]).values[0][:2]
                low, high = size_bin(word)
                inside.append(low <= size <= high and DEPTHS[layer][0] <= depth <= DEPTHS[layer][1])
    assert len(inside) == 24 and sum(inside) >= 22
