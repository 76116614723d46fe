"""Pictures of control: one attribute swept in one heart and one noise, and a turning anatomy (the paper's figure 3)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from cldm_runtime.errors import InputError
from cldm_runtime.generation.batch import Batch
from cldm_runtime.generation.generator import Generator
from cldm_runtime.requests.design import ROTATION
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.held_anatomy import HeldAnatomyRequests
from cldm_runtime.requests.moved_maps import MaskGridRequests
from cldm_runtime.requests.sources import mask_requests
from cldm_runtime.segmentation.segmenter import Segmenter

SEED = 3
COLUMNS = 7
_CROP = 20  # pixels of each side that are left out


@dataclass(frozen=True)
class Sweep:
    """`name` goes from low to high while the `fixed` attributes stay."""

    name: str
    low: float
    high: float
    fixed: Mapping[str, float]


SWEEPS = (
    Sweep("infarct_size", 0.05, 0.4, {"transmurality": 0.7, "slice_position": 0.5}),
    Sweep("transmurality", 0.35, 0.95, {"infarct_size": 0.15, "slice_position": 0.5}),
    Sweep("endocardial_surface_length", 0.1, 0.55, {"transmurality": 0.6, "slice_position": 0.5}),
    Sweep(ROTATION.name, 0.0, 180.0, {"infarct_size": 0.2, "transmurality": 0.7, "slice_position": 0.5}),
)


def picture(path: Path, generator: Generator, segmenter: Segmenter, seed: int = SEED) -> None:
    """A row for each sweep, a column for each value: what was asked for, and what the segmenter finds, above each."""
    rows = [sweep for sweep in SWEEPS if generator.canvas.maps or sweep.name != ROTATION.name]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(1.5 * COLUMNS, 1.85 * len(rows)), squeeze=False)
    for line, sweep in zip(axes, rows, strict=True):
        values = np.linspace(sweep.low, sweep.high, COLUMNS).tolist()
        for axis, value, batch in zip(line, values, swept(generator, sweep, values, seed), strict=True):
            axis.set_axis_off()
            if batch is not None:
                image = batch.images[0, 0, _CROP:-_CROP, _CROP:-_CROP]
                axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(_caption(generator, segmenter, sweep.name, value, batch), fontsize=6.5)
        line[0].text(0.02, 0.04, sweep.name, transform=line[0].transAxes, color="white", fontsize=7)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.95, bottom=0.005, wspace=0.02, hspace=0.18)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def swept(generator: Generator, sweep: Sweep, values: Sequence[float], seed: int) -> list[Batch | None]:
    """The image for each value. The heart is held where lesions can be drawn in given label maps and one takes all of
    them, and where it is turned; otherwise sample 0 of the seed is drawn for each value, and None stands where no
    anatomy meets it."""
    domain, canvas = generator.domain, generator.canvas
    if sweep.name == ROTATION.name and canvas.maps:
        return _turned(generator, sweep.fixed, values, seed)
    if sweep.name in domain.attribute_names and domain.edit is not None and canvas.maps:
        with suppress(InputError):
            grid = grid_from_mapping({**sweep.fixed, sweep.name: list(values)}, domain)
            held = HeldAnatomyRequests.spread(grid, len(values), canvas)
            return list(generator.batches(held, range(len(values)), seed, generator.settings(batch_size=1)))
    return [_sample(generator, {**sweep.fixed, sweep.name: value}, seed) for value in values]


def _turned(generator: Generator, fixed: Mapping[str, float], angles: Sequence[float], seed: int) -> list[Batch | None]:
    """One label map turned by each angle, in the noise of sample 0; None where no anatomy meets the request."""
    upright, canvas = _sample(generator, fixed, seed), generator.canvas
    if upright is None or upright.masks is None:
        return [None] * len(angles)
    maps, settings = mask_requests(ArrayMasks(upright.masks), canvas, "sweep"), generator.settings(batch_size=1)
    sources = (MaskGridRequests.spread(grid_from_mapping({ROTATION.name: angle}, generator.domain, for_masks=True), 1,
                                       maps) for angle in angles)
    return [next(generator.batches(source, range(1), seed, settings)) for source in sources]


def _sample(generator: Generator, request: Mapping[str, float], seed: int) -> Batch | None:
    """Sample 0 of the seed; None where no anatomy meets the request."""
    try:
        return next(generator.stream([request], seed=seed, batch_size=1))
    except InputError:
        return None


def _caption(generator: Generator, segmenter: Segmenter, name: str, value: float, batch: Batch | None) -> str:
    if batch is None:
        return f"{value:.2f}: no such anatomy"
    if name == ROTATION.name:
        return f"{value:.0f} degrees"
    spacing_mm = generator.manifest.image.spacing_mm
    measured = generator.domain.measure(segmenter.segment(batch.images, spacing_mm), spacing_mm).values[0]
    return f"asked {value:.2f}, found {measured[generator.domain.attribute_names.index(name)]:.2f}"
