"""The sections [cohort] and [prepare] of a configuration."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class CohortSettings:
    folder: str  # holds raw/ (nnU-Net raw datasets) and cohort.h5
    domain: str = "lge"
    seed: int = 0
    train_patients: int = 172
    val_patients: int = 10
    test_patients: int = 21
    d8_patients: int = 121


@dataclass(frozen=True)
class PrepareSettings:
    raw: str = ""  # nnU-Net raw dataset; empty: the phantom's, in <cohort folder>/raw
    shape: tuple[int, ...] = (128, 128)
    spacing_mm: tuple[float, ...] = (1.0, 1.0)
    margin_mm: float = 4.0  # that every label stays away from the border; a heart too large for it is an error
    percentiles: tuple[float, ...] = (0.5, 99.5)
    image_order: int = 3  # spline of the resampling: 1 linear, 3 cubic
    labels: dict[str, str] = dataclasses.field(default_factory=dict)  # name in dataset.json, or value -> our name
    ring: tuple[str, ...] = ("myocardium", "lv_cavity")  # keep slices where the first encloses the second; []: all
    first_slice: str = ""  # apex or base; empty: as dataset.json says, else apex
    channel: int = 0
    check_geometry: bool = True  # False compares shapes only, where label files lost their affine
    fold: int = 0  # of splits_final.json, where there is no subsets.json
    validation_share: float = 0.05  # of the patients, where there is neither
    workers: int = 2  # processes
