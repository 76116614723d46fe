"""What slices of late enhancement look like, in figures that can be compared between patients' images and others.

Images are prepared slices: 0 to 1, square pixels. Labels are the contours that belong to the image; in patients, what a
reader drew. "Step" is the level of blood minus that of remote wall, healthy wall away from borders and infarct.

The accepted ranges come from two public cases of late enhancement (16 slices, of which 10 without infarct: a hint, no
statistic), widened by the literature: blood and infarct after contrast (J Cardiovasc Magn Reson 2013;15:11), nulling
and contrast to noise (Kellman et al., PMC2041905; PMC3487089).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...errors import InputError
from ..appearance_rules import AppearanceFigure, AppearanceRules
from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, LV_CAVITY
from .edges import Field, Rays, cast_rays, endocardium, epicardium

_BORDER_MM = 1.5  # of blood, wall and infarct is left out: their pixels hold two tissues
_FROM_INFARCT_MM = 4.0
_FEWEST = 12  # pixels that a level rests on
RINGS_MM = ((1.0, 4.0), (4.0, 10.0), (10.0, 20.0), (10.0, 40.0))
_BRIGHT, _DARK = 0.4, 0.5  # of the step: above blood, above remote wall


def _figure(name: str, meaning: str, typical: float, low: float, high: float) -> AppearanceFigure:
    return AppearanceFigure(name, meaning, typical, low, high)


FIGURES = (
    _figure("wall_to_blood", "remote wall / blood", 0.55, 0.40, 0.65),
    _figure("step", "blood minus remote wall", 0.24, 0.19, 0.30),
    _figure("step_to_sd", "step / SD of the remote wall", 3.5, 2.5, 5.0),
    _figure("infarct_to_sd", "infarct minus remote wall / SD of the remote wall", 4.5, 3.0, 7.0),
    _figure("infarct_to_step", "infarct minus remote wall / step", 0.90, 0.8, 1.1),
    _figure("infarct_below_blood", "share of the infarct's pixels below the median of blood", 0.55, 0.4, 0.7),
    _figure("sd_to_step", "SD of the remote wall / step", 0.28, 0.20, 0.40),
    _figure("quarter", "25 % of the slice's pixels are below", 0.22, 0.15, 0.30),
    _figure("half", "50 % of the slice's pixels are below", 0.38, 0.32, 0.45),
    _figure("inner_width", "10-90 % width of the endocardial border, mm", 3.0, 2.5, 4.0),
    _figure("outer_width", "10-90 % width of the epicardial border, mm", 3.0, 2.5, 4.0),
    _figure("dark_in_cavity", "share of the cavity's pixels nearer to wall than to blood", 0.18, 0.12, 0.25),
    _figure("bright_1_4", "share brighter than blood + 0.4 steps, 1 to 4 mm outside", 0.20, 0.10, 0.30),
    _figure("bright_4_10", "the same, 4 to 10 mm outside", 0.13, 0.065, 0.195),
    _figure("bright_10_20", "the same, 10 to 20 mm outside", 0.10, 0.05, 0.15),
    _figure("gradient_1_4", "mean gradient / step per mm, 1 to 4 mm outside", 0.35, 0.245, 0.455),
    _figure("gradient_4_10", "the same, 4 to 10 mm outside", 0.25, 0.175, 0.325),
    _figure("gradient_10_40", "the same, 10 to 40 mm outside", 0.20, 0.14, 0.26),
    _figure("outer_brighter", "share of the epicardium with something brighter right outside", 0.95, 0.85, 1.0),
    _figure("inner_offset", "endocardial border from its contour, mm, positive outwards", -0.7, -1.2, -0.2),
    _figure("outer_offset", "epicardial border from its contour, mm, positive outwards", 0.6, 0.1, 1.1),
    _figure("inner_miss", "root mean square distance of the endocardial border from its contour, mm", 1.5, 0.9, 2.0),
    _figure("outer_miss", "root mean square distance of the epicardial border from its contour, mm", 1.5, 0.9, 2.0),
)
NAMES = tuple(figure.name for figure in FIGURES)


def measure_appearance(images: NDArray[np.float32], labels: LabelMap, spacing_mm: tuple[float, ...]
                       ) -> dict[str, Field]:
    """(N,) values of each figure of `FIGURES` for (N, H, W) images and label maps; NaN where a slice does not show
    what the figure is about. Raises InputError for other shapes and for pixels that are not square."""
    if images.ndim != 3 or images.shape != labels.shape or len(spacing_mm) != 2:
        raise InputError(f"appearance is measured on slices (N, H, W) with their label maps, found images "
                         f"{images.shape}, labels {labels.shape} and spacing {spacing_mm}.")
    if abs(spacing_mm[0] - spacing_mm[1]) > 0.01 * spacing_mm[0]:
        raise InputError(f"appearance is measured on square pixels, found {spacing_mm[0]:g} x {spacing_mm[1]:g} mm. "
                         "Prepare the cohort with equal spacing_mm.")
    rows = [_measure_slice(image.astype(np.float64), mask, spacing_mm[0])
            for image, mask in zip(images, labels, strict=True)]
    return {name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in NAMES}


def _measure_slice(image: Field, labels: LabelMap, spacing_mm: float) -> dict[str, float]:
    rays = cast_rays(image, labels, spacing_mm)
    remote = _remote(labels, spacing_mm)
    blood_pixels = _core(labels == LV_CAVITY, spacing_mm)
    values = dict(zip(("quarter", "half"), np.percentile(image, (25, 50)).tolist(), strict=True))
    if rays is None or not blood_pixels.any() or not remote.any():
        return values
    blood, muscle, deviation = np.median(image[blood_pixels]), np.median(image[remote]), image[remote].std()
    step = float(blood - muscle)
    if step <= 0 or deviation == 0:
        return values | {"step": step}
    values |= {"wall_to_blood": float(muscle / blood), "step": step, "step_to_sd": float(step / deviation),
               "sd_to_step": float(deviation / step)}
    values["dark_in_cavity"] = float((image[labels == LV_CAVITY] < muscle + _DARK * step).mean())
    return (values | _infarct(image, labels, blood, muscle, deviation, spacing_mm)
            | _surroundings(image, labels, blood, step, spacing_mm) | _borders(rays, blood, muscle))


def _core(region: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.bool_]:
    """A region without its border, or the whole region if too little is left."""
    core = ndimage.distance_transform_edt(region, sampling=spacing_mm) > _BORDER_MM
    return np.asarray(core if np.count_nonzero(core) >= _FEWEST else region)


def _remote(labels: LabelMap, spacing_mm: float) -> NDArray[np.bool_]:
    """Healthy wall without its borders, away from the infarct."""
    healthy, infarct = labels == HEALTHY, labels >= INFARCT
    core = _core(labels >= HEALTHY, spacing_mm) & healthy
    if infarct.any():
        core &= ndimage.distance_transform_edt(~infarct, sampling=spacing_mm) > _FROM_INFARCT_MM
    return np.asarray(core if np.count_nonzero(core) >= _FEWEST else np.zeros_like(core))


def _infarct(image: Field, labels: LabelMap, blood: float, muscle: float, deviation: float, spacing_mm: float
             ) -> dict[str, float]:
    pixels = labels == INFARCT
    if np.count_nonzero(pixels) < _FEWEST:
        return {}
    excess = float(image[pixels].mean() - muscle)
    return {"infarct_to_sd": excess / deviation, "infarct_to_step": excess / (blood - muscle),
            "infarct_below_blood": float((image[pixels] < blood).mean())}


def _surroundings(image: Field, labels: LabelMap, blood: float, step: float, spacing_mm: float) -> dict[str, float]:
    away = ndimage.distance_transform_edt(labels == 0, sampling=spacing_mm)
    slope = np.hypot(*np.gradient(image, spacing_mm))
    bright, values = image > blood + _BRIGHT * step, {}
    for low, high in RINGS_MM:
        ring = (away > low) & (away <= high)
        for name, value in (("bright", bright), ("gradient", slope / step)):
            key = f"{name}_{low:g}_{high:g}"
            if key in NAMES and ring.any():
                values[key] = float(value[ring].mean())
    return values


def _borders(rays: Rays, blood: float, muscle: float) -> dict[str, float]:
    values = {}
    for side, border in (("inner", endocardium(rays, blood, muscle)), ("outer", epicardium(rays, blood, muscle))):
        values[f"{side}_width"] = border.width_mm
        if border.offset_mm.size:
            values[f"{side}_offset"] = float(border.offset_mm.mean())
            values[f"{side}_miss"] = float(np.sqrt(np.mean(border.offset_mm**2)))
        if side == "outer":
            values["outer_brighter"] = border.share
    return values


APPEARANCE = AppearanceRules(FIGURES, measure_appearance, "two public cases of late enhancement and the literature")
