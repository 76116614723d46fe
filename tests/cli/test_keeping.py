"""`cldm gen --keep-if`: what it says of rules, segmenters and numbers of tries, and of what it kept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.store import open_dataset, read_filter
from segmenter_fixtures import heart

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """An empty working folder with label maps: without a scar, with a small and with a large one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    np.save(tmp_path / "masks.npy", np.stack([heart(angle, 128) for angle in (0, 30, 90)]))
    (tmp_path / "turns.csv").write_text("rotation_deg\n0\n90\n")
    return tmp_path


def test_kept_and_given_up_samples_are_told(cli: Cli, folder: Path, tiny_segmenter: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--n", 6, "--masks", "masks.npy", "--attributes", "turns.csv", "--segmenter", tiny_segmenter,
             "--tries", 2, "--keep-if", "infarct_size_reference < 0.2 and infarct_dice >= 0.9"]
    plan = json.loads(cli(*flags, "--dry-run", "--json")[1])
    assert plan["keep"]["rule"] == "infarct_size_reference < 0.2 and infarct_dice >= 0.9" and plan["keep"]["tries"] == 2
    code, out, _ = cli(*flags, "--workers", 1)
    assert code == 0 and out.startswith("samples.h5: 4 images in ")
    assert "4 of 6 samples; 4 candidates rejected, 2 samples given up after 2 tries" in out
    assert "given up: samples 4-5; by row of the grid, from 0 as /grid_row: 0 (1), 1 (1)" in out
    with open_dataset(folder / "samples.h5") as dataset:
        record = read_filter(dataset.metadata, "samples.h5")
        assert record is not None and record.given_up == (4, 5) and dataset.sample_index.tolist() == [0, 1, 2, 3]
    assert run(cldm, ["verify", "samples.h5"]) == 0 and run(cldm, ["inspect", "samples.h5"]) == 0
    assert "(4 of 6 samples; judge: tiny-segmenter)" in capsys.readouterr().out
    code = run(cldm, ["evaluate", "samples.h5", "--segmenter", str(tiny_segmenter), "--out", "report",
                      "--workers", "1"])
    page = (folder / "report" / "report.html").read_text()
    assert code == 0 and "<h2>The quality filter</h2>" in page and "4 of 6 samples were kept" in page
    assert page.count('aria-label="share kept by ') == 2  # transmurality is 1 in all
    assert "Only images that meet a rule" in page and "<td>2</td><td>4</td></tr>" in page


def test_a_filter_that_nothing_passes_ends_with_one_message(cli: Cli, folder: Path, tiny_segmenter: Path) -> None:
    code, out, err = cli("--n", 3, "--masks", "masks.npy", "--segmenter", tiny_segmenter, "--tries", 1, "--workers", 1,
                         "--keep-if", "infarct_size > 0.9", "--json")
    assert code == 2 and not out and "none of 3 samples passed in 1 tries each" in err.splitlines()[-1]
    assert sorted(path.name for path in folder.iterdir()) == ["masks.npy", "turns.csv"]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--keep-if", "infarct_dise > 0.7"], 2, "unknown name 'infarct_dise'. Did you mean infarct_dice? Known names: lv"),
    (["--keep-if", "open('x') > 0.7"], 2, "unknown call 'open'"),
    (["--keep-if", "infarct_dice >"], 2, "cannot be read"),
    (["--keep-if", "infarct_dice > 0.7", "--tries", 0], 2, "0 is not in the range x>=1"),
    (["--tries", 3], 2, "--tries 3: is of a rule by which images are kept. Pass --keep-if RULE"),
    (["--segmenter", "nowhere"], 2, "--segmenter nowhere: is of a rule"),
    (["--keep-if", "infarct_dice > 0.7", "--segmenter", "nowhere"], 3, "nowhere"),
])
def test_mistakes_are_told_and_nothing_is_written(cli: Cli, folder: Path, tiny_segmenter: Path, arguments: list,
                                                  code: int, message: str) -> None:
    chosen = arguments if "--segmenter" in arguments or "--keep-if" not in arguments else [
        *arguments, "--segmenter", tiny_segmenter]
    found, out, err = cli("--n", 3, "--masks", "masks.npy", *chosen)
    assert found == code and not out and message in err
    assert sorted(path.name for path in folder.iterdir()) == ["masks.npy", "turns.csv"]


def test_a_generator_is_no_segmenter(cli: Cli, tiny_generator: Path) -> None:
    code, _, err = cli("--n", 3, "--masks", "masks.npy", "--keep-if", "infarct_dice > 0", "--segmenter", tiny_generator)
    assert code == 3 and "is a generator, expected a segmenter" in err
