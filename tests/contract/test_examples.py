"""The example scripts run as they stand, some with a tiny bundle in the place of the real one, and so does what
docs/embedding.md shows."""

import json
import re
import runpy
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime import Segmenter
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.store import open_dataset

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_the_python_example_runs(tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "lge").symlink_to(tiny_generator)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "generate.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "images (3, 1, 128, 128)" in printed and "samples 60 to 63" in printed


def test_the_example_for_a_segmenter_of_ones_own_runs(monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    """With the committed bundles, in 5 s on 2 cores."""
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(EXAMPLES / "evaluate_my_segmenter.py"), run_name="__main__")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["infarct_size", "transmurality", "endocardial_surface_length"]
    assert all(int(complete) + int(undefined) == 64 for _, complete, undefined, _, _ in rows)
    assert float(rows[0][3]) > 0.9 and abs(float(rows[0][4])) < 0.02


def test_two_workers_of_torch_read_one_file(samples: Path) -> None:
    """Every row once, as h5py alone reads it."""
    pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    made = runpy.run_path(str(EXAMPLES / "torch_dataset.py"), run_name="torch_dataset")["Samples"](str(samples))
    first = made[0]  # which opens the file here, before the workers begin
    batches = list(DataLoader(made, batch_size=2, num_workers=2, multiprocessing_context="fork"))
    with h5py.File(samples) as file:
        stored, masks = file["images"][:] * (1 / 65535), file["masks"][:]
    assert np.allclose(np.concatenate([batch["image"] for batch in batches]), stored, atol=1e-6)
    assert np.array_equal(np.concatenate([batch["mask"] for batch in batches]), masks)
    assert np.array_equal(first["image"], batches[0]["image"][0])


def test_the_commands_of_convert_md_run(samples: Path, tiny_segmenter: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """All of `cldm`, with the label maps of the conversion for those that nnU-Net would predict."""
    pytest.importorskip("nibabel")
    page = (ROOT / "docs" / "convert.md").read_text()
    lines = re.findall(r"^cldm (.*)$", page, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["convert", "convert", "evaluate", "convert"]
    for line in lines:
        if line.startswith("evaluate"):
            shutil.copytree("out/nnunet/labelsTr", "out/predicted")
        words = line.replace("exported/lge2-segmenter", str(tiny_segmenter)).replace("0:8", "0:4").split()
        assert run(cldm, words) == 0, capsys.readouterr().err
    assert Path("out/again.h5").read_bytes() and "predicted" in Path("out/comparison.json").read_text()
    with open_dataset("out/some.h5") as some:
        assert len(some) == 4


@pytest.fixture
def samples(tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """out/samples.h5 under the current folder, 6 images."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("grid.csv").write_text("infarct_size\n0.1\n0.2\n0.3\n")
    asked = ["--n", "6", "--attributes", "grid.csv", "--bundle", str(tiny_generator), "--out", "out/samples.h5"]
    assert run(cldm, ["gen", *asked]) == 0
    return Path("out/samples.h5")


def dice_of_mine(samples: Path) -> list[float]:
    """Mean Dice of each region in the report on the segmentation `mine`."""
    assert run(cldm, ["measure", str(samples), "--segmentation", "mine"]) == 0
    assert run(cldm, ["report", str(samples), "--segmentation", "mine"]) == 0
    regions = json.loads(samples.with_name("scores.json").read_text())["regions"]
    return [region["dice"]["mean"] for region in regions]


def test_a_segmentation_of_ones_own_is_added_as_the_document_says(samples: Path, tiny_segmenter: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL)
    for _ in range(2):  # and once more, which replaces it
        exec(code, {"my_segmenter": Segmenter.load(tiny_segmenter).segment})
        assert dice_of_mine(samples) == pytest.approx([1, 1, 1], abs=0.05)


def test_any_hdf5_library_can_add_a_segmentation(samples: Path) -> None:
    with h5py.File(samples, "r+") as file:
        file["segmentations/mine/masks"] = file["masks"][:]
    assert dice_of_mine(samples) == [1, 1, 1]


def test_the_kubernetes_job_does_the_shard_of_its_index(tmp_path: Path, tiny_generator: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command as a pod would run it, with folders of this machine and fewer images."""
    yaml = pytest.importorskip("yaml")
    (container,) = yaml.safe_load((EXAMPLES / "kubernetes" / "job.yaml").read_text())["spec"]["template"]["spec"][
        "containers"]
    here = {"/bundles/lge": str(tiny_generator), "/data/grid.csv": str(EXAMPLES / "grid.csv"), "100000": "1024",
            "/data/big.h5": str(tmp_path / "big.h5")}
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "15")
    program, *arguments = (here.get(word, word) for word in container["command"])
    assert program == "cldm-gen" and run(cldm, ["gen", *arguments, "--workers", "1"]) == 0
    assert [path.name for path in sorted((tmp_path / "big.h5.parts").glob("*.h5"))] == ["part-00015.h5"]
