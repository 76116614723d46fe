"""The sections [cohort] and [prepare] of a configuration, which the trainer and `cldm prepare` read from one file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, list_faults
from ..files.records import TOML, read_record
from ..files.toml_file import read_toml

COHORT_FILE, RAW_FOLDER = "cohort.h5", "raw"
PHANTOM_RECIPE = "phantom.json"  # in a raw folder whose images were drawn
ALL_CHANNELS = "all"
CENTRES = ("labels", "image")
NAN_IS_AN_ERROR, NAN_IS_LOWEST = "error", "lowest"
PADDING_APART, PADDING_IS_IMAGE, ZERO_IS_OUTSIDE = "auto", "none", "zero"
_PATIENTS = "_patients"


@dataclass(frozen=True)
class CohortSettings:
    folder: str  # holds cohort.h5, and raw/ where the phantom cohort is drawn
    domain: str = "lge"  # a name, or the path of a file that declares a domain
    seed: int = 0  # of the phantom
    patients: dict[str, int] = field(default_factory=dict)  # of the phantom: `SUBSET_patients = N`; else the domain's
    first_patient: int = 0  # of the phantom: number of the first patient of every subset
    phantom: str = ""  # one of the domain's phantoms, such as "lge-1"; empty: its first
    phantom_shape: tuple[int, ...] = ()  # of the phantom: voxels (z, y, x) of its volumes; empty: its own number

    @property
    def file(self) -> Path:
        return Path(self.folder) / COHORT_FILE


@dataclass(frozen=True)
class PrepareSettings:
    raw: str = ""  # folder of the dataset; empty: <cohort folder>/raw, where the phantom cohort is written
    layout: str = "auto"  # how files are named: a layout of docs/your-own-data.md; "auto": the first that fits
    image_files: str | tuple[str, ...] = ""  # pattern of your own, such as "images/{case}.nii.gz"; one for each channel
    label_files: str = ""  # the same for the label maps
    nature: str = ""  # phantom or patients; empty: as dataset.json says, else not stated
    shape: tuple[int, ...] = (128, 128)  # two numbers for slices, three for volumes
    spacing_mm: tuple[float, ...] = (1.0, 1.0)  # between pixels of the prepared slices or volumes
    centre: str = "labels"  # of the window: "labels", the middle of all labels, or "image"
    margin_mm: float = 4.0  # least distance of every label from the border; labels too large for it are an error
    percentiles: tuple[float, ...] = (0.5, 99.5)  # intensities that become 0 and 1, in each channel of a sample
    nan: str = NAN_IS_AN_ERROR  # or "lowest": voxels of NaN get the channel's lowest value; percentiles omit them
    # The percentiles omit rims of one value; "none" takes them for image; "zero" omits every 0, as around a brain
    # without its skull.
    padding: str = PADDING_APART
    image_order: int = 3  # spline of the resampling: 1 linear, 3 cubic
    labels: dict[str, str] = field(default_factory=dict)  # name in the dataset, or value -> our name
    ring: tuple[str, ...] | None = None  # regions that make a slice usable; unset: the domain's; []: keep all slices
    slice_axis: str = ""  # "z", "y" or "x" of the files: the axis through the slices; empty: as size and spacing say
    reorient: bool = True  # turn arrays that lie otherwise than most, as their headers say; False takes them as stored
    first_slice: str = ""  # end of the stack, such as "top"; empty: as dataset.json says, else the domain's first
    channel: int = 0  # of the images, counted from 0
    channels: str | tuple[int, ...] = ()  # several channels instead of one, or "all"
    check_geometry: bool = True  # False compares shapes only, for label files that lost their affine
    fold: int = 0  # of splits_final.json, if there is no subsets.json
    validation_share: float = 0.05  # of the patients, if there is neither
    workers: int = 2  # processes


@dataclass(frozen=True)
class ScanSettings:
    cohort: CohortSettings
    prepare: PrepareSettings = field(default_factory=PrepareSettings)


def read_settings(path: Path) -> ScanSettings:
    """Both sections of a TOML file and of those that it extends; all other sections are ignored.

    Raises InputError that lists every unknown, missing or wrongly typed key of the two.
    """
    table = gather_patients(read_toml(path))
    faults: list[str] = []
    sections = {name: section for name, section in table.items() if name in ("cohort", "prepare")}
    settings = read_record(ScanSettings, sections, "", faults, TOML)
    if settings is None:
        raise InputError(list_faults(f"{path}: {len(faults)} fault(s) in the configuration:", faults))
    return settings


def gather_patients(table: dict[str, Any]) -> dict[str, Any]:
    """A configuration with every `SUBSET_patients = N` of its [cohort] in one table: {"patients": {SUBSET: N}}."""
    cohort = table.get("cohort")
    if not isinstance(cohort, dict):
        return table
    rest = {key: value for key, value in cohort.items() if not key.endswith(_PATIENTS)}
    patients = {key.removesuffix(_PATIENTS): value for key, value in cohort.items() if key.endswith(_PATIENTS)}
    return {**table, "cohort": {**rest, "patients": patients | rest.get("patients", {})}}


def raw_folder(cohort: CohortSettings, prepare: PrepareSettings) -> Path:
    """Where the raw dataset lies."""
    return Path(prepare.raw) if prepare.raw else Path(cohort.folder) / RAW_FOLDER
