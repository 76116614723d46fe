"""`cldm-train prepare`: a raw dataset becomes a cohort.

    files -> volume -> crop and resample -> slices with a closed ring -> normalise -> measure -> cohort.h5

Everything wrong with the raw dataset is reported in one error, and nothing is written then. The cohort numbers its
patients; no name of a file or patient goes into it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..domains.attributes import Measurement, Reason
from ..domains.domain import Domain
from ..domains.lge.attributes import LgeReason
from ..domains.registry import get_domain
from ..errors import DatasetError, InputError, list_faults
from ..store import DatasetSpec, DatasetWriter, create_dataset, open_dataset
from .nnunet_raw import Case, RawDataset, read_raw_dataset, read_volume
from .resample import Window, check_fits, labelled_box, normalise, resample_image, resample_labels
from .settings import PrepareSettings

POSITION = "slice_position"
DIRECTIONS = ("apex", "base")
USABLE = (Reason.MEASURED, LgeReason.NO_INFARCT, Reason.NEEDS_STACK)
CASES_IN_MEMORY = 32


@dataclass(frozen=True)
class PreparedCase:
    """What one case contributes: images (n, H, W) float32 in 0..1, labels (n, H, W) uint8, position (n,) in 0..1 (NaN
    in a stack of one slice), slice number in the source (n,), and how many labelled slices were dropped."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    position: NDArray[np.float32]
    slices: NDArray[np.int32]
    dropped: int


@dataclass(frozen=True)
class Recipe:
    """All that `prepare_case` needs besides the case; sent to the worker processes.

    lookup: source label value -> label value of the domain. ring: label values of the wall, then of what it encloses;
    empty: slices are kept whatever they show.
    """

    domain: str
    lookup: Mapping[int, int]
    window: Window
    percentiles: tuple[float, float]
    ring: tuple[tuple[int, ...], ...]
    channel: int
    image_order: int
    check_geometry: bool
    base_first: bool


def make_recipe(config: PrepareSettings, raw: RawDataset, domain: Domain) -> Recipe:
    """Resolve names to label values. Raises InputError listing every label that is not mapped."""
    faults: list[str] = []
    lookup = map_labels(raw, domain, config.labels, faults)
    known = {**{name: (value,) for value, name in enumerate(domain.labels.names)}, **domain.labels.regions}
    faults += [
        f"prepare.ring: {name!r} is no label or region. Known: {', '.join(known)}"
        for name in config.ring
        if name not in known
    ]
    first = config.first_slice or str(raw.extra.get("first_slice", DIRECTIONS[0]))
    if first not in DIRECTIONS:
        faults.append(f"first_slice: found {first!r}, expected apex or base")
    if faults:
        raise InputError(list_faults(f"{raw.folder} cannot be prepared:", faults))
    window = Window((config.shape[0], config.shape[1]), (config.spacing_mm[0], config.spacing_mm[1]), config.margin_mm)
    return Recipe(
        domain.name,
        lookup,
        window,
        (config.percentiles[0], config.percentiles[1]),
        tuple(known[name] for name in config.ring),
        config.channel,
        config.image_order,
        config.check_geometry,
        first == "base",
    )


def map_labels(raw: RawDataset, domain: Domain, mapping: Mapping[str, str], faults: list[str]) -> dict[int, int]:
    """Source value -> value of the domain. `mapping` is by name in dataset.json or by value; equal names need none."""
    names, lookup = domain.labels.names, {0: 0}
    for source, target in mapping.items():
        if target not in names:
            faults.append(
                f"prepare.labels: {source} -> {target!r}, which is no label of {domain.name}. Known: {', '.join(names)}"
            )
        elif source in raw.labels:
            lookup |= dict.fromkeys(raw.labels[source], names.index(target))
        elif source.lstrip("-").isdigit():
            lookup[int(source)] = names.index(target)
        else:
            faults.append(f"prepare.labels: dataset.json has no label {source!r}. It has: {', '.join(raw.labels)}")
    for name, values in raw.labels.items():
        if name in names and name not in mapping:
            lookup |= {value: names.index(name) for value in values if value not in lookup}
        missing = [value for value in values if value not in lookup]
        if missing and len(values) == 1:
            faults.append(
                f"label {name!r} ({missing[0]}) of dataset.json is not mapped. Add it to [prepare.labels], for example "
                f'{name} = "{names[-1]}"'
            )
    return lookup


def translate(labels: NDArray[np.int64], lookup: Mapping[int, int]) -> NDArray[np.uint8]:
    """Apply the label mapping. Raises InputError naming every value that has none."""
    present = [int(value) for value in np.unique(labels)]
    unknown = [value for value in present if value not in lookup]
    if unknown:
        raise InputError(f"unknown label values {unknown}; known are {sorted(lookup)}")
    result = np.zeros(labels.shape, np.uint8)
    for value in present:
        result[labels == value] = lookup[value]
    return result


def prepare_case(case: Case, recipe: Recipe) -> PreparedCase | str:
    """The slices of one case, or what is wrong with it."""
    try:
        return _prepare_case(case, recipe)
    except InputError as error:
        message = str(error)
        return message if case.name in message else f"case {case.name}: {message}"


def _prepare_case(case: Case, recipe: Recipe) -> PreparedCase:
    volume = read_volume(case, channel=recipe.channel, check_geometry=recipe.check_geometry)
    labels = translate(volume.labels, recipe.lookup)
    heart = np.flatnonzero(labels.any(axis=(1, 2)))
    if not heart.size:
        raise InputError("the label map is empty")
    box, spacing = labelled_box(labels), volume.spacing_mm[1:]
    check_fits(box, spacing, recipe.window)
    centre = box.mean(axis=1)
    classes = len(get_domain(recipe.domain).labels)
    cut = resample_labels(labels[heart], classes, centre, spacing, recipe.window)
    kept = usable_slices(cut, recipe)
    images = resample_image(volume.pixels[heart[kept]], centre, spacing, recipe.window, recipe.image_order)
    for z, plane in zip(heart[kept], images, strict=True):
        try:
            plane[:] = normalise(plane, recipe.percentiles)
        except InputError as error:
            raise InputError(f"slice {z}: {error}") from error
    return PreparedCase(
        images,
        cut[kept],
        stack_positions(len(heart), recipe.base_first)[kept],
        heart[kept].astype(np.int32),
        int((~kept).sum()),
    )


def usable_slices(labels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.bool_]:
    """(N,) whether a slice can be measured and its wall is a closed ring."""
    reasons = get_domain(recipe.domain).measure(labels).reasons
    usable = np.isin(reasons, [int(reason) for reason in USABLE])
    keep = [bool(row.all()) for row in usable]
    if recipe.ring:
        wall, inside = (np.isin(labels, values) for values in recipe.ring)
        keep = [good and is_closed_ring(w, i) for good, w, i in zip(keep, wall, inside, strict=True)]
    return np.array(keep, dtype=np.bool_)


def is_closed_ring(wall: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Whether the wall encloses all of a non-empty inside, so that no path over edges leads out of it."""
    return bool(inside.any() and ndimage.binary_fill_holes(wall)[inside].all())


def stack_positions(count: int, base_first: bool) -> NDArray[np.float32]:
    """0 (apex) to 1 (base) over the `count` labelled slices of a stack; NaN for a single one."""
    if count < 2:
        return np.full(count, np.nan, np.float32)
    positions = np.linspace(0.0, 1.0, count, dtype=np.float32)
    return positions[::-1].copy() if base_first else positions


def measure_stack(labels: NDArray[np.uint8], position: NDArray[np.float32], domain: Domain) -> Measurement:
    """Measure the slices and fill in what only the stack tells: the slice position."""
    measured = domain.measure(labels)
    values, reasons = measured.values.copy(), measured.reasons.copy()
    if POSITION in measured.names:
        column = measured.names.index(POSITION)
        known = np.isfinite(position)
        values[:, column] = position
        reasons[:, column] = np.where(known, Reason.MEASURED, Reason.NEEDS_STACK)
    return Measurement(measured.names, values, reasons)


def prepared_cases(cases: Sequence[Case], recipe: Recipe, workers: int) -> Iterator[tuple[Case, PreparedCase | str]]:
    """Each case with its slices, in order, with a bounded number of cases in memory."""
    if workers < 2:
        yield from ((case, prepare_case(case, recipe)) for case in cases)
        return
    with ProcessPoolExecutor(workers) as pool:
        for first in range(0, len(cases), CASES_IN_MEMORY):
            some = cases[first : first + CASES_IN_MEMORY]
            yield from zip(some, pool.map(prepare_case, some, [recipe] * len(some), chunksize=2), strict=True)


@dataclass(frozen=True)
class Count:
    """What a subset holds: patients, slices, and the labelled slices that were dropped because their ring is open."""

    patients: int
    slices: int
    dropped: int


def prepare(
    raw_folder: Path, target: Path, config: PrepareSettings, domain_name: str, *, overwrite: bool = False
) -> dict[str, Count]:
    """Write the cohort file and return the counts of each subset; a cohort made from the same input is kept.

    Raises InputError listing everything wrong with the raw dataset, DatasetError where the target holds another cohort.
    """
    domain = get_domain(domain_name)
    raw, faults = read_raw_dataset(raw_folder, fold=config.fold, validation_share=config.validation_share)
    try:
        recipe = make_recipe(config, raw, domain)
    except InputError as error:
        raise InputError("\n".join([str(error), *(f"  - {fault}" for fault in faults)])) from error
    fingerprint = fingerprint_of(raw, recipe)
    if target.exists() and not overwrite:
        check_same(target, fingerprint)
        return count_subsets(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with create_dataset(target, dataset_spec(config, domain, fingerprint), overwrite=overwrite) as writer:
        dropped = _write_cases(raw, recipe, domain, writer, config.workers, faults)
        if faults:
            raise InputError(list_faults(f"{raw_folder} cannot be prepared, {len(faults)} fault(s):", faults))
        writer.set_metadata({f"dropped_{subset}": count for subset, count in dropped.items()})
    return count_subsets(target)


def dataset_spec(config: PrepareSettings, domain: Domain, fingerprint: str) -> DatasetSpec:
    metadata: dict[str, str | int | float] = {
        "source": "cldm-train prepare",
        "fingerprint": fingerprint,
        "percentile_low": config.percentiles[0],
        "percentile_high": config.percentiles[1],
    }
    return DatasetSpec(domain, tuple(config.shape), tuple(config.spacing_mm), metadata=metadata)


def fingerprint_of(raw: RawDataset, recipe: Recipe) -> str:
    """SHA-256 over the recipe and the names, sizes and subsets of the raw files: equal input gives an equal cohort."""
    files = [
        (
            case.name,
            case.patient,
            case.subset,
            [file.stat().st_size for file in (*case.image_files, case.label_file) if os.path.isfile(file)],
        )
        for case in raw.cases
    ]
    described = {**asdict(recipe), "lookup": sorted(recipe.lookup.items())}
    return hashlib.sha256(json.dumps([described, files]).encode()).hexdigest()


def check_same(target: Path, fingerprint: str) -> None:
    with open_dataset(target) as dataset:
        found = dataset.metadata.get("fingerprint")
    if found != fingerprint:
        raise DatasetError(
            f"{target} was made from other data or with other settings. Remove it, or choose another cohort folder."
        )


def _write_cases(
    raw: RawDataset, recipe: Recipe, domain: Domain, writer: DatasetWriter, workers: int, faults: list[str]
) -> dict[str, int]:
    """Append every case to the file, collect faults, and return the number of dropped slices of each subset."""
    numbers = {
        patient: f"P{number:04d}" for number, patient in enumerate(dict.fromkeys(case.patient for case in raw.cases), 1)
    }
    dropped = dict.fromkeys((case.subset for case in raw.cases), 0)
    broken = {case.name for case in raw.cases for fault in faults if fault.startswith(f"case {case.name}:")}
    cases = [case for case in raw.cases if case.name not in broken]
    with click.progressbar(length=len(cases), label="preparing", file=sys.stderr) as bar:
        for case, result in prepared_cases(cases, recipe, workers):
            bar.update(1)
            if isinstance(result, str):
                faults.append(result)
                continue
            dropped[case.subset] += result.dropped
            _append(writer, result, numbers[case.patient], case.subset, domain)
    return dropped


def _append(writer: DatasetWriter, case: PreparedCase, patient: str, subset: str, domain: Domain) -> None:
    measured = measure_stack(case.labels, case.position, domain)
    count = len(case.labels)
    writer.append(
        images=case.images[:, None],
        masks=case.labels,
        mask_attributes=measured.values,
        mask_reasons=measured.reasons,
        patients=[patient] * count,
        slices=case.slices,
        subset=[subset] * count,
    )


def count_subsets(target: Path) -> dict[str, Count]:
    """The counts of a cohort file, in the order of first appearance."""
    with open_dataset(target) as dataset:
        subsets, patients, metadata = dataset.subset, dataset.patients, dataset.metadata
    if subsets is None or patients is None:
        raise DatasetError(f"{target}: /subset or /patients is missing. Make it with `cldm-train prepare`.")
    subsets, patients = np.asarray(subsets), np.asarray(patients)
    return {
        str(name): Count(
            len(np.unique(patients[subsets == name])),
            int((subsets == name).sum()),
            int(metadata.get(f"dropped_{name}", 0)),
        )
        for name in dict.fromkeys(subsets.tolist())
    }
