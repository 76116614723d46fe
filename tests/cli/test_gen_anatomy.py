"""`cldm gen --anatomy learned`: what the file says of it, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.cli.anatomy import anatomy_bundle
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.store import open_dataset

Cli = Callable[..., tuple[int, str, str]]
GRID = "infarct_size,transmurality,rotation_deg\n0.2,0.5,0\n0,,0\n0.15,0.5,90\n"
LEARNED = ["--attributes", "grid.csv", "--anatomy", "learned"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """An empty working folder with a grid, and the tiny bundle in $CLDM_BUNDLE; the anatomy lies beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    (tmp_path / "grid.csv").write_text(GRID)
    return tmp_path


def test_the_file_names_the_anatomy_and_counts_its_draws(cli: Cli, folder: Path, tiny_anatomy: Path) -> None:
    code, out, _ = cli("--n", 3, *LEARNED, "--json")
    found = json.loads(out)
    assert code == 0 and found["anatomy_acceptance"] == pytest.approx(3 / found["anatomy_draws"], abs=1e-4)
    with open_dataset(folder / "samples.h5") as dataset:
        metadata = dataset.metadata
        assert (dataset.masks()[1] < 3).all() and abs(dataset.requested - dataset.mask_attributes)[0, :3].max() <= 0.04
    assert metadata["anatomy"] == "learned" and metadata["anatomy_draws"] == found["anatomy_draws"] >= 3
    assert metadata["anatomy_manifest_sha256"] == Bundle.load(tiny_anatomy).manifest_sha256
    assert json.loads(str(metadata["plan"]))["requests"]["anatomy_bundle"] == "tiny-anatomy"


def test_a_parametric_run_says_so_and_is_another_plan(cli: Cli, folder: Path) -> None:
    assert cli("--n", 1, "--attributes", "grid.csv")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.metadata["anatomy"] == "parametric" and "anatomy_bundle" not in dataset.metadata
    code, _, err = cli("--n", 1, *LEARNED, "--resume")
    assert code == 2 and "requests was" in err and "learned" in err


def test_the_acceptance_is_said(cli: Cli, tiny_anatomy: Path) -> None:
    out = cli("--n", 1, *LEARNED, "--anatomy-bundle", tiny_anatomy)[1]
    assert "label maps: " in out and "draws accepted." in out


def test_a_row_that_the_anatomy_does_not_reach_is_named(cli: Cli, folder: Path) -> None:
    header = "infarct_size,transmurality,endocardial_surface_length"
    (folder / "grid.csv").write_text(f"{header}\n0.2,0.5,0.4\n0.2,0.9,0.6\n")
    code, _, err = cli("--n", 2, *LEARNED)
    assert code == 2 and "line 3: no map of anatomy tiny-anatomy meets" in err and "line 2" not in err
    assert not (folder / "samples.h5").exists()


def test_each_mistake_gives_one_message(cli: Cli, tiny_attributes: Path, tiny_segmenter: Path) -> None:
    cases = [(["--masks", "x.npy", "--anatomy", "learned"], 2, "Pass one of the two"),
             ([*LEARNED, "--bundle", tiny_attributes], 2, "needs no label maps"),
             ([*LEARNED, "--anatomy-bundle", "nowhere"], 3, "bundle nowhere: no such folder"),
             ([*LEARNED, "--anatomy-bundle", tiny_segmenter], 3, "is a segmenter, expected an anatomy")]
    for arguments, code, message in cases:
        found = cli("--n", 1, *arguments)
        assert (found[0], found[1]) == (code, "") and message in found[2] and "Traceback" not in found[2]


def test_inspect_and_verify(tiny_anatomy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["inspect", str(tiny_anatomy)]) == 0
    text = capsys.readouterr().out
    assert "tiny-anatomy 1 (anatomy, domain lge)" in text
    assert "3 dimensions, 2 Gaussians; of the slices 80% with a lesion" in text
    assert run(cldm, ["verify", str(tiny_anatomy)]) == 0 and "decoder/logits" in capsys.readouterr().out


def test_a_domain_that_draws_nothing_takes_the_bundle_beside_the_generator(tiny_generator: Path) -> None:
    """Where attributes are asked for, and neither where label maps are given nor in a domain with formulas."""
    lge = Bundle.load(tiny_generator)
    without = SimpleNamespace(path=lge.path, manifest=lge.manifest, domain=lambda: replace(lge.domain(), anatomy=None))
    grid, masks = Path("grid.csv"), Path("maps.npy")
    found = anatomy_bundle(without, "parametric", None, grid, None)
    assert found is not None and found.path == lge.path.parent / "lge-anatomy"
    assert anatomy_bundle(without, "parametric", Path("no-such"), grid, None) is None
    assert [anatomy_bundle(bundle, "parametric", None, *files) for bundle, files in (
        (without, (grid, masks)), (without, (None, masks)), (lge, (grid, None)))] == [None] * 3
