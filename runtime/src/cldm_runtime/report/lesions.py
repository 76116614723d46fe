"""The report's sections on lesions, and on the doubt that a segmenter states."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ..evaluation.summary import Samples
from ..metrics.doubt import NEAR_VOXELS, RegionDoubt
from ..metrics.lesions import LesionSummary
from ..store import Dataset
from .charts import CalibrationPoint, calibration
from .contours import contours, enlarged_box
from .heat_maps import Panel, grey, heat, panel_row
from .planes import lesion_planes, planes_shown
from .tables import as_title, estimate, number, table

_PICTURED = 4  # samples
_HIGHEST = 0.25  # variance, in the lightest colour


def lesions_section(lesions: Sequence[LesionSummary]) -> str:
    """Lesion-wise figures as HTML; empty without any."""
    if not lesions:
        return ""
    head = ["Region", "n", "Dice<br>by lesion", "HD95 by<br>lesion (mm)", "Dice of<br>the whole",
            "HD95 of the<br>whole (mm)", "Lesions<br>found", "Missed", "False", "False<br>a sample"]
    rows = [[escape(as_title(each.region)), str(each.n), estimate(each.dice, 1, 3), estimate(each.hd95_mm, 1, 1),
             estimate(each.whole_dice, 1, 3), estimate(each.whole_hd95_mm, 1, 1), str(each.n_found),
             str(each.n_missed), str(each.n_false), estimate(each.false_a_sample, 1, 2)] for each in lesions]
    return ("<h2>Lesion by lesion</h2><p>By the definitions of the BraTS 2023 challenge: lesions of the reference are "
            "joined where they are within 6 voxels, those of up to 50 mm³ do not count, and a missed or a false lesion "
            "counts Dice 0 and HD95 374 mm. Mean over samples with its 95 % interval. Agreement on absence counts 1 "
            f"and 0 mm; HD95 weighs the surface by its area.</p>{table(head, rows)}")


def doubt_section(dataset: Dataset, name: str, samples: Samples, doubt: Sequence[RegionDoubt]) -> str:
    """Calibration, detection of errors, selection of cases and pictures as HTML; empty without a variance."""
    if not doubt:
        return ""
    shares = [f"{100 * each.share:.0f} %" for each in doubt[0].selective]
    head = ["Region", "Voxels<br>near it", "Wrong (%)", "ECE", "AUC", "ECE,<br>all voxels", "AUC,<br>all voxels",
            *(f"Dice, most<br>certain {share}" for share in shares), "ρ of doubt<br>and Dice"]
    rows = [[escape(as_title(each.region)), str(each.near.n), number(100 * each.near.wrong, 2),
             number(each.near.ece, 3), number(each.near.auc, 3), number(each.everywhere.ece, 4),
             number(each.everywhere.auc, 3),
             *(f"{number(one.dice, 3)}<small>at best {number(best.dice, 3)}, n = {one.n}</small>"
               for one, best in zip(each.selective, each.best, strict=True)), estimate(each.rho, 1, 2)]
            for each in doubt]
    return ("<h2>The doubt of the segmenter</h2><p>Doubt of a voxel: the share of the ensemble's label maps that "
            "differ from its answer. ECE: mean gap between doubt and the share of wrong voxels (0 is calibrated). "
            "AUC: how well the variance ranks wrong above right voxels (1 is best, 0.5 chance). Near: within "
            f"{NEAR_VOXELS} voxels of the answer, the reference or any doubt; most other voxels are background that "
            "nobody doubts. At best: the cases are chosen by their Dice itself.</p>"
            f'{table(head, rows)}<div class="charts">{"".join(map(_chart, doubt))}</div>'
            f"{_pictures(dataset, name, samples, doubt[-1].region)}")


def _chart(each: RegionDoubt) -> str:
    points = [CalibrationPoint(one.doubt, one.wrong, one.wrong, one.wrong) for one in each.near.bins if one.n]
    title = as_title(each.region)
    drawn = calibration(points, ("doubt", "wrong voxels"), title)
    return f"<figure><figcaption>{escape(title)}: reliability near the region</figcaption>{drawn}</figure>"


def _pictures(dataset: Dataset, name: str, samples: Samples, region: str) -> str:
    """Some volumes, evenly spaced in the file: the plane across z through the largest lesion, and where the segmenter
    doubts; slices are not shown."""
    if samples.domain.axes != 3:
        return ""
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(_PICTURED, len(samples))).round().astype(int))
    rows = "".join(_row(dataset, name, samples, int(row)) for row in samples.rows[chosen])
    return ("<h3>Where the segmenter doubts</h3><p>The plane with most of the largest lesion. Each row: the image with "
            "the contours of the reference, and of the segmentation; the variance of "
            f"{escape(as_title(region).lower())}, from 0, black, to {_HIGHEST}; voxels whose label is wrong, white.</p>"
            f'<div class="maps">{rows}</div>')


def _row(dataset: Dataset, name: str, samples: Samples, row: int) -> str:
    segmentation, labels = dataset.segmentation(name), samples.domain.labels
    found, expected, image = segmentation.masks(row), dataset.reference(row), dataset.images(row)[0]
    plane = lesion_planes(samples.domain, expected if expected.any() else found)[0]
    answer, truth, seen, variance = (plane.of(each, dataset.spacing_mm) for each in (
        found, expected, image, segmentation.variance(row)[-1]))
    low, high = float(image.min()), float(image.max())
    pixels = grey(seen, low, high)
    panels = [Panel("reference", pixels, contours(truth, labels)), Panel("segmentation", pixels,
                                                                         contours(answer, labels)),
              Panel("variance", heat(variance, _HIGHEST)),
              Panel("wrong", grey((answer != truth).astype(np.float32), 0.0, 1.0))]
    place = planes_shown(dataset.shape, dataset.channels, (plane,))
    drawn = panel_row(panels, enlarged_box(truth, answer))
    return f"<figure>{drawn}<figcaption>Row {row}{place}.</figcaption></figure>"
