"""cldm grid: its options are the attributes of a domain or bundle; what it writes, cldm-gen takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.store import DatasetSpec, create_dataset

SPLEEN = 'name = "spleen"\naxes = 3\n[labels]\nspleen = 1\ntumour = 2\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLDM_BUNDLE", raising=False)
    return tmp_path


def grid(*arguments: str) -> int:
    return run(cldm, ["grid", *arguments])


def test_a_full_design_without_the_rows_that_contradict_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert grid("--infarct-size", "0.2:0.4:2", "--transmurality", "0.3,0.6", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["left_out"]) == (3, 1)
    assert said["reasons"][0]["first"].startswith("transmurality = 0.3 is below infarct_size = 0.4")
    assert Path("grid.csv").read_text() == "infarct_size,transmurality\n0.2,0.3\n0.2,0.6\n0.4,0.6\n"


def test_what_is_written_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert grid("--design", "lhs", "--n", "6", "--infarct-size", "0.1:0.3", "--rotation-deg", "0,90", "--out",
                "a.csv") == 0
    rows = read_grid("a.csv", get_domain("lge")).rows
    assert f"a.csv: {len(rows)} rows." in capsys.readouterr().out
    assert sorted(row.rotation_deg for row in rows) == [0, 0, 0, 90, 90, 90]


def test_options_are_those_of_a_declared_domain(capsys: pytest.CaptureFixture[str]) -> None:
    Path("spleen.toml").write_text(SPLEEN)
    assert grid("--domain", "spleen.toml", "--tumour-share", "0.1:0.3:3") == 0
    assert Path("grid.csv").read_text() == "tumour_share\n0.1\n0.2\n0.3\n"
    assert grid("--domain", "spleen.toml", "--infarct-size", "0.1") == 2
    assert "No such option '--infarct-size'" in capsys.readouterr().err


def test_options_are_those_of_a_bundle(tiny_attributes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert grid("--bundle", str(tiny_attributes), "--help") == 0
    said = capsys.readouterr().out
    assert "--infarct-size" in said and "--rotation-deg, " not in said and "--noise-level" not in said
    assert grid("--bundle", str(tiny_attributes), "--domain", "spleen", "--infarct-size", "0.1") == 2


def test_rows_are_those_of_a_cohort(capsys: pytest.CaptureFixture[str]) -> None:
    attributes = np.array([[0, np.nan, 0, 0.5], [0.1, 0.5, 0.2, 0.5], [0.4, 0.5, 0.8, 0.5]], np.float32)
    with create_dataset("cohort.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0), 1, (0.0, 1.0), {})) as writer:
        writer.append(images=np.zeros((3, 1, 8, 8), np.float32), masks=np.zeros((3, 8, 8), np.uint8),
                      mask_attributes=attributes, mask_reasons=np.zeros((3, 4), np.uint8))
    assert grid("--like", "cohort.h5", "--infarct-size", "0:0.2") == 0
    assert sorted(Path("grid.csv").read_text().splitlines()) == [
        "0,,0,0.5", "0.1,0.5,0.2,0.5", "infarct_size,transmurality,endocardial_surface_length,slice_position"]
    assert "grid.csv: 2 rows." in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "expected"), [
    ((), "found no attribute"),
    (("--infarct-size", "5:40:8"), "expected values in 0..1"),
    (("--infarct-size", "0.1:0.4"), "a full design needs levels"),
    (("--infarct-size", "0.1,0.2", "--n", "5"), "--n 5 is for --design lhs"),
    (("--infarct-size", "0.1:0.2", "--design", "lhs"), "Pass --n N"),
    (("--infarct-size", "0.1", "--subset", "test"), "Give the dataset"),
    (("--like", "a.h5", "--rotation-deg", "0:90"), "expected measured attributes with LOW:HIGH"),
    (("--like", "a.h5", "--infarct-size", "0.1,0.2"), "expected measured attributes with LOW:HIGH"),
    (("--like", "a.h5", "--design", "lhs"), "Leave one out"),
    (("--infarct-size", "0.4", "--transmurality", "0.1"), "no anatomy can meet any row"),
    (("--domain", "lgee", "--infarct-size", "0.1"), "domain 'lgee' is unknown"),
])
def test_mistakes_are_one_message_and_no_file(arguments: tuple[str, ...], expected: str, folder: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    assert grid(*arguments) == 2
    assert expected in capsys.readouterr().err and not list(folder.iterdir())


def test_a_file_is_replaced_only_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("grid.csv").write_text("mine")
    assert grid("--infarct-size", "0.1") == 2 and Path("grid.csv").read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert grid("--infarct-size", "0.1", "--overwrite") == 0 and Path("grid.csv").read_text() == "infarct_size\n0.1\n"
