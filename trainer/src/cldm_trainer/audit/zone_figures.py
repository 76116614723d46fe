"""The figures of an image whose spread is compared: brightness of each label, contrast of the lesion, noise,
background.

| figure | definition |
|---|---|
| mean of LABEL | mean over the interior of a label that is no part of the lesion, at least `AWAY_MM` from the lesion |
| mean of LESION | mean over the interior of the domain's lesion |
| LESION minus LABEL | the difference of the two |
| noise | `high_pass_noise` of the whole slice |
| background | mean of all pixels without a label |

A zone with fewer pixels than `zone_statistics` demands is NaN. Of several channels, each has its own figures.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cldm_runtime.domains.domain import Domain
from cldm_runtime.metrics.zone_statistics import FEWEST, high_pass_noise, interior

from .images import Images

AWAY_MM = 3.0
Values = NDArray[np.float64]
LabelMaps = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def zone_figures(images: Images, labels: LabelMaps, domain: Domain, spacing_mm: Sequence[float]) -> dict[str, Values]:
    """(N,) of each figure, by name, for images (N, C, H, W) that show the label maps (N, H, W)."""
    found: dict[str, Values] = {}
    for channel in range(images.shape[1]):
        named = f", channel {channel}" if images.shape[1] > 1 else ""
        of_channel = _of_channel(images[:, channel].astype(np.float64), labels, domain, spacing_mm)
        found |= {f"{name}{named}": values for name, values in of_channel.items()}
    return found


def _of_channel(images: Values, labels: LabelMaps, domain: Domain, spacing_mm: Sequence[float]) -> dict[str, Values]:
    masks = [measured_zones(labelled, domain, spacing_mm) for labelled in labels]
    means = {name: np.array([_mean(image, zones[name]) for image, zones in zip(images, masks, strict=True)])
             for name in (masks[0] if masks else {})}
    lesion = domain.lesion
    contrast = {f"{lesion} minus {name}": means[lesion] - values for name, values in means.items() if name != lesion
                } if lesion else {}
    background = np.array([_mean(image, labelled == 0) for image, labelled in zip(images, labels, strict=True)])
    return {f"mean of {name}": values for name, values in means.items()} | contrast | {
        "noise": high_pass_noise(images), "background": background}


def measured_zones(labels: LabelMaps, domain: Domain, spacing_mm: Sequence[float]) -> dict[str, Mask]:
    """The zones of one label map (H, W): labels outside the lesion, and the lesion."""
    values = domain.labels.regions[domain.lesion] if domain.lesion else ()
    away = np.ones(labels.shape, np.bool_)
    if np.isin(labels, values).any():
        away = ndimage.distance_transform_edt(~np.isin(labels, values), sampling=spacing_mm) >= AWAY_MM
    zones = {name: interior(labels, (value,)) & away for value, name in enumerate(domain.labels.names)
             if value and value not in values}
    return zones | ({domain.lesion: interior(labels, values)} if domain.lesion else {})


def _mean(image: Values, zone: Mask) -> float:
    return float(image[zone].mean()) if zone.sum() >= FEWEST else float("nan")
