"""Patterns of file names: what they match, and what is no pattern."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.scans.file_patterns import file_pattern, files_below


@pytest.mark.parametrize(("pattern", "path", "values"), [
    ("images/{case}.nii[.gz]", "x/images/a b.nii.gz", {"case": "a b"}),
    ("images/{case}.nii[.gz]", "images/a.nii", {"case": "a"}),
    ("images/{case}.nii[.gz]", "myimages/a.nii", None),
    ("{case}{ending}", "d/a.b.PNG", None),
    ("{case}{ending}", "d/a.b.nii.gz", {"case": "a.b"}),
    ("{p}/{p}_{n}.nii", "p1/p1_2.nii", {"p": "p1", "n": "2"}),
    ("{p}/{p}_{n}.nii", "p1/p2_2.nii", None),
    ("*/{case}_t*.png", "a/b_t12.png", {"case": "b"}),
    ("a+({case}).nii", "a+(1).nii", {"case": "1"})])
def test_the_end_of_a_path_matches(pattern: str, path: str, values: dict[str, str] | None) -> None:
    assert file_pattern(pattern, "here").values(path) == values


@pytest.mark.parametrize("text", ["", "images/a.nii", "{case", "{Case}.nii", "{}.nii", "/abs/{case}.nii", "a//{case}",
                                  "{case}[.{x}]", "{ending}"])
def test_what_is_no_pattern_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"here: found .* such as images/\{case\}\.nii\.gz"):
        file_pattern(text, "here")


def test_files_of_all_folders_without_those_that_systems_leave(tmp_path: Path) -> None:
    for name in ("b/c.nii", "a.nii", ".hidden", "b/._c.nii", "__MACOSX/a.nii", "b/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path / "none")
    assert files_below(tmp_path) == ["a.nii", "b/c.nii", "b/loop"]


def test_a_pattern_with_what_is_known_filled_in() -> None:
    assert file_pattern("{p}/{n}{ending}", "here").filled({"p": "x"}) == "x/{n}{ending}"
