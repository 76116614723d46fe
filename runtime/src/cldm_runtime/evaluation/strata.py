"""In which samples a segmentation fails, by every attribute of the reference masks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Attribute
from ..metrics.strata import Bootstrap, RegionOutcome, Strata, Stratum, stratify, worst_of
from .summary import REPLICATES, AttributeTable, Samples, outcome

MOST_REGIONS = 4  # more are sorted by their own attributes alone: every pair would be a table of thousands of rows


def read_strata(samples: Samples, seed: int = 0, replicates: int = REPLICATES) -> Strata | None:
    """Strata of the reported samples; None where no reference says which of them hold a region."""
    table = samples.requested if samples.mask is None else samples.mask
    outcomes = region_outcomes(samples)
    if table is None or not outcomes:
        return None
    bootstrap = Bootstrap(samples.clusters[1], replicates, seed)
    counted = np.ones(len(samples), dtype=bool) if samples.domain.lesion is None else outcomes[0].held
    rows, undefined = list[Stratum](), list[str]()
    for attribute, reference, measured in attribute_columns(samples, table):
        chosen = looked_at(attribute.name, outcomes)
        strata = list(stratify(attribute, reference, measured, chosen, counted, bootstrap))
        rows += strata
        undefined += [] if strata else [attribute.name]
    return Strata("requested" if samples.mask is None else "mask", tuple(rows), worst_of(rows), tuple(undefined))


def attribute_columns(samples: Samples, table: AttributeTable
             ) -> Iterator[tuple[Attribute, NDArray[np.float64], NDArray[np.float64]]]:
    """Every attribute with its reference and what was measured on the segmentation, (N,) each; of images those that
    the file holds."""
    images = samples.imaging
    of_images = images.requested if images.mask is None else images.mask
    for attributes, references, values in ((samples.domain.attributes, table, samples.attributes),
                                           (samples.domain.image_attributes, of_images, images.segmentation)):
        if references is not None and values is not None:
            for column, attribute in enumerate(attributes):
                yield attribute, references[:, column].astype(np.float64), values[:, column].astype(np.float64)


def looked_at(attribute: str, outcomes: list[RegionOutcome]) -> list[RegionOutcome]:
    """All regions; of many the one that the attribute is of, whose name it begins with."""
    own = [outcome for outcome in outcomes if attribute.startswith(f"{outcome.region}_")]
    if len(outcomes) <= MOST_REGIONS or not own:
        return outcomes
    return [max(own, key=lambda outcome: len(outcome.region))]


def region_outcomes(samples: Samples) -> list[RegionOutcome]:
    """Of the domain's lesion, or of every region; empty where no reference tells."""
    domain, outcomes = samples.domain, list[RegionOutcome]()
    for region in domain.labels.regions if domain.lesion is None else (domain.lesion,):
        words = np.array(outcome(samples, region))
        if not words.size or not (words != "").any():
            continue
        dice = np.full(len(samples), np.nan) if samples.scores is None else samples.scores[f"{region}_dice"]
        outcomes.append(RegionOutcome(region, dice.astype(np.float64), np.isin(words, ("found", "missed")),
                                      words != "", np.isin(words, ("found", "false"))))
    return outcomes
