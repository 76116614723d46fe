"""Whether the runtime's numpy predictor says what nnU-Net's own predictor says."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cldm_runtime.errors import list_faults
from cldm_runtime.segmentation.segmenter import Segmenter

from ..nnunet.results import NnunetResult
from .parity import ParityError

LEAST_SHARE = 0.999  # of all pixels
FEW_PIXELS = 16  # that may always differ: nnU-Net adds up tiles in float16, which decides near ties in tiny images
LEAST_DICE = 0.99  # so that a rare label, which is few of all pixels, agrees as well
JUDGED_PIXELS = 2000
"""With fewer pixels of a label, one pixel weighs too much: its Dice is reported and not judged."""


@dataclass(frozen=True)
class PredictorAgreement:
    """Label maps of both predictors over `slices` slices. dice and pixels (by nnU-Net): label name -> value."""

    slices: int
    mirrored: bool
    differing_pixels: int
    all_pixels: int
    dice: Mapping[str, float]
    pixels: Mapping[str, int]

    def faults(self) -> list[str]:
        """That too many pixels differ, and labels on which the predictors disagree."""
        share = 1.0 - self.differing_pixels / max(self.all_pixels, 1)
        faults = [] if share >= LEAST_SHARE or self.differing_pixels <= FEW_PIXELS else [
            f"{self._how}: the labels of {share:.3%} of {self.all_pixels} pixels agree, expected at least "
            f"{LEAST_SHARE:.1%}, or all but {FEW_PIXELS}"]
        return faults + [
            f"{self._how}: {name}: Dice {dice:.5f} over {self.pixels[name]} pixels, expected at least {LEAST_DICE}"
            for name, dice in self.dice.items() if self.pixels[name] >= JUDGED_PIXELS and dice < LEAST_DICE]

    @property
    def _how(self) -> str:
        return "with mirroring" if self.mirrored else "without mirroring"

    def figures(self) -> dict[str, str | int | float]:
        """For the manifest and the model card."""
        how = self._how
        figures: dict[str, str | int | float] = {
            f"nnUNetPredictor, {how}: slices": self.slices,
            f"nnUNetPredictor, {how}: differing pixels": f"{self.differing_pixels} of {self.all_pixels}",
        }
        return figures | {f"nnUNetPredictor, {how}: Dice of {name} ({self.pixels[name]} pixels)": round(value, 6)
                          for name, value in self.dice.items()}


def compare_predictors(segmenter: Segmenter, result: NnunetResult, images: NDArray[np.float32], *,
                       mirror: bool, say: Callable[[str], object] = len) -> PredictorAgreement:
    """Segment (N, C, *spatial) images of the bundle's spacing with both predictors. say: gets what is being done."""
    say(f"segmenting {len(images)} images with the bundle, mirroring {'on' if mirror else 'off'}")
    ours = segmenter.segment(images, mirror=mirror)
    predictor, values = make_predictor(result, mirror=mirror), segmenter.spec.label_values
    theirs = []
    for number, image in enumerate(images, 1):
        say(f"segmenting with nnU-Net, mirroring {'on' if mirror else 'off'}, image {number} of {len(images)}")
        theirs.append(predictor_labels(predictor, result, image[None], segmenter.spacing_mm, values)[0])
    return agreement_of(ours, np.stack(theirs), segmenter.domain.labels.names, mirror=mirror)


def agreement_of(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], names: Sequence[str], *,
                 mirror: bool) -> PredictorAgreement:
    """Of label maps (N, *spatial) by both predictors; names: label value -> name."""
    dice, pixels = {}, {}
    for value, name in enumerate(names):
        a, b = ours == value, theirs == value
        if a.any() or b.any():
            dice[name] = 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())
            pixels[name] = int(b.sum())
    return PredictorAgreement(len(ours), mirror, int((ours != theirs).sum()), ours.size, dice, pixels)


def nnunet_labels(result: NnunetResult, images: NDArray[np.float32], spacing_mm: tuple[float, ...],
                  label_values: tuple[int, ...], *, mirror: bool) -> NDArray[np.uint8]:
    """What nnUNetPredictor says of (N, C, *spatial) images, in the domain's label values (N, *spatial)."""
    return predictor_labels(make_predictor(result, mirror=mirror), result, images, spacing_mm, label_values)


def make_predictor(result: NnunetResult, *, mirror: bool) -> Any:
    """nnU-Net's own predictor on the CPU, with the network of a result."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    plans, configuration, _ = result.managers
    with contextlib.redirect_stdout(io.StringIO()):  # it says that the CPU is no GPU
        predictor = nnUNetPredictor(use_mirroring=mirror and bool(result.mirror_axes), device=torch.device("cpu"),
                                    perform_everything_on_device=False, allow_tqdm=False)
    predictor.manual_initialization(result.network, plans, configuration, [result.network.state_dict()],
                                    dict(result.dataset), result.trainer, result.mirror_axes)
    return predictor


def predictor_labels(predictor: Any, result: NnunetResult, images: NDArray[np.float32],
                     spacing_mm: tuple[float, ...], label_values: tuple[int, ...]) -> NDArray[np.uint8]:
    """What a predictor of `make_predictor` says, as `nnunet_labels`."""
    labels = result.managers[2]
    channels = labels.regions_class_order if labels.has_regions else labels.all_labels
    lookup = np.zeros(256, np.uint8)
    lookup[[int(value) for value in channels]] = label_values
    threads = torch.get_num_threads()
    predictions = [_predict(predictor, image, spacing_mm) for image in images]
    torch.set_num_threads(threads)  # nnU-Net may leave its own number behind
    return lookup[np.stack(predictions)]


def _predict(predictor: Any, image: NDArray[np.float32], spacing_mm: tuple[float, ...]) -> NDArray[np.uint8]:
    """A slice is a volume of one slice, whose spacing through the plane is large, as nnU-Net's readers make it."""
    if len(spacing_mm) == 3:
        return np.asarray(predictor.predict_single_npy_array(image, {"spacing": list(spacing_mm)}), np.uint8)
    labels: NDArray[np.uint8] = predictor.predict_single_npy_array(
        image[:, None], {"spacing": [999.0 * max(spacing_mm), *spacing_mm]})
    return np.asarray(labels[0], np.uint8)


def require_agreement(agreements: list[PredictorAgreement]) -> None:
    """Raise ParityError that gives the share of pixels, or the labels, on which the predictors disagree."""
    faults = [fault for agreement in agreements for fault in agreement.faults()]
    if faults:
        raise ParityError(list_faults(
            "the bundle's labels differ from those of nnU-Net's own predictor. Nothing was written. Check that "
            "export.nnunet names the folder that nnU-Net left, unchanged; if it is, this network cannot be exported.",
            faults))
