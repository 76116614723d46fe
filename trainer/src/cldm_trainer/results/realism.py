"""The audit of every strategy, and the spread over the seeds of a condition, as the results show them."""

import dataclasses

from cldm_runtime.evaluation.repeated_conditions import read_uncertainty
from cldm_runtime.store import open_dataset

from ..audit import Auditor, summary, write_card
from .cldm.strategies import Strategy
from .figures_of_merit import Json, Measured
from .workshop import Workshop

AUDIT = "audit"


def realism_figures(shop: Workshop, strategies: list[Strategy]) -> Json:
    """Two-sample accuracy and copy rates by strategy, which go into the bundles' model cards too; pages and pictures,
    which show training slices, go to the workshop's folder."""
    auditor = Auditor(shop.cohort, shop.segmenter, say=shop.say)
    by_strategy = {}
    for strategy in strategies:
        bundle = strategy.shop.generator.bundle
        folder = shop.folder / AUDIT / bundle.path.name
        figures = auditor.audit(strategy.measured.path, folder, bundle.identity, "cldm-train results")
        write_card(bundle.path, figures)
        by_strategy[strategy.key] = summary(figures) | {"quantile": auditor.options.quantile}
    return by_strategy


def uncertainty_figures(measured: Measured, subset: str) -> Json | None:
    """What several seeds of a condition say of each attribute and pixel; None where every condition has one image."""
    with open_dataset(measured.path) as dataset:
        uncertainty = read_uncertainty(dataset, measured.segmentation, measured.samples(subset))
    return None if uncertainty is None else dataclasses.asdict(uncertainty)
