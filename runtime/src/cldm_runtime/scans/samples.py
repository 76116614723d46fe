"""The samples of one case: its usable slices, or the whole volume, cut, resampled, normalised and measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle.declarations import find_domain
from ..domains.attributes import Measurement, Reason
from ..domains.domain import Domain
from ..errors import InputError
from ..metrics.padding import padding, without_padding
from .direction import Stack
from .geometry import AS_STORED, Turn
from .label_map import translate
from .nnunet_raw import Case
from .recipe import Recipe
from .resample import check_fits, labelled_box, normalise, resample_image, resample_labels, resample_nearest
from .volumes import Volume, read_volume


@dataclass(frozen=True)
class PreparedCase:
    """The samples of one case: images (n, C, *spatial) float32 in 0..1, labels (n, *spatial) uint8, position (n,)
    between the ends of the stack (NaN where undefined), slices (n,) their numbers in the source (None for a volume),
    dropped, the number of labelled slices that were left out, and padding, the largest share of it in an image.
    annotations, as labels: what a reader drew, where labels are the truth; None if only one of them is known."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    position: NDArray[np.float32]
    slices: NDArray[np.int32] | None
    dropped: int
    stack: Stack | None
    padding: float = 0.0
    annotations: NDArray[np.uint8] | None = None


def prepare_case(case: Case, recipe: Recipe, turn: Turn) -> PreparedCase | str:
    """The samples of one case, or its fault as text."""
    try:
        return (_prepare_slices if len(recipe.window.shape) == 2 else _prepare_volume)(case, recipe, turn)
    except InputError as error:
        where = f"case {case.name}: "
        return where + str(error).removeprefix(where)


def _prepare_slices(case: Case, recipe: Recipe, turn: Turn) -> PreparedCase:
    """A sample for each labelled slice that the domain finds usable."""
    volume = read_volume(case, recipe.channels, check_geometry=recipe.check_geometry,
                         allow_nan=recipe.allow_nan, turn=turn)
    return slices_of(volume, recipe, turn)


def slices_of(volume: Volume, recipe: Recipe, turn: Turn = AS_STORED) -> PreparedCase:
    """A sample for each labelled slice of a volume that the domain finds usable. Raises InputError for labels that do
    not fit, and for constant images."""
    labels, spacing = translate(volume.labels, recipe.lookup, recipe.label_names), volume.spacing_mm[1:]
    centre = _centre(labels, spacing, recipe)
    labelled = np.flatnonzero(labels.any(axis=(1, 2)))
    numbers = turn.numbers(len(labels))
    cut = resample_labels(labels[labelled], centre, spacing, recipe.window)
    truth = None if volume.truth is None else _true_labels(volume.truth[labelled], centre, spacing, recipe)
    usable = usable_slices(cut, recipe) if truth is None else usable_slices(cut, recipe) & usable_slices(truth, recipe)
    rows = labelled[usable]
    images, padded = _images(volume.pixels[:, rows].swapaxes(0, 1), centre, spacing, recipe,
                             [f"slice {number}" for number in numbers[rows]],
                             None if volume.missing is None else volume.missing[:, rows].swapaxes(0, 1))
    return PreparedCase(images, (cut if truth is None else truth)[usable],
                        stack_positions(len(labelled), recipe)[usable], numbers[rows].astype(np.int32),
                        int((~usable).sum()), Stack(turn, len(labelled), first_end(labels, recipe)), padded,
                        None if truth is None else cut[usable])


def _true_labels(truth: NDArray[np.int64], centre: NDArray[np.float64], spacing_mm: Sequence[float], recipe: Recipe
                 ) -> NDArray[np.uint8]:
    """(n, *shape) true label maps (n, *spatial), cut as their images are. Raises InputError where they do not fit."""
    labels = translate(truth, recipe.lookup, recipe.label_names)
    check_fits(labelled_box(labels), centre, spacing_mm, recipe.window)
    return resample_labels(labels, centre, spacing_mm, recipe.window)


def other_images(pixels: NDArray[np.float32], volume: Volume, slices: Sequence[int], recipe: Recipe
                 ) -> NDArray[np.float32]:
    """Other images (C, n, H, W) of these slices of a volume, prepared as `slices_of` prepares its own:
    (n, C, *shape)."""
    labels, spacing = translate(volume.labels, recipe.lookup, recipe.label_names), volume.spacing_mm[1:]
    return _images(pixels.swapaxes(0, 1), _centre(labels, spacing, recipe), spacing, recipe,
                   [f"slice {number}" for number in slices], None)[0]


def _prepare_volume(case: Case, recipe: Recipe, turn: Turn) -> PreparedCase:
    """One sample: the whole volume."""
    volume = read_volume(case, recipe.channels, check_geometry=recipe.check_geometry,
                         allow_nan=recipe.allow_nan, turn=turn)
    labels = translate(volume.labels, recipe.lookup, recipe.label_names)[None]
    centre = _centre(labels, volume.spacing_mm, recipe)
    images, padded = _images(volume.pixels[None], centre, volume.spacing_mm, recipe, ["the volume"],
                             None if volume.missing is None else volume.missing[None])
    cut = resample_labels(labels, centre, volume.spacing_mm, recipe.window)
    nowhere = np.full(1, np.nan, np.float32)
    if volume.truth is None:
        return PreparedCase(images, cut, nowhere, None, 0, None, padded)
    truth = _true_labels(volume.truth[None], centre, volume.spacing_mm, recipe)
    return PreparedCase(images, truth, nowhere, None, 0, None, padded, cut)


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
            names: Sequence[str], missing: NDArray[np.bool_] | None) -> tuple[NDArray[np.float32], float]:
    """(n, C, *spatial) -> (n, C, *shape), each channel of each sample normalised for itself, by its voxels that are
    neither missing nor padding; and the largest share of padding in one of them."""
    flat = pixels.reshape(-1, *pixels.shape[2:])
    rims = [padding(image) for image in flat] if recipe.padding_apart else []
    if recipe.zero_is_outside:
        rims = [image == 0 for image in flat]
    elif any(rim.any() for rim in rims):
        flat = np.stack([without_padding(image) for image in flat])
    images = resample_image(flat, centre, spacing_mm, recipe.window, recipe.image_order)
    known = np.ones(images.shape, np.bool_)
    if missing is not None:
        known &= ~resample_nearest(missing.reshape(flat.shape), centre, spacing_mm, recipe.window)
    for inside, rim in zip(known, rims, strict=False):
        if rim.any():  # what lies beyond the image is then padding too
            inside &= ~resample_nearest(rim[None], centre, spacing_mm, recipe.window, outside=True)[0]
    images = images.reshape(*pixels.shape[:2], *recipe.window.shape)
    known = known.reshape(images.shape)
    for sample, given, name in zip(images, known, names, strict=True):
        for channel, image, inside in zip(recipe.channels, sample, given, strict=True):
            try:
                image[:] = np.where(inside, normalise(image, recipe.percentiles, inside), 0)
            except InputError as error:
                which = f", channel {channel}" if len(recipe.channels) > 1 else ""
                raise InputError(f"{name}{which}: {error}") from error
    return images, max((float(rim.mean()) for rim in rims), default=0.0) if recipe.padding_apart else 0.0


def usable_slices(labels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.bool_]:
    """(N,) which slices of (N, H, W) the domain finds usable."""
    rules = find_domain(recipe.domain).stack
    return rules.usable(labels, recipe.regions) if rules else np.ones(len(labels), np.bool_)


def first_end(labels: NDArray[np.uint8], recipe: Recipe) -> str:
    """The end of the stack that the first labelled slice shows; "" where the labels do not tell."""
    rules = find_domain(recipe.domain).stack
    return rules.first_end(labels) if rules and rules.first_end else ""


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
