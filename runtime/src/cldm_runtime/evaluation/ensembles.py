"""What the label maps that an ensemble drew say, where the file keeps them: how many of them are enough, and whether
they differ as several annotations of the image do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from ..errors import InputError
from ..metrics.energy import RegionEnsemble, SizeDice, energy
from ..metrics.strata import Bootstrap
from ..store import Dataset
from .summary import REPLICATES, Samples

SIZES = (1, 2, 3, 5, 10, 20, 30, 40, 50)  # of ensembles
COLUMNS = ("masks", "annotations")  # label maps of the file itself that may be annotations


def read_ensemble(dataset: Dataset, name: str, samples: Samples, annotations: Sequence[str] = (), seed: int = 0,
                  replicates: int = REPLICATES) -> tuple[RegionEnsemble, ...]:
    """Figures of every region of the domain; empty where the segmentation `name` keeps no drawn maps. The label maps of
    one sample are in memory at a time.

    annotations: names of segmentations by other readers, "masks" or "annotations". Raises DatasetError for a name that
    the file lacks, InputError for annotations where no drawn maps are kept.
    """
    segmentation, regions = dataset.segmentation(name), tuple(samples.domain.labels.regions)
    readers = [_Annotations(dataset, reader) for reader in annotations]
    if not segmentation.n_samples:
        if annotations:
            raise InputError(f"{dataset.path}: segmentation {name!r} keeps no drawn label maps to compare with "
                             "annotations. Segment again with cldm segment --bundle DIR --keep-samples.")
        return ()
    sizes = [size for size in SIZES if size <= segmentation.n_samples]
    dice = np.full((len(regions), len(sizes), len(samples)), np.nan)
    distances = np.full((len(regions), 4, len(samples)), np.nan)
    for position, row in enumerate(samples.rows.tolist()):
        maps = np.stack(list(segmentation.samples(row)))
        truth = dataset.reference(row) if "masks" in dataset else None
        read = [reader.of(row) for reader in readers]
        for number, region in enumerate(regions):
            inside = samples.domain.labels.region(maps, region)
            if truth is not None:
                reference = samples.domain.labels.region(truth, region)
                dice[number, :, position] = [_dice(2 * inside[:size].sum(0) > size, reference) for size in sizes]
            if read:
                found = energy(inside, samples.domain.labels.region(np.stack(read), region))
                distances[number, :, position] = found.distance, found.between, found.drawn, found.annotated
    draw, every = Bootstrap(samples.clusters[1], replicates, seed), np.ones(len(samples), np.bool_)
    return tuple(RegionEnsemble(
        region, tuple(SizeDice(size, draw.mean(dice[number, place], every)) for place, size in enumerate(sizes))
        if "masks" in dataset else (),
        *((draw.mean(distances[number, 0], every), *distances[number, 1:].mean(1).tolist()) if readers else ()))
        for number, region in enumerate(regions))


class _Annotations:
    """Label maps that are one reader's annotations."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.dataset, self.column = dataset, name if name in COLUMNS and name not in dataset.segmentations else ""
        self.segmentation = None if self.column else dataset.segmentation(name)

    def of(self, row: int) -> LabelMap:
        if self.segmentation is not None:
            return self.segmentation.masks(row)
        return self.dataset.masks(row) if self.column == "masks" else self.dataset.annotations(row)


def _dice(answer: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """1 for two empty maps."""
    size = int(answer.sum()) + int(reference.sum())
    return 2 * int((answer & reference).sum()) / size if size else 1.0
