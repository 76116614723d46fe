"""A cohort becomes an nnU-Net dataset: raw images, plan and preprocessed data, all inside the run's folder.

nnU-Net takes its three folders from the environment, so `use_folders` comes before anything of nnunetv2 is imported.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.files.atomic import write_json, write_text
from cldm_runtime.files.user_files import read_json
from cldm_runtime.store import Dataset, open_dataset

from ..config import MEDNEXT, SegmenterConfig

DATASET_ID = 1
DATASET_NAME = f"Dataset{DATASET_ID:03d}_Cohort"
ENDING = ".mha"  # read by nnU-Net as an image with spacing, lossless, and not compressed
PLANNED, REDUCED = "nnUNetPlans", "ReducedPlans"
MEDNEXT_CLASS = "cldm_trainer.nnunet.mednext.PlannedMedNeXt"


CONFIGURATIONS = {2: "2d", 3: "3d_fullres"}
"""nnU-Net's configuration for images with that number of spatial axes."""


def use_folders(root: Path) -> None:
    """Point nnU-Net at `root`/raw, `root`/preprocessed and `root`/results."""
    for kind in ("raw", "preprocessed", "results"):
        folder = root.resolve() / kind
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{kind}"] = str(folder)


def set_loader_processes(count: int) -> None:
    """How many processes make batches. The planner takes this number for its threads, so it must not be 0 there."""
    os.environ["nnUNet_n_proc_DA"] = str(count)  # noqa: SIM112 (nnU-Net's spelling)


def plans_name(config: SegmenterConfig) -> str:
    return PLANNED if config.planned else REDUCED


def write_raw_images(cohort: Path, root: Path, sha256: str) -> None:
    """Write the training and validation images with nnU-Net's names, one file for each channel, and our split as its
    only fold. Those of another content of the cohort, and what was preprocessed from them, are removed."""
    folder, done = root / "raw" / DATASET_NAME, root / "raw" / "complete"
    if done.exists() and done.read_text(encoding="utf-8") == sha256:
        return
    for made in (folder, root / "preprocessed" / DATASET_NAME):
        shutil.rmtree(made, ignore_errors=True)
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with open_dataset(cohort) as dataset:
        split = _split(dataset)
        for name, row in ((name, row) for subset in split.values() for name, row in subset.items()):
            _write_image(dataset, row, folder, name)
        labels = dataset.load_domain().labels.names
        channels = {str(channel): f"channel {channel}" for channel in range(dataset.channels)}
    write_json(folder / "dataset.json", {
        "channel_names": channels, "labels": {name: value for value, name in enumerate(labels)},
        "numTraining": sum(map(len, split.values())), "file_ending": ENDING})
    preprocessed = root / "preprocessed" / DATASET_NAME
    preprocessed.mkdir(parents=True, exist_ok=True)
    write_json(preprocessed / "splits_final.json", [{subset: list(cases) for subset, cases in split.items()}])
    write_text(done, sha256)


def _split(dataset: Dataset) -> dict[str, dict[str, int]]:
    """For train and val: case name -> row of the cohort."""
    subsets = np.asarray(dataset.subset)
    rows = {subset: np.flatnonzero(subsets == subset).tolist() for subset in ("train", "val")}
    split = {subset: {f"slice_{row:06d}": row for row in chosen} for subset, chosen in rows.items()}
    empty = [subset for subset, cases in split.items() if not cases]
    if empty:
        raise DatasetError(f"{dataset.path}: no slices of subset {' and '.join(empty)}. nnU-Net needs train and val.")
    return split


def drawn_cases(cohort: Path, without_lesion: float) -> list[str]:
    """Names of the training cases, those without a lesion so often that they are about this share of the list. Raises
    InputError for a cohort without such cases, or a domain without a lesion."""
    with open_dataset(cohort) as dataset:
        cases, domain = _split(dataset)["train"], dataset.load_domain()
        if domain.lesion is None:
            raise InputError(f"segmenter.without_lesion: found {without_lesion:g}, but the domain {domain.name} has no "
                             "lesion. Set it to 0.")
        held = {name: bool(domain.labels.region(dataset.drawn(row), domain.lesion).any())
                for name, row in cases.items()}
    shown, free = [name for name in held if held[name]], [name for name in held if not held[name]]
    if not free or not shown:
        raise InputError(f"segmenter.without_lesion: found {without_lesion:g}, but of {len(held)} training images "
                         f"{len(free)} hold no {domain.lesion}. Set it to 0.")
    count = round(without_lesion / (1 - without_lesion) * len(shown))
    return shown + list(np.resize(free, count))


def _write_image(dataset: Dataset, row: int, folder: Path, name: str) -> None:
    import SimpleITK

    files = [(pixels, folder / "imagesTr" / f"{name}_{channel:04d}{ENDING}")
             for channel, pixels in enumerate(dataset.images(row))]
    for pixels, file in (*files, (dataset.drawn(row), folder / "labelsTr" / f"{name}{ENDING}")):
        image = SimpleITK.GetImageFromArray(pixels)
        image.SetSpacing(tuple(reversed(dataset.spacing_mm)))  # SimpleITK counts axes from the last one
        SimpleITK.WriteImage(image, str(file))


def plan_and_preprocess(root: Path, config: SegmenterConfig, configuration: str, workers: int) -> None:
    """nnU-Net's fingerprint, plan and preprocessing, each unless it is there; and the reduced plan, where asked for."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess_dataset,
    )

    folder = root / "preprocessed" / DATASET_NAME
    if not (folder / f"{PLANNED}.json").exists():
        set_loader_processes(workers)
        extract_fingerprints([DATASET_ID], num_processes=workers, check_dataset_integrity=False, verbose=False)
        plan_experiments([DATASET_ID])
    if not config.planned:
        plan = reduced_plan(read_plan(folder / f"{PLANNED}.json"), config, configuration)
        write_json(folder / f"{REDUCED}.json", plan)
    done = folder / "preprocessed_complete"
    if not done.exists():
        shutil.rmtree(folder / f"{PLANNED}_{configuration}", ignore_errors=True)
        preprocess_dataset(DATASET_ID, PLANNED, (configuration,), num_processes=[workers])
        done.touch()


def read_plan(file: Path) -> dict[str, Any]:
    plan = read_json(file)
    assert isinstance(plan, dict)
    return plan


def reduced_plan(plan: Mapping[str, Any], config: SegmenterConfig, configuration: str) -> dict[str, Any]:
    """The same plan with the network, depth and batch size of the configuration; the data it names stay the same."""
    stages = len(config.features)
    planned = dict(plan["configurations"][configuration])
    architecture, dims = dict(planned["architecture"]), len(planned["patch_size"])
    strides = halving_strides(planned["patch_size"], stages)
    if config.network == MEDNEXT:
        architecture = _mednext(config, strides, planned["patch_size"])
    else:
        architecture["arch_kwargs"] = {
            **architecture["arch_kwargs"],
            "n_stages": stages,
            "features_per_stage": list(config.features),
            "kernel_sizes": [[3] * dims] * stages,
            "strides": strides,
            "n_conv_per_stage": [config.convolutions] * stages,
            "n_conv_per_stage_decoder": [config.convolutions] * (stages - 1),
        }
    planned |= {"architecture": architecture, "batch_size": config.batch_size}
    return {**plan, "plans_name": REDUCED, "configurations": {configuration: planned}}


def _mednext(config: SegmenterConfig, strides: list[list[int]], patch: Sequence[int]) -> dict[str, Any]:
    """The plan's architecture for MedNeXt. Raises InputError for a patch that it cannot halve so often."""
    if any(step == 1 for stage in strides[1:] for step in stage):
        halvings = len(strides) - 1
        raise InputError(f"segmenter.network = \"{MEDNEXT}\" with {len(strides)} features halves every axis {halvings} "
                         f"times, but nnU-Net's patch is {list(patch)}. Give fewer features, or images whose sides are "
                         f"multiples of {2**halvings} (prepare.shape).")
    return {"network_class_name": MEDNEXT_CLASS, "_kw_requires_import": [],
            "arch_kwargs": {"features": list(config.features), "strides": strides, "blocks": config.convolutions}}


def halving_strides(patch: Sequence[int], stages: int) -> list[list[int]]:
    """Strides of each stage: the first keeps the patch, each later one halves the axes that stay whole and two or more
    voxels long, so that the decoder gives back the patch's own shape."""
    sizes, strides = [int(size) for size in patch], [[1] * len(patch)]
    for _ in range(stages - 1):
        strides.append([2 if size % 2 == 0 and size >= 4 else 1 for size in sizes])
        sizes = [size // step for size, step in zip(sizes, strides[-1], strict=True)]
    return strides
