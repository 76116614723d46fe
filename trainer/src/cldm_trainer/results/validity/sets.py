"""The sets of slices that segmenters are run on: reference slices of some patients, and images made for label maps of
others; and the outcomes of every segmenter on them, kept by what they were derived from."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.engines.processor import default_workers
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_bytes
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.npz import npz_bytes, read_npz
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.metrics.overlap import DEFINITION
from cldm_runtime.requests.free_classes import keeping
from cldm_runtime.requests.given_maps import DatasetMasks
from cldm_runtime.requests.sources import mask_requests
from cldm_runtime.store import ANNOTATIONS, Dataset, cohort_digest, open_dataset

from ...audit.sets import remove_if_changed
from ...config.validity import READER, TRUTH, ValidityConfig
from .outcomes import SliceOutcomes, Truth, compare, holds_lesion
from .segmenters import ComparedSegmenter

Rows = NDArray[np.int64]
Say = Callable[[str], None]
BATCH = 32


@dataclass(frozen=True)
class SegmentedSet:
    """Images of a file and what they show. origin: digest of all that the images and their truth depend on. maker: the
    generator, "" for slices of the cohort."""

    name: str
    path: Path
    rows: Rows
    truth: Truth
    origin: str
    maker: str = ""


def split_patients(cohort: Path, settings: ValidityConfig) -> tuple[Rows, Rows]:
    """Rows of the reference slices, and rows whose label maps generators get: never of the same patients.

    Without a subset for the label maps, every second patient of the reference subset gives his. Raises InputError where
    a side has fewer than two patients, or both share one.
    """
    if settings.label_maps:
        rows, other = separate_rows(cohort, "validity", settings.reference, settings.label_maps)
        patients = patients_of(cohort)
    else:
        every, patients = rows_of(cohort, "validity", settings.reference), patients_of(cohort)
        second = np.isin(patients[every], np.unique(patients[every])[1::2])
        rows, other = every[~second], every[second]
    one, two = (set(patients[chosen].tolist()) for chosen in (rows, other))
    if min(len(one), len(two)) < 2:
        raise InputError(f"{cohort}: {len(one)} patients give reference slices and {len(two)} label maps, expected two "
                         "or more each. Use larger subsets.")
    return thinned(rows, settings.most_slices), thinned(other, settings.most_slices)


def rows_of(cohort: Path, section: str, subset: str) -> Rows:
    """Of a subset that a section of the configuration names. Raises InputError if the cohort has none of that name."""
    with open_dataset(cohort) as dataset:
        try:
            return dataset.rows(subset)
        except InputError as error:
            raise InputError(f"{error} Name another subset in [{section}]; or name test patients in subsets.json and "
                             "prepare the cohort again.") from error


def patients_of(cohort: Path) -> NDArray[np.str_]:
    """(N,) of all rows. Raises InputError for a cohort that does not say whose slices it holds, or what they show."""
    with open_dataset(cohort) as dataset:
        if dataset.patients is None or dataset.mask_attributes is None:
            raise InputError(f"{cohort}: does not say whose slices it holds, or their attributes. Prepare it with "
                             "`cldm prepare`.")
        return dataset.patients


def separate_rows(cohort: Path, section: str, one: str, other: str) -> tuple[Rows, Rows]:
    """Rows of two subsets. Raises InputError where they share a patient, and as `patients_of`."""
    patients, rows = patients_of(cohort), (rows_of(cohort, section, one), rows_of(cohort, section, other))
    shared = set(patients[rows[0]].tolist()) & set(patients[rows[1]].tolist())
    if shared:
        raise InputError(f"{section}: {len(shared)} patients are in {one} and in {other}. Name subsets without common "
                         "patients.")
    return rows


def thinned(rows: Rows, most: int) -> Rows:
    """At most that many of the rows, evenly picked."""
    picked: Rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]
    return picked


def cohort_set(cohort: Path, rows: Rows, name: str, against: str = TRUTH) -> SegmentedSet:
    """The cohort's own slices. against: as of `read_truth`."""
    with open_dataset(cohort) as dataset:
        digest = cohort_digest(dataset)
    truth = read_truth(cohort, rows, against, outlined=True)
    return SegmentedSet(name, cohort, rows, truth, _digest(digest + against, rows))


def synthetic_slices(cohort: Path, rows: Rows, generator: Generator, folder: Path, say: Say,
                     kept: Sequence[str] | None = None, against: str = TRUTH) -> SegmentedSet:
    """One image for each of the cohort's rows, from its label map or its attributes; made once. kept: the classes of
    the label maps that are not left free; None: all. against: as of `read_truth`.

    Raises InputError as `synthetic_plan`.
    """
    bundle = generator.bundle
    with open_dataset(cohort) as dataset:
        plan = synthetic_plan(dataset, rows, generator, kept)
        path = made_file(plan, folder, say)
    outlined = any(condition.kind == "spatial" for condition in generator.manifest.conditions)
    truth = read_truth(cohort, rows, against, outlined=outlined)
    return SegmentedSet(bundle.path.name, path, np.arange(len(rows), dtype=np.int64), truth,
                        _digest(plan.sha256 + against, rows), bundle.identity)


def synthetic_plan(dataset: Dataset, rows: Rows, generator: Generator, kept: Sequence[str] | None = None) -> Plan:
    """Which images `synthetic_slices` makes. Raises InputError for a cohort that does not fit the generator, or classes
    that it cannot leave free."""
    bundle = generator.bundle
    if not generator.manifest.sources:
        raise InputError(f"{bundle.path}: its images are made from nothing, so nothing says what they show. Use a "
                         "generator that takes label maps or attributes.")
    attributes = dataset.mask_attributes
    masks = DatasetMasks(dataset, rows, None if attributes is None else attributes[rows])
    source = keeping(mask_requests(masks, generator.canvas, str(dataset.path)), kept, bundle, generator.domain)
    return Plan(generator, source, len(rows), 0, generator.settings())


def made_file(plan: Plan, folder: Path, say: Say) -> Path:
    """The generated file of a plan in `folder`; made once, and again where its samples were changed."""
    name = plan.generator.bundle.path.name
    path = folder / f"{name}-{plan.sha256[:12]}.h5"
    remove_if_changed(path)
    if not path.exists():
        say(f"{name}: generating {plan.samples} images ...")
        path.parent.mkdir(parents=True, exist_ok=True)
    with show_progress("generating", plan.samples, sys.stderr, brief=True) as progress:
        generate_dataset(plan, path, "resume", progress, default_workers(plan.generator.provider))
    return path


def read_truth(cohort: Path, rows: Rows, against: str = TRUTH, *, outlined: bool) -> Truth:
    """What the cohort's rows show; without label maps where images do not follow their outlines.

    against: "truth" takes /masks. "reader" takes /annotations, where the cohort has them, and attributes of these, but
    for those that a single slice cannot give. Synthetic images are made from /masks and get the same rows' contours.
    """
    with open_dataset(cohort) as dataset:
        domain, attributes, patients = dataset.load_domain(), dataset.mask_attributes, dataset.patients
        assert attributes is not None and patients is not None  # `split_patients` has checked
        spacing_mm, values = dataset.spacing_mm, attributes[rows]
        masks = dataset.masks(rows)
        if against == READER and ANNOTATIONS in dataset:
            masks = dataset.annotations(rows)
            drawn = domain.measure(masks, spacing_mm)
            values = np.where(drawn.reasons == Reason.NEEDS_STACK, values, drawn.values)
    held = holds_lesion(domain, masks)
    return Truth(domain, spacing_mm, values, masks if outlined else None, held, patients[rows])


def _digest(source: str, rows: Rows) -> str:
    return hashlib.sha256(source.encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()


def outcomes_of(segmenters: Sequence[ComparedSegmenter], chosen: SegmentedSet, folder: Path,
                say: Say) -> list[SliceOutcomes]:
    """What every segmenter makes of a set; outcomes of an earlier call are used again. Segmenters that differ in their
    post-processing alone segment together."""
    files = {segmenter.name: folder / f"{_made(segmenter, chosen).sha256[:24]}.npz" for segmenter in segmenters}
    missing = [segmenter for segmenter in segmenters
               if not (segmenter.is_repeatable and files[segmenter.name].exists())]
    while missing:
        alike = [segmenter for segmenter in missing if segmenter.network == missing[0].network]
        names = "; ".join(segmenter.name for segmenter in alike)
        say(f"{chosen.name}: segmenting with {names} ({len(missing)} of {len(segmenters)} to do) ...")
        for segmenter, found in zip(alike, _found(alike, chosen), strict=True):
            path = files[segmenter.name]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, npz_bytes(compare(found, chosen.truth).arrays()))
        missing = [segmenter for segmenter in missing if segmenter not in alike]
    return [SliceOutcomes(**read_npz(files[segmenter.name].read_bytes(), str(files[segmenter.name])))
            for segmenter in segmenters]


def _made(segmenter: ComparedSegmenter, chosen: SegmentedSet) -> Derivation:
    return Derivation({"set": chosen.origin}, {"segmenter": segmenter.identity, "metric_definition": DEFINITION,
                                               "outlined": chosen.truth.masks is not None})


def _found(alike: Sequence[ComparedSegmenter], chosen: SegmentedSet) -> list[LabelMap]:
    """Label maps of segmenters of one network, which sees each image once."""
    parts: list[list[LabelMap]] = [[] for _ in alike]
    with open_dataset(chosen.path) as dataset, show_progress("segmenting", 0, sys.stderr, brief=True) as progress:
        for start in range(0, len(chosen.rows), BATCH):
            rows = chosen.rows[start:start + BATCH]
            raw, images = alike[0].segment(dataset, rows), dataset.images(rows)
            for segmenter, own in zip(alike, parts, strict=True):
                own.append(segmenter.finish(raw, images))
            progress(min(start + BATCH, len(chosen.rows)), len(chosen.rows))
    return [np.concatenate(own) for own in parts]
