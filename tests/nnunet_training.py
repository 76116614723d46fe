"""A training by nnU-Net itself: its planner, its preprocessing, its trainer for one epoch of two iterations.

    python nnunet_training.py FOLDER LABELS_JSON
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SIZE, SLICES, CASES = 64, 6, 5
BRIGHTNESS = (60.0, 120.0, 40.0, 220.0)  # of background, cavity, wall and scar


def stack(case: int) -> np.ndarray:
    """(SLICES, SIZE, SIZE): 0 background, 1 cavity, 2 wall, 3 scar."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius, angle = np.hypot(y, x + case % 3), np.arctan2(y, x)
    wall = np.where(np.abs(angle) < 0.5 + 0.2 * case, 3, 2)
    plane = np.where(radius < 12, 1, np.where(radius < 20, wall, 0))
    return np.stack([plane] * SLICES).astype(np.uint8)


def write_raw(folder: Path, labels: Mapping[str, object], values: tuple[int, int, int, int]) -> Path:
    """A raw dataset. values: what the files say for background, cavity, wall and scar."""
    from cldm_runtime.scans.nnunet_raw import write_nifti

    raw = folder / "raw" / "Dataset777_Own"
    for case in range(CASES):
        tissue = stack(case)
        noise = 10 * np.random.default_rng(case).standard_normal(tissue.shape)
        image, label = np.choose(tissue, BRIGHTNESS) + noise, np.choose(tissue, values)
        for file, array in ((f"imagesTr/c{case}_0000.nii.gz", image.astype(np.float32)),
                            (f"labelsTr/c{case}.nii.gz", label.astype(np.uint8))):
            (raw / file).parent.mkdir(parents=True, exist_ok=True)
            write_nifti(raw / file, array, (8.0, 1.0, 1.0))
    description = {"channel_names": {"0": "LGE"}, "labels": labels, "numTraining": CASES, "file_ending": ".nii.gz"}
    if any(isinstance(value, list) for value in labels.values()):
        description["regions_class_order"] = [value[-1] for value in labels.values() if isinstance(value, list)]
    (raw / "dataset.json").write_text(json.dumps(description))
    return raw


def train(folder: Path) -> None:
    """Plan, preprocess and train; the result lies in FOLDER/results."""
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = str(folder / kind)
    os.environ.update(nnUNet_n_proc_DA="1", nnUNet_compile="f")
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess_dataset,
    )
    from nnunetv2.run.run_training import get_trainer_from_args

    torch.manual_seed(0)
    extract_fingerprints([777], num_processes=1, check_dataset_integrity=True)
    plan_experiments([777])
    preprocess_dataset(777, "nnUNetPlans", ("2d",), num_processes=[1])
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 (of its own spelling; the planner refuses 0)
    trainer = get_trainer_from_args("777", "2d", 0, "nnUNetTrainer", "nnUNetPlans", device=torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 2, 1
    trainer.run_training()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
