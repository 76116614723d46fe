"""Prepares a cohort from a raw dataset, without torch.

    files -> volume -> crop and resample -> usable slices, or the whole volume -> normalise -> measure -> cohort.h5

All faults of the raw dataset are reported in one error, and nothing is written then. The cohort numbers its patients;
it holds no name of a file or patient.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle.declarations import find_domain
from ..domains.attributes import Measurement, Reason
from ..domains.domain import Domain
from ..errors import InputError, list_faults
from ..files.derived import Derivation
from ..runs.run import Progress
from ..store import (
    DERIVED_FROM,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    DatasetSpec,
    DatasetWriter,
    RowsDigest,
    create_dataset,
)
from .counts import DROPPED, Count, count_subsets, nothing_left
from .label_map import translate
from .nnunet_raw import Case, RawDataset, read_raw_dataset
from .origin import check_same, origin_of
from .pool import process_pool
from .recipe import Recipe, described, make_recipe
from .resample import check_fits, labelled_box, normalise, resample_image, resample_labels
from .settings import PrepareSettings
from .volumes import read_volume

CASES_A_PROCESS = 2  # in memory at once, for any size of case
SOURCE = "cldm-train prepare"  # every cohort states it, whichever program made it: equal input gives equal bytes


@dataclass(frozen=True)
class PreparedCase:
    """The samples of one case: images (n, C, *spatial) float32 in 0..1, labels (n, *spatial) uint8, position (n,)
    between the ends of the stack (NaN where undefined), slices (n,) their numbers in the source (None for a volume),
    and dropped, the number of labelled slices that were left out."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    position: NDArray[np.float32]
    slices: NDArray[np.int32] | None
    dropped: int


def prepare_case(case: Case, recipe: Recipe) -> PreparedCase | str:
    """The samples of one case, or its fault as text."""
    try:
        return (_prepare_slices if len(recipe.window.shape) == 2 else _prepare_volume)(case, recipe)
    except InputError as error:
        where = f"case {case.name}: "
        return where + str(error).removeprefix(where)


def _prepare_slices(case: Case, recipe: Recipe) -> PreparedCase:
    """A sample for each labelled slice that the domain finds usable."""
    volume = read_volume(case, recipe.channels, check_geometry=recipe.check_geometry)
    labels, spacing = translate(volume.labels, recipe.lookup), volume.spacing_mm[1:]
    centre = _centre(labels, spacing, recipe)
    labelled = np.flatnonzero(labels.any(axis=(1, 2)))
    cut = resample_labels(labels[labelled], centre, spacing, recipe.window)
    usable = usable_slices(cut, recipe)
    images = _images(volume.pixels[:, labelled[usable]].swapaxes(0, 1), centre, spacing, recipe,
                     [f"slice {number}" for number in labelled[usable]])
    return PreparedCase(images, cut[usable], stack_positions(len(labelled), recipe)[usable],
                        labelled[usable].astype(np.int32), int((~usable).sum()))


def _prepare_volume(case: Case, recipe: Recipe) -> PreparedCase:
    """One sample: the whole volume."""
    volume = read_volume(case, recipe.channels, check_geometry=recipe.check_geometry, slices_first=False)
    labels = translate(volume.labels, recipe.lookup)[None]
    centre = _centre(labels, volume.spacing_mm, recipe)
    images = _images(volume.pixels[None], centre, volume.spacing_mm, recipe, ["the volume"])
    cut = resample_labels(labels, centre, volume.spacing_mm, recipe.window)
    return PreparedCase(images, cut, np.full(1, np.nan, np.float32), None, 0)


def _centre(labels: NDArray[np.uint8], spacing_mm: Sequence[float], recipe: Recipe) -> NDArray[np.float64]:
    """(axes,) centre of the window in voxels: the middle of the box around all labels of (N, *spatial), or of the
    image. Raises InputError if the labels do not fit the window, and if a window on labels has none to centre on."""
    middle = (np.asarray(labels.shape[1:]) - 1) / 2
    if not labels.any():
        if recipe.centre_on_labels:
            raise InputError("the label map is empty")
        return middle
    box = labelled_box(labels)
    centre = np.asarray(box.mean(axis=1), np.float64) if recipe.centre_on_labels else middle
    check_fits(box, centre, spacing_mm, recipe.window)
    return centre


def _images(pixels: NDArray[np.float32], centre: NDArray[np.float64], spacing_mm: Sequence[float], recipe: Recipe,
            names: Sequence[str]) -> NDArray[np.float32]:
    """(n, C, *spatial) -> (n, C, *shape), each channel of each sample normalised for itself."""
    flat = pixels.reshape(-1, *pixels.shape[2:])
    images = resample_image(flat, centre, spacing_mm, recipe.window, recipe.image_order)
    images = images.reshape(*pixels.shape[:2], *recipe.window.shape)
    for sample, name in zip(images, names, strict=True):
        for channel, image in zip(recipe.channels, sample, strict=True):
            try:
                image[:] = normalise(image, recipe.percentiles)
            except InputError as error:
                which = f", channel {channel}" if len(recipe.channels) > 1 else ""
                raise InputError(f"{name}{which}: {error}") from error
    return images


def usable_slices(labels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.bool_]:
    """(N,) which slices of (N, H, W) the domain finds usable."""
    rules = find_domain(recipe.domain).stack
    return rules.usable(labels, recipe.regions) if rules else np.ones(len(labels), np.bool_)


def stack_positions(count: int, recipe: Recipe) -> NDArray[np.float32]:
    """(count,) where the labelled slices of a stack lie between the domain's ends; NaN where it has none."""
    rules = find_domain(recipe.domain).stack
    if rules is None:
        return np.full(count, np.nan, np.float32)
    positions = rules.positions(count)
    return positions[::-1].copy() if recipe.first_slice == rules.ends[1] else positions


def measure_samples(case: PreparedCase, domain: Domain, spacing_mm: tuple[float, ...]) -> Measurement:
    """Measure the samples, and fill in the one attribute that is known only from the stack."""
    measured = domain.measure(case.labels, spacing_mm)
    if domain.stack is None or domain.stack.attribute not in measured.names:
        return measured
    values, reasons = measured.values.copy(), measured.reasons.copy()
    column = measured.names.index(domain.stack.attribute)
    values[:, column] = case.position
    reasons[:, column] = np.where(np.isfinite(case.position), Reason.MEASURED, Reason.NEEDS_STACK)
    return Measurement(measured.names, values, reasons)


def prepared_cases(cases: Sequence[Case], recipe: Recipe, workers: int) -> Iterator[tuple[Case, PreparedCase | str]]:
    """Each case with its samples, in order; at most CASES_A_PROCESS for each process are in memory."""
    waiting: deque[tuple[Case, Future[PreparedCase | str]]] = deque()
    with process_pool(workers) as pool:
        if pool is None:
            yield from ((case, prepare_case(case, recipe)) for case in cases)
            return
        for case in cases:
            if len(waiting) == CASES_A_PROCESS * workers:
                first, future = waiting.popleft()
                yield first, future.result()
            waiting.append((case, pool.submit(prepare_case, case, recipe)))
        yield from ((first, future.result()) for first, future in waiting)


def prepare(raw_folder: Path, target: Path, settings: PrepareSettings, domain_name: str, *, overwrite: bool = False,
            progress: Progress | None = None) -> dict[str, Count]:
    """Write the cohort file and return the counts of each subset; a cohort made from the same input is kept.

    progress: called with the number of cases done and of all cases. Raises InputError listing all faults of the raw
    dataset, DatasetError if the target holds another cohort.
    """
    domain = find_domain(domain_name)
    raw, faults = read_raw_dataset(raw_folder, fold=settings.fold, validation_share=settings.validation_share)
    try:
        recipe = make_recipe(settings, raw, domain, domain_name)
    except InputError as error:
        raise InputError("\n".join([str(error), *(f"  - {fault}" for fault in faults)])) from error
    origin = origin_of(raw, described(recipe, settings, domain), recipe.nature, domain)
    if target.exists() and not overwrite:
        check_same(target, origin)
        return count_subsets(target, domain)
    target.parent.mkdir(parents=True, exist_ok=True)
    with create_dataset(target, dataset_spec(recipe, domain, origin), overwrite=overwrite) as writer:
        masks = RowsDigest()
        kept, dropped = _write_cases(raw, recipe, domain, writer, masks, settings.workers, faults, progress)
        if faults:
            raise InputError(list_faults(f"{raw_folder} cannot be prepared, {len(faults)} fault(s):", faults))
        if not kept:
            ring = settings.ring if settings.ring is not None else domain.stack.regions if domain.stack else ()
            raise InputError(f"{raw_folder}: {nothing_left(sum(dropped.values()), domain, ring)}. Nothing was written.")
        measured = Derivation({MASKS: masks.hexdigest()}, {"spacing_mm": list(recipe.window.spacing_mm)})
        writer.set_metadata({f"{DROPPED}{subset}": count for subset, count in dropped.items()}
                            | {MASK_ATTRIBUTES_FROM: measured.text()})
    return count_subsets(target, domain)


def dataset_spec(recipe: Recipe, domain: Domain, origin: Derivation) -> DatasetSpec:
    """What is the same for every sample of the cohort."""
    metadata: dict[str, str | int | float] = {
        "source": SOURCE, DERIVED_FROM: origin.text(),
        "percentile_low": recipe.percentiles[0], "percentile_high": recipe.percentiles[1],
        **({"nature": recipe.nature} if recipe.nature else {})}
    window = recipe.window
    return DatasetSpec(domain, window.shape, window.spacing_mm, len(recipe.channels), metadata=metadata)


def _write_cases(raw: RawDataset, recipe: Recipe, domain: Domain, writer: DatasetWriter, masks: RowsDigest,
                 workers: int, faults: list[str], progress: Progress | None) -> tuple[int, dict[str, int]]:
    """Append every case to the file, its label maps to `masks`, and collect faults; returns how many samples were
    written, and how many slices of each subset were dropped."""
    numbers = {
        patient: f"P{number:04d}" for number, patient in enumerate(dict.fromkeys(case.patient for case in raw.cases), 1)
    }
    kept, dropped = 0, dict.fromkeys((case.subset for case in raw.cases), 0)
    broken = {case.name for case in raw.cases for fault in faults if fault.startswith(f"case {case.name}:")}
    cases = [case for case in raw.cases if case.name not in broken]
    for done, (case, result) in enumerate(prepared_cases(cases, recipe, workers), 1):
        if isinstance(result, str):
            faults.append(result)
        else:
            kept += len(result.labels)
            masks.add(result.labels)
            dropped[case.subset] += result.dropped
            _append(writer, result, numbers[case.patient], case.subset, domain, recipe.window.spacing_mm)
        if progress:
            progress(done, len(cases))
    return kept, dropped


def _append(writer: DatasetWriter, case: PreparedCase, patient: str, subset: str, domain: Domain,
            spacing_mm: tuple[float, ...]) -> None:
    measured, count = measure_samples(case, domain, spacing_mm), len(case.labels)
    writer.append(images=case.images, masks=case.labels, mask_attributes=measured.values, mask_reasons=measured.reasons,
                  patients=[patient] * count, slices=case.slices, subset=[subset] * count)
