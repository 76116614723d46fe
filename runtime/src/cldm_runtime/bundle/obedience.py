"""How well a segmenter recognises what a generator was asked to show, as measured when its bundle was exported
(`quality.measured` in manifest.json), and whether that is well below what it reaches on the cohort's own images.

Who evaluates a segmenter on generated images must know this: what is missing in the images cannot be obedience in them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..domains.domain import Domain
from .nature import NATURES

RECONSTRUCTED = "reconstructed"
SYNTHETIC = "synthetic"
LEAST_SHARE = 0.8  # of the cohort's figure
ENERGY = (0.5, 2.0)  # high-frequency energy over the cohort's
_COHORT = (*NATURES, "cohort", "real")  # what bundles call their cohort; "real" is of format 1
_ENERGY_NAME = f"high-frequency energy, {SYNTHETIC} over "


@dataclass(frozen=True)
class Obedience:
    """Figures by name, such as "Dice of tumour", of a segmenter on `slices` validation slices: on the cohort's own
    images, on those that the codec made of them, and on the generator's for the same label maps or attributes. What a
    bundle does not state is missing, or None. high_frequency: energy of the generator's images over the cohort's.
    """

    slices: int | None = None
    cohort: Mapping[str, float] = field(default_factory=dict)
    reconstructed: Mapping[str, float] = field(default_factory=dict)
    synthetic: Mapping[str, float] = field(default_factory=dict)
    high_frequency: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all figures, in their order."""
        return tuple(dict.fromkeys([*self.cohort, *self.reconstructed, *self.synthetic]))


def read_obedience(quality: Any) -> Obedience:
    """From the `quality` of a manifest; what is not as `cldm-train export` writes it counts as not stated."""
    measured = quality.get("measured") if isinstance(quality, Mapping) else None
    figures = {str(name): float(value) for name, value in (measured if isinstance(measured, Mapping) else {}).items()
               if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)}

    def of(*kinds: str) -> dict[str, float]:
        named = (name.partition(": ") for name in figures)
        return {what: figures[f"{kind}: {what}"] for kind, _, what in named if what and kind in kinds}

    energy = next((value for name, value in figures.items() if name.startswith(_ENERGY_NAME)), None)
    slices = figures.get("slices")
    return Obedience(None if slices is None else int(slices), of(*_COHORT), of(RECONSTRUCTED), of(SYNTHETIC), energy)


def stated_obedience(manifest_text: str) -> Obedience:
    """From the text of a manifest, which may be anything."""
    try:
        manifest = json.loads(manifest_text)
    except (ValueError, RecursionError):
        return Obedience()
    return read_obedience(manifest.get("quality") if isinstance(manifest, dict) else None)


def shortfalls(obedience: Obedience, domain: Domain) -> list[str]:
    """Where a segmenter recognises less than `LEAST_SHARE` of what it recognises in the cohort: the Dice of the lesion,
    or of every region in a domain without one; for images that were made without outlines, r2 of the lesion's size."""
    regions = domain.labels.regions if domain.lesion is None else (domain.lesion,)
    names = [f"Dice of {region}" for region in regions]
    if not any(name in obedience.synthetic for name in names):
        names = [f"r2 of {domain.lesion_size}"]
    return list(_below(obedience, names))


def _below(obedience: Obedience, names: list[str]) -> Iterator[str]:
    for name in names:
        cohort, synthetic = obedience.cohort.get(name), obedience.synthetic.get(name)
        if cohort is not None and synthetic is not None and synthetic < LEAST_SHARE * cohort:
            yield f"{name} {synthetic:.2f} in its images, {cohort:.2f} in the cohort's"


def energy_shortfall(obedience: Obedience) -> list[str]:
    """Where the generator's images hold far less or far more fine detail than the cohort's."""
    energy = obedience.high_frequency
    if energy is None or ENERGY[0] <= energy <= ENERGY[1]:
        return []
    return [f"fine detail (high-frequency energy) {energy:.2g} times the cohort's, expected {ENERGY[0]:g} to "
            f"{ENERGY[1]:g}"]


def weakness(obedience: Obedience, domain: Domain) -> str:
    """What must be known about images of this generator, in one or two sentences; "" where it is near its cohort."""
    below, energy = shortfalls(obedience, domain), energy_shortfall(obedience)
    if not below and not energy:
        return ""
    measured = f"The generator falls short of its cohort (measured at export): {'; '.join([*below, *energy])}."
    return f"{measured} Errors of segmenters on these images are largely the generator's." if below else (
        f"{measured} Segmenters may err on these images because of it.")
