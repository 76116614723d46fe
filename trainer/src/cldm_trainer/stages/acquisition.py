"""How the training slices were acquired: noise, resolution and rim, as a distribution that generated images draw from.

    <run folder>/acquisition/acquisition.json    the distribution, and what it was estimated from
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.acquisition_spec import NOISE_LEVEL, VALUES, AcquiredValue, AcquisitionSpec
from cldm_runtime.bundle.latent_prior_spec import triangle_of
from cldm_runtime.domains.acquisition.distribution import fit_correlation, fit_table
from cldm_runtime.domains.acquisition.estimate import SIDES, Acquisition, estimate, taper, without_rim
from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.records import plain, read_record
from cldm_runtime.files.user_files import read_json

from ..config import AcquisitionConfig
from ..networks.scanner import INPUTS
from ..training import checkpoint
from ..training.batches import load_slices
from ..training.processes import by_first
from ..training.run_folder import RunFolder

NO_ACQUISITION = AcquisitionConfig()
STAGE, FILE = "acquisition", "acquisition.json"
_UNITS = ("fraction", "mm", "mm", "pixels", "pixels", "pixels", "pixels")
_BEYOND = 4.0  # times the level below which 98 % of the slices lie: the highest that may be requested
_HIGHEST = 0.5


@by_first
def run(section: AcquisitionConfig, run: RunFolder) -> None:
    """Estimate the distribution, at once if that has been done on this cohort. Raises InputError without a kind of
    detection."""
    if not section.detection:
        raise InputError("acquisition.detection: empty, expected real (phase-sensitive images) or magnitude.")
    path = run.own(STAGE) / FILE
    if path.exists() and _stored(path).get("made_from") == _made_from(section, run):
        return
    images = load_slices(run.cohort.file, "train").images.numpy()
    spec = distribution_of(images[:, 0], section, run.cohort.spacing_mm)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"made_from": _made_from(section, run), "distribution": plain(spec)}, indent=1)


def distribution_of(images: NDArray[np.floating], section: AcquisitionConfig, spacing_mm: tuple[float, ...],
                    residual_noise: float = 0.0) -> AcquisitionSpec:
    """The distribution of the acquisition of (N, *spatial) images in [0, 1]."""
    found = estimate(images)
    columns = dict(zip(VALUES, (found.noise_level, 0.5 * spacing_mm[-2] / found.cuts[:, 0],
                                0.5 * spacing_mm[-1] / found.cuts[:, 1], *found.rim.T.astype(np.float64)), strict=True))
    tables = {name: fit_table(column) for name, column in columns.items()}
    high = min(_HIGHEST, _BEYOND * tables[NOISE_LEVEL].values[-1])
    values = tuple(
        AcquiredValue(name, unit, input, table.scores, table.values,
                      *((0.0, round(high, 4)) if name == NOISE_LEVEL else (None, None)))
        for (name, table), unit, input in zip(tables.items(), _UNITS, INPUTS, strict=True))
    inner = [without_rim(image, rim) for image, rim in zip(images, found.rim, strict=True)]
    damped = taper(inner, [(pair[0], pair[1]) for pair in found.cuts])
    detection: Literal["real", "magnitude"] = "magnitude" if section.detection == "magnitude" else "real"
    return AcquisitionSpec(detection, section.zero, residual_noise, damped.shares, damped.weights, values,
                           tuple(round(number, 6) for number in triangle_of(fit_correlation(columns))))


def load_spec(section: AcquisitionConfig, run: RunFolder) -> AcquisitionSpec | None:
    """The distribution that the stage estimated; None if the configuration has none. Raises InputError where it is
    missing, of another cohort, or damaged."""
    if not section.detection:
        return None
    path = run.lent(STAGE) / FILE
    if not path.exists():
        raise InputError(f"{path}: not found. Make it first: {checkpoint.command(STAGE, path.parent)}.")
    stored = _stored(path)
    faults: list[str] = []
    spec = read_record(AcquisitionSpec, stored.get("distribution"), "distribution", faults)
    if spec is None or stored.get("made_from") != _made_from(section, run):
        raise InputError(list_faults(f"{path}: damaged, or of another cohort or [acquisition] section. Make it again: "
                                     f"{checkpoint.command(STAGE, path.parent)}.", faults))
    return spec


def residual_noise(images: NDArray[np.floating], spec: AcquisitionSpec, spacing_mm: tuple[float, ...]) -> float:
    """What a decoder's images (N, C, *spatial) add to the noise level that is measured on them once they are acquired:
    with levels a applied, drawn from the distribution, and m measured, the root of the median of m^2 - a^2.

    Measured on images that are acquired, because those of a smooth decoder have no cut. 0 if they add nothing.
    """
    random = np.random.default_rng(0)
    scan = replace(spec, residual_noise=0.0).scan({name: random.standard_normal(len(images)) for name in spec.inputs})
    channels = images.shape[1] * (2 if spec.detection == "magnitude" else 1)
    noise = random.standard_normal((len(images), channels, *images.shape[2:]))
    measured = estimate(spec.scanner(spacing_mm).acquire(images, noise, scan)[:, 0]).noise_level
    added = np.square(measured) - np.square(scan.noise_level)
    added = added[np.isfinite(added)]
    return round(float(np.sqrt(max(np.median(added), 0.0))), 5) if added.size else 0.0


def estimated(images: NDArray[np.floating]) -> Acquisition:
    """Of (N, C, *spatial) images, by their first channel; where the noise cannot be told it is the median of the
    others."""
    found = estimate(images[:, 0])
    known = np.isfinite(found.noise_level)
    usual = float(np.median(found.noise_level[known])) if known.any() else 0.0
    return Acquisition(np.where(known, found.noise_level, usual), found.cuts, found.rim)


def _stored(path: Path) -> Mapping[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _made_from(section: AcquisitionConfig, run: RunFolder) -> Mapping[str, Any]:
    return {"config": plain(section), "cohort": run.cohort.sha256, "sides": list(SIDES)}
