"""docs/your-own-data.md says what a wrong input of every way in and out says: each is tried."""

import re
import shutil
from pathlib import Path

import pytest

import ways
from cldm_runtime.cli.main import cldm, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-data.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """First cell -> the other cells of the table below a heading."""
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    return {first: others for first, *others in cells[1:]}


TABLES = {"Every way in": ways.WAYS, "Every way out": ways.OUT, "What a wrong folder says": ways.FOLDERS}


def pattern(cell: str) -> str:
    """The words in backquotes, where ... stands for any others; line breaks of a message count as spaces."""
    (words,) = re.findall(r"`([^`]*)`", cell)
    return ".*".join(re.escape(part.strip()) for part in words.split("..."))


@pytest.mark.parametrize("heading", TABLES)
def test_every_row_has_its_wrong_input(heading: str) -> None:
    assert list(rows(heading)) == list(TABLES[heading])


@pytest.mark.parametrize(("heading", "name"), [(heading, name) for heading in TABLES for name in TABLES[heading]])
def test_a_wrong_input_says_what_the_page_says(heading: str, name: str, tmp_path: Path, tiny_generator: Path,
                                               tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nibabel")
    shutil.copytree(tiny_generator, tmp_path / "generator")
    shutil.copytree(tiny_segmenter, tmp_path / "segmenter")
    command = TABLES[heading][name](tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(cldm, command) in (2, 3, 4)
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(pattern(rows(heading)[name][-1]), said), said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("cell", [others[1] for heading in list(TABLES)[:2] for others in rows(heading).values()])
def test_the_named_tests_are_there(cell: str) -> None:
    files = re.findall(r"`([^`]+)`", cell)
    assert all(list((ROOT / "tests").rglob(Path(file).name)) for file in files)
    assert all((ROOT / file).exists() for file in files if "/" in file)
