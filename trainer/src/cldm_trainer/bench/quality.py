"""How good the images of a setting are. Each figure is computed once and stored.

    runs/<run>/bench/<bundle>/quality-<digest>.json, and the images that it was measured on
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cldm_runtime.bundle.manifest import SamplingSpec
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.digest import sha256_of_bytes
from cldm_runtime.files.records import without_nan
from cldm_runtime.files.user_files import read_json

from ..audit.comparisons import cohort_and_synthetic
from ..audit.sets import cohort_sets, given_samples
from ..audit.two_sample import ClassifierTraining, two_sample
from ..results.figures_of_merit import Json, measure_set, table_row, texture_figures
from ..results.sets import drawn_set
from ..results.workshop import Workshop


def quality(shop: Workshop, settings: SamplingSpec, training: ClassifierTraining | None = None) -> Json:
    """Figures of the images that the workshop's generator makes for every test slice with these settings.

    r2: attribute -> of the segmentation against the mask, all test slices. frechet and its floor in features of the
    segmenter; two_sample: accuracy of a classifier against the cohort's slices; latent_spread, high_frequency_ratio:
    1 is that of the cohort's slices. Images and figures are made once. Raises InputError for settings that the bundle
    cannot do.
    """
    shop.generator.pipeline.plan(settings)  # an unknown sampler is found before anything is made
    how = training or ClassifierTraining()
    file = shop.folder / f"quality-{_digest(shop, settings, how)}.json"
    stored = read_json(file) if file.exists() else None
    if not isinstance(stored, dict) or stored.get("sha256") != _figures_sha256(stored.get("figures")):
        figures = json.loads(json.dumps(without_nan(_measure(shop, settings, how))))
        stored = {"figures": figures, "sha256": _figures_sha256(figures)}
        write_json(file, stored, indent=1)
    return dict(stored["figures"])


def _figures_sha256(figures: Any) -> str:
    return sha256_of_bytes(json.dumps(figures, sort_keys=True).encode())


def _measure(shop: Workshop, settings: SamplingSpec, training: ClassifierTraining) -> Json:
    name = set_name(settings)
    drawn = measure_set(shop, drawn_set(shop, name, [(0, shop.rows("test"))], settings))
    row, texture = table_row(name, drawn.samples()), texture_figures(shop, drawn, name)
    agreement = {attribute: figures["all"]["r2"]["value"] for attribute, figures in row["agreement"].items()}
    dice = {region: figures["dice"]["mean"] for region, figures in row["regions"].items() if figures.get("dice")}
    return {"slices": texture["slices"], "r2": agreement, "dice": dice, "false_rate": row["false_rate"],
            "frechet": texture["frechet"]["distance"], "frechet_floor": texture["frechet"]["floor"],
            "two_sample": _told_apart(shop, drawn.path, training), "latent_spread": texture["latent_spread"],
            "high_frequency_ratio": texture["high_frequency_ratio"], "sampling": asdict(settings),
            "segmenter": shop.segmenter.bundle.identity}


def _told_apart(shop: Workshop, path: Path, training: ClassifierTraining) -> float:
    """Accuracy of the two-sample test against the cohort's test slices."""
    sets = cohort_sets(shop.cohort)
    cohort, synthetic = cohort_and_synthetic(sets, given_samples(sets, path), 0, training.seed)
    shop.say(f"two-sample test of {path.stem} ...")
    with torch.random.fork_rng(devices=[]):
        return float(two_sample(cohort, synthetic, training).accuracy.value)


def set_name(settings: SamplingSpec) -> str:
    """The name of the file with a setting's images."""
    return f"{settings.sampler}-{settings.steps:04d}-guidance-{settings.guidance:g}".replace("+", "p")


def _digest(shop: Workshop, settings: SamplingSpec, training: ClassifierTraining) -> str:
    """Of everything that decides the figures; the batch size of the settings does not."""
    basis = {"settings": {name: value for name, value in asdict(settings).items() if name != "batch_size"},
             "segmenter": shop.segmenter.bundle.manifest_sha256, "training": asdict(training),
             "repeats": shop.sizes.features_repeats}
    return hashlib.sha256(shop.recipe(kind="quality", **basis).encode()).hexdigest()[:16]
