"""The package brats-evaluation on PyPI, in an environment of its own: what it defines as BraTS 2023 does is the same.

It is that of later challenges. The Dice of the whole region is the same, and that of lesions, where each is found in
one piece that overlaps it, lies apart from others and is above 50 mm3. CLDM_BRATS_EVALUATION may name the Python of an
environment that has it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cldm_runtime.metrics.lesions import score_region
from lesion_volumes import PAIRS, REGIONS, volume_pair

pytestmark = pytest.mark.long
PACKAGE = "brats-evaluation==0.0.10"
PROGRAM = """
import json, sys
from panoptica import Panoptica_Evaluator
from brats_evaluation import config_path, evaluate_single_exam
evaluator = Panoptica_Evaluator.load_from_config(str(config_path("gli")))
found = {}
for name in sys.argv[2:]:
    scores = evaluate_single_exam(name + "-found.nii.gz", name + "-reference.nii.gz", name, evaluator)
    found[name] = {region: {key: float(scores[region][key]) for key in ("global_bin_dsc", "sq_dsc", "tp", "fp", "fn")}
                   for region in ("et", "tc", "wt")}
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the package."""
    if given := os.environ.get("CLDM_BRATS_EVALUATION"):
        return given
    folder = tmp_path_factory.mktemp("environment")
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", PACKAGE], check=True, capture_output=True,
                       timeout=1800)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{PACKAGE} cannot be installed here: {error}")
    return str(folder / "bin" / "python")


def apart(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three lesions far from each other, each found in one piece that is moved and smaller."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(48),) * 3, indexing="ij"))
    reference, prediction = np.zeros((2, 48, 48, 48), np.uint8)
    for centre in ((11, 11, 11), (36, 12, 30), (20, 37, 12)):
        radius = rng.uniform(5, 7)
        for volume, place, scale in ((reference, np.array(centre), 1.0),
                                     (prediction, centre + rng.normal(0, 0.7, 3), rng.uniform(0.8, 1.0))):
            away = np.sqrt(((grid - np.asarray(place)[:, None, None, None]) ** 2).sum(axis=0))
            for value, share in ((2, 1.0), (3, 0.8), (1, 0.5)):
                volume[away < radius * scale * share] = value
    return prediction, reference


def test_what_both_define_alike_is_the_same(python: str, tmp_path: Path) -> None:
    pairs = {f"pair{number}": volume_pair(number) for number in range(PAIRS)}
    pairs |= {f"apart{number}": apart(number) for number in range(6)}
    for name, maps in pairs.items():
        for kind, labels in zip(("found", "reference"), maps, strict=True):
            nibabel.save(nibabel.Nifti1Image(labels.T, np.eye(4)), tmp_path / f"{name}-{kind}.nii.gz")
    subprocess.run([python, "-c", PROGRAM, "found.json", *pairs], check=True, capture_output=True, cwd=tmp_path,
                   env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    theirs = json.loads((tmp_path / "found.json").read_text())
    for name, (prediction, reference) in pairs.items():
        for region, values in REGIONS.items():
            a, b = np.isin(prediction, values), np.isin(reference, values)
            scores = theirs[name][region.lower()]
            if a.any() or b.any():
                assert scores["global_bin_dsc"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-3)
            if name.startswith("apart"):
                ours = score_region(a, b, (1.0, 1.0, 1.0))
                assert (scores["tp"], scores["fp"], scores["fn"]) == (3, 0, 0) == (ours.found, ours.false, ours.missed)
                assert scores["sq_dsc"] == pytest.approx(ours.dice, abs=1e-3)
