"""Repairs a generated file with damaged or missing samples: intact parts are kept, the others are computed again."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..runs.execute import carry_out, prepare
from ..runs.run import Part, Progress
from ..store import Dataset, check_samples, create_dataset, expected_samples, open_dataset, read_filter
from ..store.links import painted
from .plan import Plan
from .run import Generation


def repair_dataset(plan: Plan, out: str | os.PathLike[str], progress: Progress | None = None, workers: int = 1) -> int:
    """Compute the damaged parts of a finished file again; returns how many there were. The file then has the bytes
    that the run gave it. Segmentations are left out, because those of damaged images would be wrong.

    Intact parts are first copied to the folder of parts, and then the file is removed: to continue a repair that was
    stopped, repeat the call or resume the run. Raises InputError if there is no file of this plan, and what
    `generate_dataset` raises.
    """
    target = Path(out)
    if not target.exists():
        raise InputError(f"{target}: there is no file to repair. Leave --repair out, or pass --resume.")
    run = Generation(plan, target)
    run.is_finished()  # raises for a file of another plan
    with open_dataset(target) as dataset:
        faults = check_samples(dataset, expected_samples(plan.samples, read_filter(dataset.metadata, target)))
        if not faults:
            return 0
        prepare(run)
        sound = [part for part in run.parts if plan.keep is None and _is_sound(part, dataset, faults.all)]
        for part in sound:
            if not run.is_committed(part):
                _copy(plan, part, dataset)
    target.unlink()
    carry_out(run, progress, workers)
    return len(run.parts) - len(sound)


def _is_sound(part: Part, dataset: Dataset, faulty: NDArray[np.int64]) -> bool:
    indices, samples = dataset.sample_index, np.arange(part.samples.start, part.samples.stop)
    assert indices is not None  # it was checked
    return bool(np.array_equal(indices[samples[0]:samples[-1] + 1], samples) and not np.isin(samples, faulty).any())


def _copy(plan: Plan, part: Part, dataset: Dataset) -> None:
    """Write a part from the rows of the whole file."""
    rows = slice(part.samples.start, part.samples.stop)
    whole = {"requested": dataset.requested, "mask_attributes": dataset.mask_attributes, "draws": dataset.draws,
             "mask_reasons": dataset.mask_reasons, "grid_row": dataset.grid_row, "condition": dataset.condition,
             "image_requested": dataset.image_requested, "sample_index": dataset.sample_index,
             "pair": dataset.pair, "given_row": dataset.given_row, "place": dataset.place,
             "place_requested": dataset.place_requested, "place_reasons": dataset.place_reasons}
    region = painted(dataset, rows)
    columns = {name: None if values is None else values[rows] for name, values in whole.items()}
    with create_dataset(part.path, plan.file_spec({"plan_sha256": plan.sha256}), overwrite=True,
                        verify=part.samples) as writer:
        writer.append(images=dataset.images(rows), masks=dataset.masks(rows) if "masks" in dataset else None,
                      painted=None if region is None else region.astype(np.uint8), **columns)
