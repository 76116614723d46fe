"""`cldm-train spread`: do synthetic images vary as much as what they stand for, with what they show held fixed?

The phantom can be rendered again and again for one label map: that is the true distribution of images, given the map.
Its re-renderings are compared with as many synthetic images of the map, and with a second set of re-renderings, the
floor. A cohort without that truth is compared in bins of its attributes, which hold fixed less.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.distances import halves_by_group
from cldm_runtime.files.records import without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.metrics.spread import ConditionalSpread, spread_in_bins, spread_of_maps
from cldm_runtime.metrics.strata import bin_edges, bins_of
from cldm_runtime.scans.phantom_slices import PhantomSource, PhantomStack
from cldm_runtime.scans.settings import ScanSettings
from cldm_runtime.store import create_dataset, open_dataset
from cldm_runtime.version import __version__ as runtime_version

from ..config import Config
from ..training.batches import require_cohort
from .fresh_phantoms import append, dataset_of
from .images import ImageRows, Images, rows_of_subsets
from .kept_files import is_as_made, record_made
from .sets import CohortSets, cohort_sets, generated_samples
from .spread_page import spread_page
from .zone_figures import LabelMaps, Values, zone_figures

Json = dict[str, Any]
Say = Callable[[str], None]
NAME = "spread"


@dataclass(frozen=True)
class SpreadSizes:
    """maps: label maps, each of another patient. images: of each map, on each side."""

    maps: int = 20
    images: int = 16


def run(config: Config, command: str, *, bundles: Sequence[Path] = (), out: Path | None = None,
        sizes: SpreadSizes | None = None, say: Say = lambda text: None) -> Path:
    """Measure every bundle (none given: the exported generator) and write spread.json and spread.md; returns the page.

    Raises InputError for bundles whose images show no label map, or that do not fit the cohort, BundleError or
    DatasetError for missing or damaged files.
    """
    torch.set_num_threads(config.run.threads)
    folder, size = config.run_folder / NAME, sizes or SpreadSizes()
    folder.mkdir(parents=True, exist_ok=True)
    generators = [_generator(path) for path in bundles or [Path(config.export.generator)]]
    source = None if config.prepare.raw else PhantomSource.of(ScanSettings(config.cohort, config.prepare))
    if source is not None and source.rules.rerender is not None:
        found = _against_truth(source, generators, folder, size, say)
    else:
        found = _in_bins(config, generators, folder, say)
    software = f"cldm-trainer {version('cldm-trainer')}, cldm-runtime {runtime_version}"
    figures: Json = without_nan({"made": {"command": command, "versions": software}, **found})
    target = out or folder
    target.mkdir(parents=True, exist_ok=True)
    (target / "spread.json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (target / "spread.md").write_text(spread_page(figures), encoding="utf-8")
    return target / "spread.md"


def _generator(path: Path) -> Generator:
    """Raises InputError for one whose images show no label map: there is nothing to measure zones on."""
    generator = Generator.load(path)
    if not generator.canvas.maps:
        raise InputError(f"{path}: makes images without a label map, so the brightness of its labels cannot be "
                         "measured. Give a bundle that takes label maps.")
    return generator


def _against_truth(source: PhantomSource, generators: Sequence[Generator], folder: Path, size: SpreadSizes,
                   say: Say) -> Json:
    """The spread within label maps, against the phantom's own."""
    subset = source.rules.tests[0]
    first = source.first_fresh(subset)
    chosen: list[tuple[PhantomStack, int]] = []
    for patient in range(first, first + size.maps):
        stack = source.stack(subset, patient)
        chosen.append((stack, shown_row(stack.prepared.labels, source.domain, patient)))
    labels = np.stack([stack.prepared.labels[row] for stack, row in chosen])
    spacing = source.recipe.window.spacing_mm
    truth, again = (_by_map(_rerendered(source, chosen, range(start, start + size.images), say), labels, source.domain,
                            spacing) for start in (0, size.images))
    sets = _map_sets(source, chosen, folder)
    compared = []
    for generator in generators:
        samples = generated_samples(sets, generator, folder, size.images, say)
        images = samples.images.take(slice(None)).reshape(size.images, size.maps, *sets_shape(sets))
        figures = _by_map(images.swapaxes(0, 1), labels, source.domain, spacing)
        compared.append({"generator": generator.bundle.identity, "figures": _spreads(truth, figures)})
    return {"held_fixed": "label map", "maps": size.maps, "images": size.images, "nature": "phantom",
            "floor": _spreads(truth, again), "sets": compared}


def shown_row(labels: LabelMaps, domain: Domain, seed: int) -> int:
    """The row of a stack that is compared: a random one, of those that show the lesion where there are any."""
    rows = np.arange(len(labels))
    if domain.lesion:
        held = domain.labels.region(labels, domain.lesion).any(axis=(1, 2))
        rows = rows[held] if held.any() else rows
    return int(np.random.default_rng(seed).choice(rows))


def _rerendered(source: PhantomSource, chosen: Sequence[tuple[PhantomStack, int]], repeats: range, say: Say) -> Images:
    """(K, R, C, H, W) images of the phantom for the chosen rows."""
    images = []
    say(f"rendering each label map {len(repeats)} times ...")
    with show_progress("label maps", len(chosen), sys.stderr, brief=True) as progress:
        for done, (stack, row) in enumerate(chosen, 1):
            images.append(np.stack([source.rerendered(stack, repeat, [row])[0] for repeat in repeats]))
            progress(done, len(chosen))
    return np.stack(images)


def _by_map(images: Images, labels: LabelMaps, domain: Domain, spacing_mm: tuple[float, ...]) -> dict[str, Values]:
    """(K, R) of each figure for images (K, R, C, H, W) of K label maps (K, H, W)."""
    maps, count = images.shape[:2]
    flat = zone_figures(images.reshape(-1, *images.shape[2:]), np.repeat(labels, count, axis=0), domain, spacing_mm)
    return {name: values.reshape(maps, count) for name, values in flat.items()}


def _map_sets(source: PhantomSource, chosen: Sequence[tuple[PhantomStack, int]], folder: Path) -> CohortSets:
    """The chosen slices as a dataset file, which images are generated for."""
    images = [stack.prepared.images[[row]] for stack, row in chosen]
    labels = [stack.prepared.labels[[row]] for stack, row in chosen]
    digest = hashlib.sha256(np.concatenate(images).tobytes() + np.concatenate(labels).tobytes()).hexdigest()
    path = folder / f"maps-{digest[:12]}.h5"
    if not is_as_made(path, digest):
        with create_dataset(path, dataset_of(source), overwrite=True) as writer:
            for (stack, row), image in zip(chosen, images, strict=True):
                append(writer, source, stack, image, np.array([row]))
        record_made(path, digest)
    rows = rows_of_subsets(path, (chosen[0][0].subset,))
    return CohortSets(rows, rows, rows, source.recipe.percentiles, "phantom")


def sets_shape(sets: CohortSets) -> tuple[int, ...]:
    """(C, H, W) of the compared images."""
    with open_dataset(sets.compared.path) as dataset:
        return dataset.channels, *dataset.shape


def _spreads(reference: dict[str, Values], synthetic: dict[str, Values]) -> Json:
    return {name: dataclasses.asdict(spread_of_maps(values, synthetic[name])) for name, values in reference.items()}


def _in_bins(config: Config, generators: Sequence[Generator], folder: Path, say: Say) -> Json:
    """The spread within bins of each attribute, of the cohort's test slices and one synthetic image of each."""
    require_cohort(config.cohort_file)
    sets = cohort_sets(config.cohort_file)
    reference, bins = _reference_figures(sets), attribute_bins(sets.compared)
    patients = sets.compared.groups("slice")
    compared = []
    for generator in generators:
        samples = generated_samples(sets, generator, folder, 1, say)
        figures = _figures_of(samples.images, sets.compared)
        compared.append({"generator": generator.bundle.identity, "by_attribute": {
            attribute: _binned(reference, figures, numbers, patients) for attribute, numbers in bins.items()}})
    floors = {attribute: halves_spread(reference, numbers, patients) for attribute, numbers in bins.items()}
    return {"held_fixed": "bin", "slices": len(sets.compared), "patients": len(np.unique(patients)),
            "nature": sets.nature, "floor": floors, "sets": compared}


def _reference_figures(sets: CohortSets) -> dict[str, Values]:
    return _figures_of(sets.compared, sets.compared)


def _figures_of(images: ImageRows, maps: ImageRows) -> dict[str, Values]:
    """(N,) of each figure for images of the label maps of `maps`, row by row."""
    with open_dataset(maps.path) as dataset:
        labels, domain, spacing = dataset.masks(maps.rows), dataset.load_domain(), dataset.spacing_mm
    return zone_figures(images.take(slice(None)), labels, domain, spacing)


def attribute_bins(rows: ImageRows) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """(N,) the bin of each slice, -1 where the attribute is not defined, by attribute."""
    with open_dataset(rows.path) as dataset:
        values, names = dataset.mask_attributes, dataset.attribute_names
    if values is None:
        raise InputError(f"{rows.path}: holds no attributes of its label maps, which the bins are made from. Run "
                         f"`cldm measure {rows.path}`.")
    chosen = values[rows.rows].astype(np.float64)
    return {name: bins_of(column, bin_edges(column, np.ones(len(column), np.bool_)))
            for name, column in zip(names, chosen.T, strict=True) if np.isfinite(column).any()}


def _binned(reference: dict[str, Values], synthetic: dict[str, Values], bins: np.ndarray[Any, Any],
            patients: np.ndarray[Any, Any]) -> Json:
    return {name: dataclasses.asdict(spread_in_bins(values, synthetic[name], bins, patients))
            for name, values in reference.items()}


def halves_spread(reference: dict[str, Values], bins: np.ndarray[Any, Any], patients: np.ndarray[Any, Any]) -> Json:
    """The spread of one half of the patients against the other: what the comparison gives where nothing differs."""
    _, groups = np.unique(patients, return_inverse=True)
    half = halves_by_group(groups, np.random.default_rng(0))

    def spread(values: Values) -> ConditionalSpread:
        one, other = (np.where(half == side, values, np.nan) for side in (0, 1))
        return spread_in_bins(one, other, bins, patients)

    return {name: dataclasses.asdict(spread(values)) for name, values in reference.items()}
