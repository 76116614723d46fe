"""cldm prepare: the [cohort] and [prepare] of a trainer's configuration, and nothing else of it."""

from pathlib import Path

import pytest

from attacks.child import make_raw
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.scans.layouts import file_layouts
from layout_fixtures import emidec

BASE = """
[run]
name = "x"
unknown = 1
[cohort]
folder = "nowhere"
d8_patients = 3
[prepare]
raw = "raw"
shape = [32, 32]
spacing_mm = [2.0, 2.0]
workers = 1
labels = { cavity = "lv_cavity" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw dataset of one case of five slices, and my.toml, which extends base.toml."""
    pytest.importorskip("nibabel")
    make_raw(tmp_path / "raw")
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "my.toml").write_text("extends = 'base.toml'\n[cohort]\nfolder = 'cohort'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_counts_the_subsets_and_ignores_other_sections(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cohort/cohort.h5", "  train        1 patients      5 slices (0 dropped: no closed ring)"]


def test_the_first_three_sections_of_the_preset_are_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = (Path(__file__).parents[2] / "trainer" / "configs" / "own-data.toml").read_text()
    (folder / "data" / "own-data").mkdir(parents=True)
    (folder / "raw").rename(folder / "data" / "own-data" / "raw")
    sections = preset[:preset.index("# [prepare.labels]")]
    assert [line for line in sections.splitlines() if line.startswith("[")] == ["[run]", "[cohort]", "[prepare]"]
    (folder / "my.toml").write_text(f'{sections}shape = [32, 32]\nspacing_mm = [2.0, 2.0]\n[prepare.labels]\n'
                                    '"cavity" = "lv_cavity"\n')
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0
    assert "data/own-data/cohort.h5" in capsys.readouterr().out


def test_a_folder_alone_is_told_what_to_write(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["prepare", "raw"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "cldm prepare --config my.toml" in told[-1]
    lines = [line for line in told if line.startswith(("cohort.", "prepare."))]
    assert lines == ['cohort.folder = "data/my-cohort"', 'prepare.raw = "raw"']
    more = ["prepare.shape = [32, 32]", "prepare.spacing_mm = [2.0, 2.0]", 'prepare.labels = { cavity = "lv_cavity" }']
    (folder / "my.toml").write_text("\n".join([*lines, *more]))
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0  # what was told can be run
    assert run(cldm, ["prepare"]) == 2 and 'prepare.raw = "FOLDER WITH THE SCANS"' in capsys.readouterr().err


def test_another_cohort_is_replaced_only_where_that_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]
                                                                 ) -> None:
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0
    with (folder / "my.toml").open("a") as stream:
        stream.write("[prepare]\nmargin_mm = 3.0\n")
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 4
    assert "was made from other data or with other settings" in capsys.readouterr().err
    assert run(cldm, ["prepare", "--config", "my.toml", "--overwrite"]) == 0


def test_every_faulty_key_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my.toml").write_text("extends = 'base.toml'\n[cohort]\nd8_patients = 'x'\n[prepare]\nrnig = []\n")
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 2
    said = capsys.readouterr().err
    assert "cohort.patients.d8: found 'x', expected an integer" in said and "prepare.rnig: unknown key" in said


def test_the_picture_of_what_was_understood_lies_next_to_the_cohort(folder: Path, capsys: pytest.CaptureFixture[str]
                                                                    ) -> None:
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0
    written = capsys.readouterr().err
    assert (folder / "cohort/cohort.png").read_bytes()[:4] == b"\x89PNG"
    assert "cohort.png shows what was understood" in written and "there is no subset 'val'" in written


def test_two_sections_are_enough_for_a_public_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    emidec(tmp_path / "emidec")
    (tmp_path / "my.toml").write_text('[cohort]\nfolder = "cohort"\n[prepare]\nraw = "emidec"\n')
    monkeypatch.chdir(tmp_path)
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1:] == ["  train        2 patients     15 slices (0 dropped: no closed ring)",
                                            "  val          1 patients      9 slices (0 dropped: no closed ring)"]
    assert "read as layout emidec (EMIDEC): 3 cases" in printed.err and "padding" in printed.err


def test_a_folder_in_no_layout_is_exit_code_2_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "my.toml").write_text('[cohort]\nfolder = "cohort"\n[prepare]\nraw = "scans"\n')
    monkeypatch.chdir(tmp_path)
    assert run(cldm, ["prepare", "--config", "my.toml"]) == 2
    assert capsys.readouterr().err.count("\n  - ") == len(file_layouts()) + 2  # and nnunet, dicom
    assert not (tmp_path / "cohort").exists()
