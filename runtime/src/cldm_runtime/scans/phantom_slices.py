"""Phantom patients in memory, prepared as the cohort's files are: fresh patients that no cohort holds, and other images
for the same label maps.

    source = PhantomSource.of(ScanSettings(cohort, prepare))
    stack = source.stack("test", source.first_fresh("test"))
    others = source.rerendered(stack, repeat=0, rows=[3])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle.declarations import find_domain
from ..domains.domain import Domain
from ..domains.phantom_rules import PhantomRules
from ..errors import InputError
from .nnunet_raw import RawDataset
from .phantom_cohort import chosen_rules, describe_cohort, subset_sizes
from .recipe import Recipe, make_recipe
from .samples import PreparedCase, other_images, slices_of
from .settings import ScanSettings
from .volumes import Volume


@dataclass(frozen=True)
class PhantomStack:
    """One patient: his volume, and its usable slices as samples."""

    subset: str
    patient: int
    volume: Volume
    prepared: PreparedCase


@dataclass(frozen=True)
class PhantomSource:
    """Draws patients of the phantom that a configuration names. sizes: patients of each subset that its cohort holds;
    they are numbered from `first_patient` on."""

    domain: Domain
    rules: PhantomRules
    seed: int
    recipe: Recipe
    sizes: dict[str, int]
    first_patient: int = 0

    @classmethod
    def of(cls, settings: ScanSettings) -> "PhantomSource":
        """Raises InputError for a domain that draws no phantoms, and for settings that do not fit it."""
        cohort, domain = settings.cohort, find_domain(settings.cohort.domain)
        rules = chosen_rules(domain, cohort)
        description = describe_cohort(domain, rules)
        labels = {name: (value,) for value, name in enumerate(domain.labels.names)}
        recipe = make_recipe(settings.prepare, RawDataset(Path(), labels, (), description), domain, cohort.domain)
        return cls(domain, rules, cohort.seed, recipe, subset_sizes(cohort, rules), cohort.first_patient)

    def first_fresh(self, subset: str) -> int:
        """The number of the first patient of a subset that the cohort does not hold."""
        return self.first_patient + self.sizes[subset]

    def stack(self, subset: str, patient: int) -> PhantomStack:
        """One patient, numbered from 0 within the subset."""
        drawn = self.rules.draw(self.seed, patient, subset)
        pixels = drawn.image if drawn.image.ndim == 4 else drawn.image[None]
        volume = Volume(pixels[list(self.recipe.channels)].astype(np.float32), drawn.labels.astype(np.int64),
                        drawn.spacing_mm, truth=None if drawn.truth is None else drawn.truth.astype(np.int64))
        return PhantomStack(subset, patient, volume, slices_of(volume, self.recipe))

    def rerendered(self, stack: PhantomStack, repeat: int, rows: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Other images (n, C, H, W) for the label maps of these rows of the stack's samples; None takes all. Repeats
        are numbered from 0. Raises InputError for a phantom that cannot do this."""
        numbers = stack.prepared.slices
        if self.rules.rerender is None or numbers is None:
            raise InputError(f"{self.rules.title} of the domain {self.domain.name} cannot be rendered again for a "
                             "given label map. Choose another cohort.phantom.")
        chosen = [int(number) for number in (numbers if rows is None else numbers[list(rows)])]
        images = self.rules.rerender(self.seed, stack.patient, stack.subset, repeat, chosen)
        channels = images if images.ndim == 4 else images[None]
        return other_images(channels[list(self.recipe.channels)], stack.volume, chosen, self.recipe)
