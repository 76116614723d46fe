"""Patients of the phantom that no cohort holds, as dataset files: nothing was trained on them, and nothing chosen.

| file | images |
|---|---|
| reference | as the phantom draws the patients |
| control | the same label maps rendered again: what the best possible generator would make |
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.scans.phantom_slices import PhantomSource, PhantomStack
from cldm_runtime.scans.samples import measure_samples
from cldm_runtime.store import DatasetSpec, DatasetWriter, create_dataset

from .images import Images, rows_of_subsets
from .kept_files import is_as_made, record_made
from .sets import CohortSets

Say = Callable[[str], None]


@dataclass(frozen=True)
class PhantomPairs:
    """Two files with the same label maps, row by row; see the module."""

    reference: Path
    control: Path
    subset: str


def phantom_pairs(source: PhantomSource, pairs: int, folder: Path, say: Say) -> PhantomPairs:
    """Files of `pairs` slices of fresh patients of the phantom's first test subset, made unless they are there.

    Raises InputError for a phantom that cannot be rendered again.
    """
    subset = source.rules.tests[0]
    stack = source.stack(subset, source.first_fresh(subset))
    control = source.rerendered(stack, 0)
    digest = _digest(source, stack, control, pairs)
    found = PhantomPairs(folder / f"reference-{digest[:12]}.h5", folder / f"control-{digest[:12]}.h5", subset)
    files = found.reference, found.control
    if not all(is_as_made(file, digest) for file in files):
        _write(found, source, pairs, say)
        for file in files:
            record_made(file, digest)
    return found


def fresh_sets(pairs: PhantomPairs, source: PhantomSource) -> CohortSets:
    """The reference file as the sets that images are generated for."""
    rows = rows_of_subsets(pairs.reference, (pairs.subset,))
    return CohortSets(rows, rows, rows, source.recipe.percentiles, "phantom")


def dataset_of(source: PhantomSource) -> DatasetSpec:
    """What every file of prepared phantom slices has in common."""
    window = source.recipe.window
    return DatasetSpec(source.domain, window.shape, window.spacing_mm, len(source.recipe.channels),
                       metadata={"nature": "phantom"})


def append(writer: DatasetWriter, source: PhantomSource, stack: PhantomStack, images: Images,
           rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """Append these rows of a stack's samples, with `images` (n, C, H, W) for them."""
    prepared = stack.prepared
    assert prepared.slices is not None  # phantoms are cut into slices: `rerendered` has refused others
    measured = measure_samples(prepared, source.domain, source.recipe.window.spacing_mm)
    name = f"fresh-{stack.subset}-{stack.patient}"
    writer.append(images=images, masks=prepared.labels[rows], mask_attributes=measured.values[rows],
                  mask_reasons=measured.reasons[rows], patients=[name] * len(rows), slices=prepared.slices[rows],
                  subset=[stack.subset] * len(rows))


def _write(files: PhantomPairs, source: PhantomSource, pairs: int, say: Say) -> None:
    spec, count, patient = dataset_of(source), 0, source.first_fresh(files.subset)
    with (create_dataset(files.reference, spec, overwrite=True) as reference,
          create_dataset(files.control, spec, overwrite=True) as control,
          show_progress("slices", pairs, sys.stderr, brief=True) as progress):
        say(f"{pairs} slices of fresh phantom patients ...")
        while count < pairs:
            stack = source.stack(files.subset, patient)
            rows = np.arange(min(len(stack.prepared.labels), pairs - count))
            append(reference, source, stack, stack.prepared.images[rows], rows)
            append(control, source, stack, source.rerendered(stack, 0, rows.tolist()), rows)
            count, patient = count + len(rows), patient + 1
            progress(count, pairs)


def _digest(source: PhantomSource, stack: PhantomStack, control: Images, pairs: int) -> str:
    """Of the settings and of what the phantom draws today: another version of it makes other files."""
    settings = {"seed": source.seed, "sizes": source.sizes, "recipe": asdict(source.recipe), "pairs": pairs}
    text = json.dumps(settings, sort_keys=True).encode()
    return hashlib.sha256(text + stack.prepared.images.tobytes() + control.tobytes()).hexdigest()
