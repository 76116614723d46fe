"""What guidance buys and costs: obedience to the condition against variety among the images of one condition.

Slices of the validation patients, several seeds each, at several weights of guidance; for the first generator other
settings too. Obedience: r2 of segmentation against condition. Variety: MS-SSIM between images of one condition (1 is
identical) and the spread of their features within a condition, as a share of the variance of the cohort's features.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cldm_runtime.bundle.manifest import SamplingSpec
from cldm_runtime.evaluation.features import Extractor
from cldm_runtime.metrics.similarity import random_pair_ssim, within_condition_spread, within_condition_ssim
from cldm_runtime.store import open_dataset

from ..figures_of_merit import Json, measure_set
from ..sets import drawn_set, latents_file
from ..workshop import Rows, Workshop
from .strategies import Strategy

SUBSET = "val"


@dataclass(frozen=True)
class Setting:
    """A way to sample, by what differs from the bundle's own."""

    guidance: float
    interval: tuple[float, float] = (0.0, 1.0)
    eta: float = 0.0

    @property
    def name(self) -> str:
        """As in file names and legends."""
        low, high = self.interval
        parts = [f"guidance-{self.guidance:g}"]
        parts += [f"from-{low:g}-to-{high:g}"] if self.interval != (0.0, 1.0) else []
        return "-".join([*parts, f"eta-{self.eta:g}"] if self.eta else parts)

    def apply(self, default: SamplingSpec) -> SamplingSpec:
        return replace(default, guidance=self.guidance, guidance_interval=self.interval, eta=self.eta)


OTHERS = (Setting(3.0, (0.0, 0.6)), Setting(3.0, (0.4, 1.0)), Setting(2.0, (0.0, 0.6)), Setting(2.0, (0.4, 1.0)),
          Setting(2.0, eta=1.0), Setting(1.0, eta=1.0))


def trade_figures(shop: Workshop, strategies: list[Strategy], extractor: Extractor) -> Json:
    """For each strategy its settings, by rising weight; for comparison, how similar the cohort's slices are."""
    rows = conditions(shop)
    with open_dataset(shop.cohort) as dataset:
        every = dataset.images(shop.all_rows(SUBSET))
    reference = extractor(every, shop.generator.manifest.image.spacing_mm)
    different = random_pair_ssim(every)
    by_strategy: dict[str, list[Json]] = {}
    for number, strategy in enumerate(strategies):
        if strategy.shop.generator.manifest.can_guide:
            settings = [Setting(weight) for weight in shop.sizes.trade]
            settings += OTHERS if strategy.shop is shop or (number == 0 and len(strategies) == 1) else ()
            by_strategy[strategy.key] = [_figures(strategy, setting, rows, extractor, reference)
                                         for setting in settings]
    return {"conditions": len(rows), "seeds": shop.sizes.trade_seeds, "subset": SUBSET, "strategies": by_strategy,
            "different_slices_ssim": asdict(different.ms_ssim)}


def conditions(shop: Workshop) -> Rows:
    """Rows of the validation slices that are used, evenly picked."""
    rows = shop.all_rows(SUBSET)
    count = min(shop.sizes.trade_conditions, len(rows))
    picked: Rows = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return picked


def _figures(strategy: Strategy, setting: Setting, rows: Rows, extractor: Extractor, reference: Any) -> Json:
    shop = strategy.shop
    name = f"trade-{setting.name}"
    jobs = [(seed, rows) for seed in range(shop.sizes.trade_seeds)]
    settings = setting.apply(shop.generator.sampling)
    measured = measure_set(shop, drawn_set(shop, name, jobs, settings, rows=rows.tolist(),
                                           seeds=shop.sizes.trade_seeds))
    with open_dataset(measured.path) as dataset:
        assert dataset.sample_index is not None  # the workshop writes it
        images, groups, patients = dataset.images(), dataset.sample_index, dataset.patients
    features = extractor(images, shop.generator.manifest.image.spacing_mm)
    latents = np.load(latents_file(shop, name), allow_pickle=False)
    return {"setting": setting.name, **asdict(setting), "row": measured.row(name, measured.samples()),
            "ssim": asdict(within_condition_ssim(images, groups, patients=patients).ms_ssim),
            "feature_spread": within_condition_spread(features, groups, reference),
            "latent_spread": float(latents.std(axis=(0, 2, 3)).mean())}
