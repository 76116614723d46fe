"""Prepares a cohort from a raw dataset, without torch.

    files -> volume -> crop and resample -> usable slices, or the whole volume -> normalise -> measure -> cohort.h5

All faults of the raw dataset are reported in one error, and nothing is written then. The cohort numbers its patients;
it holds no name of a file or patient.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from ..bundle.declarations import find_domain
from ..domains.domain import Domain
from ..domains.places import measured_places
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
from .counts import DROPPED, Count, count_subsets, emptied, nothing_left
from .dataset import read_dataset
from .direction import Stack, check_directions
from .geometry import Turn, plan_turns, some_cases
from .nnunet_raw import Case, RawDataset
from .origin import check_same, origin_of
from .pool import process_pool
from .recipe import Recipe, described, make_recipe
from .samples import PreparedCase, measure_samples, prepare_case
from .settings import PrepareSettings
from .volume_files import ARRAY_ENDING, PICTURE_ENDINGS

CASES_A_PROCESS = 2  # in memory at once, for any size of case
SOURCE = "cldm-train prepare"  # every cohort states it, whichever program made it: equal input gives equal bytes


def prepared_cases(cases: Sequence[Case], recipe: Recipe, turns: Mapping[str, Turn], workers: int
                   ) -> Iterator[tuple[Case, PreparedCase | str]]:
    """Each case with its samples, in order; at most CASES_A_PROCESS for each process are in memory."""
    waiting: deque[tuple[Case, Future[PreparedCase | str]]] = deque()
    with process_pool(workers) as pool:
        if pool is None:
            yield from ((case, prepare_case(case, recipe, turns[case.name])) for case in cases)
            return
        for case in cases:
            if len(waiting) == CASES_A_PROCESS * workers:
                first, future = waiting.popleft()
                yield first, future.result()
            waiting.append((case, pool.submit(prepare_case, case, recipe, turns[case.name])))
        yield from ((first, future.result()) for first, future in waiting)


@dataclass
class Written:
    """What was written so far: samples and dropped slices of each subset, the cases of which every slice was dropped,
    the digest of the label maps, how each stack lay, and the share of
    padding in the cases that have any."""

    dropped: dict[str, int]
    samples: Counter[str] = field(default_factory=Counter)
    emptied: dict[str, list[Case]] = field(default_factory=dict)
    masks: RowsDigest = field(default_factory=RowsDigest)
    stacks: dict[str, Stack] = field(default_factory=dict)
    padding: dict[str, float] = field(default_factory=dict)

    def add(self, case: Case, result: PreparedCase) -> None:
        self.samples[case.subset] += len(result.labels)
        if not len(result.labels):
            self.emptied.setdefault(case.subset, []).append(case)
        self.masks.add(result.labels)
        self.dropped[case.subset] += result.dropped
        if result.stack:
            self.stacks[case.name] = result.stack
        if result.padding:
            self.padding[case.name] = result.padding


def prepare(raw_folder: Path, target: Path, settings: PrepareSettings, domain_name: str, *, overwrite: bool = False,
            progress: Progress | None = None, notes: list[str] | None = None) -> dict[str, Count]:
    """Write the cohort file and return the counts of each subset; a cohort made from the same input is kept.

    progress: called with the number of cases done and of all cases. notes: gets a sentence for each decision that was
    made on what the files leave open: the split, how cases were turned. Raises InputError listing all faults of the raw
    dataset, DatasetError if the target holds another cohort.
    """
    domain = find_domain(domain_name)
    raw, faults = read_dataset(raw_folder, settings, domain)
    try:
        recipe = make_recipe(settings, raw, domain, domain_name)
    except InputError as error:
        raise InputError("\n".join([str(error), *(f"  - {fault}" for fault in faults)])) from error
    origin = origin_of(raw, described(recipe, settings, domain), recipe.nature, domain)
    if target.exists() and not overwrite:
        check_same(target, origin)
        return count_subsets(target, domain)
    target.parent.mkdir(parents=True, exist_ok=True)
    notes = [] if notes is None else notes
    notes += [*raw.notes, *([raw.split] if raw.split else []), *pixels_note(raw.cases)]
    with create_dataset(target, dataset_spec(recipe, domain, origin), overwrite=overwrite) as writer:
        written = _write_cases(raw, recipe, settings, domain, writer, faults, notes, progress)
        if domain.stack:
            stated = bool(settings.first_slice) or "first_slice" in raw.extra
            check_directions(written.stacks, domain.stack, recipe.first_slice, stated=stated, faults=faults,
                             notes=notes)
        if faults:
            faults = same_faults_together(faults)
            raise InputError(list_faults(f"{raw_folder} cannot be prepared, {len(faults)} fault(s):", faults))
        _check_written(written, raw_folder, settings, domain, notes)
        measured = Derivation({MASKS: written.masks.hexdigest()}, {"spacing_mm": list(recipe.window.spacing_mm)})
        writer.set_metadata({f"{DROPPED}{subset}": count for subset, count in written.dropped.items()}
                            | {MASK_ATTRIBUTES_FROM: measured.text()})
    return count_subsets(target, domain)


def same_faults_together(faults: Sequence[str]) -> list[str]:
    """One sentence for the cases that have the same fault: what is wrong with a whole dataset is said once."""
    cases: dict[str, list[str]] = {}
    for fault in faults:
        name, case, text = fault.partition(": ") if fault.startswith("case ") else ("", "", fault)
        cases.setdefault(text, []).append(name.removeprefix("case ") if case else "")
    return [f"{some_cases(names)}: {text}" if all(names) else text for text, names in cases.items()]


def pixels_note(cases: Sequence[Case]) -> list[str]:
    """A note where files do not say how wide a pixel is."""
    names = [case.name for case in cases for file in case.image_files[:1]
             if isinstance(file, Path) and file.suffix.lower() in (*PICTURE_ENDINGS, ARRAY_ENDING)]
    return [f"the pixels of {some_cases(names)} are taken to be 1 mm wide: pictures and arrays do not say it. Where "
            "distances in mm matter, save the scans as NIfTI with the size of their pixels."] if names else []


def _check_written(written: Written, raw_folder: Path, settings: PrepareSettings, domain: Domain, notes: list[str]
                   ) -> None:
    """Raises InputError for a cohort or a subset of which nothing is left."""
    samples, found = written.samples.total(), list[str]()
    if not samples:
        found = [nothing_left(sum(written.dropped.values()), domain, settings.ring)]
    patients = {subset: list(dict.fromkeys(case.patient for case in cases))
                for subset, cases in written.emptied.items()}
    found += [emptied(subset, patients[subset], count, domain, settings.ring)
              for subset, count in written.dropped.items() if samples and not written.samples[subset]]
    if found:
        raise InputError(list_faults(f"{raw_folder} cannot be prepared, nothing was written:", found))
    if written.padding:
        notes.append(f"padding (a rim of one exact value) does not count for the percentiles, and becomes 0: up to "
                     f"{max(written.padding.values()):.0%} of an image in {some_cases(list(written.padding))}.")
    notes += [f"case {case.name}: every labelled slice was dropped ({domain.stack.dropped})."
              for cases in written.emptied.values() for case in cases if domain.stack]


def dataset_spec(recipe: Recipe, domain: Domain, origin: Derivation) -> DatasetSpec:
    """What is the same for every sample of the cohort."""
    metadata: dict[str, str | int | float] = {
        "source": SOURCE, DERIVED_FROM: origin.text(),
        "percentile_low": recipe.percentiles[0], "percentile_high": recipe.percentiles[1],
        **({"nature": recipe.nature} if recipe.nature else {})}
    window = recipe.window
    return DatasetSpec(domain, window.shape, window.spacing_mm, len(recipe.channels), metadata=metadata)


def _write_cases(raw: RawDataset, recipe: Recipe, settings: PrepareSettings, domain: Domain, writer: DatasetWriter,
                 faults: list[str], notes: list[str], progress: Progress | None) -> Written:
    """Append every case to the file, and collect faults and notes."""
    numbers = {
        patient: f"P{number:04d}" for number, patient in enumerate(dict.fromkeys(case.patient for case in raw.cases), 1)
    }
    written = Written(dropped=dict.fromkeys((case.subset for case in raw.cases), 0))
    broken = {case.name for case in raw.cases for fault in faults if fault.startswith(f"case {case.name}:")}
    cases = [case for case in raw.cases if case.name not in broken]
    turns = plan_turns(cases, recipe.channels[0], slices=domain.axes == 2, wanted=settings.slice_axis,
                       reorient=settings.reorient, faults=faults, notes=notes)
    cases = [case for case in cases if case.name in turns]
    for done, (case, result) in enumerate(prepared_cases(cases, recipe, turns, settings.workers), 1):
        if isinstance(result, str):
            faults.append(result)
        else:
            _append(writer, result, numbers[case.patient], case.subset, domain, recipe.window.spacing_mm)
            written.add(case, result)
        if progress:
            progress(done, len(cases))
    return written


def _append(writer: DatasetWriter, case: PreparedCase, patient: str, subset: str, domain: Domain,
            spacing_mm: tuple[float, ...]) -> None:
    measured, count = measure_samples(case, domain, spacing_mm), len(case.labels)
    writer.append(images=case.images, masks=case.labels, annotations=case.annotations,
                  mask_attributes=measured.values, mask_reasons=measured.reasons,
                  **measured_places(domain, case.labels, measured.values, None), patients=[patient] * count,
                  slices=case.slices, subset=[subset] * count)
