"""A network that nnU-Net itself planned and trained for two iterations, on labels of its own, becomes a bundle."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import nnunet_training
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_trainer import export
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.table import run_stage

NAMED = ({"background": 0, "Narbe": 1, "Muskel": 2, "Blut": 3}, (0, 3, 2, 1))
REGIONS = ({"background": 0, "Herz": [1, 2, 3], "Wand": [1, 2], "Narbe": [1]}, (0, 3, 2, 1))
TINY = Path(__file__).parents[3] / "trainer/configs/phantom-tiny.toml"
OF_NAMES = {"Narbe": "infarct", "Muskel": "healthy_myocardium", "Blut": "lv_cavity"}
OF_REGIONS = {"Narbe": "infarct", "Wand": "healthy_myocardium", "Herz": "lv_cavity"}


def configured(folder: Path, raw: Path, mapping: dict[str, str]) -> Config:
    """The configuration of a user: a cohort from the same scans, the network to export."""
    result = folder / "results" / raw.name / "nnUNetTrainer__nnUNetPlans__2d"
    (folder / "c.toml").write_text(
        f'extends = "{TINY}"\n[run]\nfolder = "{folder}/run"\n[cohort]\nfolder = "{folder}/cohort"\n'
        f'[prepare]\nraw = "{raw}"\nshape = [64, 64]\nworkers = 1\n[prepare.labels]\n'
        + "".join(f'"{name}" = "{label}"\n' for name, label in mapping.items())
        + f'[export]\nsegmenter = "{folder}/bundle"\nnnunet = "{result}"\n')
    return load_config(folder / "c.toml")


@pytest.mark.long  # test_segmenter.py does the same with a tiny untrained network
@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
@pytest.mark.parametrize(("labels", "mapping"), [(NAMED, OF_NAMES), (REGIONS, OF_REGIONS)], ids=["names", "regions"])
def test_a_stock_training_with_labels_of_its_own_is_exported(
        tmp_path: Path, labels: tuple, mapping: dict[str, str]) -> None:
    raw = nnunet_training.write_raw(tmp_path, *labels)
    subprocess.run([sys.executable, nnunet_training.__file__, str(tmp_path)], check=True, capture_output=True)
    config = configured(tmp_path, raw, mapping)
    run_stage("prepare", config)
    said: list[str] = []
    assert export.run(config, torchscript=False, what="segmenter", say=said.append) == [tmp_path / "bundle"]
    measured = Bundle.load(tmp_path / "bundle").manifest.quality["measured"]
    for how in ("with", "without"):
        differing, pixels = measured[f"nnUNetPredictor, {how} mirroring: differing pixels"].split(" of ")
        assert int(pixels) == 30 * 64 * 64 and int(differing) <= 0.001 * int(pixels)
    assert any(text.startswith("bundle: segmenting with nnU-Net, mirroring on, image") for text in said)

    wrong = replace(config, export=replace(config.export, nnunet_labels={"Narbe": "scar"}, segmenter=f"{tmp_path}/b"))
    with pytest.raises(InputError, match=r"export.nnunet_labels: Narbe -> 'scar', which is no label of lge"):
        export.run(wrong, torchscript=False, what="segmenter")
