"""From measured sets to the numbers of the results: plain JSON values, nothing is formatted here."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.distances import feature_distances
from cldm_runtime.evaluation.fresh import is_measured
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.evaluation.summary import ALL, Samples, Summary, read_samples, summarise_samples
from cldm_runtime.metrics.realism import high_frequency_ratio, latent_spread
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset

from .rates import by_patient
from .sets import BATCH, compared_rows, encode, latents_file, read_rows
from .workshop import Rows, Workshop

Json = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A set after the segmenter has seen it."""

    path: Path
    segmentation: str

    def samples(self, subset: str | None = None) -> Samples:
        with open_dataset(self.path) as dataset:
            return read_samples(dataset, self.segmentation, subset)

    def row(self, name: str, samples: Samples) -> Json:
        """`table_row` of some of its samples, with every interval by patient."""
        return table_row(name, samples) | by_patient(samples, self.path, self.segmentation)


def measure_set(shop: Workshop, path: Path) -> Measured:
    """Segment and measure a set; what the same segmenter found in these images before is used again."""
    name = shop.segmenter.name
    with open_dataset(path) as dataset:
        segmentation = dataset.segmentations.get(name)
        done = (segmentation is not None and segmentation.scores is not None
                and segmentation.metadata.get("manifest_sha256") == shop.segmenter.bundle.manifest_sha256
                and is_measured(dataset, name))
    if not done:
        shop.timed(
            f"segmenting {path.stem}",
            lambda: evaluate_dataset(path, shop.segmenter, batch_size=BATCH, overwrite=True, stage=_stage),
        )
    return Measured(path, name)


def _stage(label: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """The progress of an evaluation on stderr."""
    return show_progress(label, 0, sys.stderr, brief=True)


def restrict(samples: Samples, chosen: NDArray[np.bool_]) -> Samples:
    """Some of the samples."""
    return replace(samples, **_kept(samples, chosen))


def _kept(record: Any, chosen: NDArray[np.bool_]) -> Json:
    """The fields of a record of per-sample arrays that change when rows are dropped."""
    changes: Json = {}
    for f in fields(record):
        value = getattr(record, f.name)
        if isinstance(value, np.ndarray):
            changes[f.name] = value[chosen]
        elif is_dataclass(value) and f.name == "scores":
            changes[f.name] = replace(value, **_kept(value, chosen))  # type: ignore[type-var]
    return changes


def same_slices(samples: Samples, as_in: Samples) -> Samples:
    """Those samples that show a slice which `as_in` shows too."""
    identities = set(_identities(as_in))
    return restrict(samples, np.array([identity in identities for identity in _identities(samples)], dtype=bool))


def without_label(measured: Measured, samples: Samples, label: str) -> Samples:
    """Those samples of a set whose mask does not hold the label. Raises InputError for an unknown one."""
    names = samples.domain.labels.names
    if label not in names:
        raise InputError(f"results.without: label {label!r} is unknown. Known: {', '.join(names)}.")
    with open_dataset(measured.path) as dataset:
        masks = dataset.masks(samples.rows)
    return restrict(samples, ~(masks == names.index(label)).reshape(len(masks), -1).any(axis=1))


def _identities(samples: Samples) -> list[tuple[str, str, int]]:
    assert samples.patients is not None and samples.slices is not None and samples.subset is not None
    return list(zip(samples.subset.tolist(), samples.patients.tolist(), samples.slices.tolist(), strict=True))


def table_row(name: str, samples: Samples) -> Json:
    """One set in the results: agreement with the mask, overlap and false detections."""
    summary = summarise_samples(samples, {})
    return {"set": name, **summary_figures(summary, samples.domain.lesion)}


def summary_figures(summary: Summary, lesion: str | None) -> Json:
    """What the tables show of a summary, as JSON values: agreement with the mask, or with the request where there is no
    mask."""
    document = summary.to_json()
    segmented = [item for item in document["agreement"] if item["measured"] == "segmentation"]
    reference = "mask" if any(item["reference"] == "mask" for item in segmented) else "requested"
    pairs = [item for item in segmented if item["reference"] == reference]
    return {
        "slices": summary.n_samples,
        "patients": summary.n_patients,
        "agreement": _by_attribute(pairs),
        "regions": {region["region"]: region for region in document["regions"]},
        "false_rate": document["false_detections"].get(lesion) or (document["detection"] or {}).get("false_rate"),
    }


def _by_attribute(items: list[Json]) -> Json:
    """attribute -> "all" or "lesion" -> figures."""
    by_attribute: Json = {}
    for item in items:
        kind = ALL if item["samples"] == ALL else "lesion"
        by_attribute.setdefault(item["attribute"], {})[kind] = item
    return by_attribute


def grid_figures(samples: Samples) -> Json:
    """Requested against measured, and its two parts: request to mask (drawing), mask to segmentation (image and
    segmenter)."""
    document = summarise_samples(samples, {}).to_json()
    parts = {}
    for name, measured, reference in (
        ("request to segmentation", "segmentation", "requested"),
        ("request to mask", "mask", "requested"),
        ("mask to segmentation", "segmentation", "mask"),
    ):
        items = [
            item for item in document["agreement"] if (item["measured"], item["reference"]) == (measured, reference)
        ]
        parts[name] = _by_attribute(items)
    lesion = samples.domain.lesion
    measurable = list(parts["mask to segmentation"])
    return {
        "slices": len(samples),
        "attributes": measurable,
        "parts": parts,
        "false_rate": document["false_detections"].get(lesion),
        "regions": {region["region"]: region for region in document["regions"]},
    }


def residual_deviation(samples: Samples, attribute: str) -> float:
    """Standard deviation of (segmentation - mask) over the samples with the lesion."""
    number = samples.domain.attribute_names.index(attribute)
    assert samples.mask is not None
    difference = (samples.attributes - samples.mask)[:, number].astype(np.float64)
    defined = np.isfinite(difference) & (True if samples.with_lesion is None else samples.with_lesion)
    return float(difference[defined].std(ddof=1)) if defined.sum() > 1 else float("nan")


def error_split(cohort: Samples, synthetic: Samples, attributes: list[str]) -> Json:
    """How much of the error on synthetic images the segmenter also makes on the cohort's.

    Taking the two error sources as independent, generator = sqrt(max(0, synthetic^2 - cohort^2)).
    """
    split = {}
    for name in attributes:
        segmenter, both = residual_deviation(cohort, name), residual_deviation(synthetic, name)
        split[name] = {
            "segmenter": segmenter,
            "both": both,
            "generator": float(np.sqrt(max(0.0, both**2 - segmenter**2))),
        }
    return split


def features(segmenter: Segmenter, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of the segmenter's encoder."""
    return segmenter.features(images, batch_size=BATCH)


def texture_figures(shop: Workshop, synthetic: Measured, name: str) -> Json:
    """Texture, latent spread and Frechet distance of a synthetic set, against the cohort's slices of the same masks."""
    with open_dataset(synthetic.path) as dataset:
        assert dataset.sample_index is not None  # the row of the cohort; the workshop writes it
        images, (rows, first) = dataset.images(), np.unique(dataset.sample_index, return_index=True)
        patients = None if dataset.patients is None else dataset.patients[first]
    originals = cohort_images(shop, rows)
    sampled = np.load(latents_file(shop, name), allow_pickle=False)
    # Sampled latents stand for draws from the posterior, which is what the denoiser was trained on.
    drawn, means = encode(shop, originals, np.random.default_rng(0)), encode(shop, originals)
    spread, again = latent_spread(sampled, drawn), latent_spread(encode(shop, images), means)
    distances = feature_distances(features(shop.segmenter, originals), features(shop.segmenter, images),
                                  patients=patients, repeats=shop.sizes.features_repeats)
    return {
        "slices": len(images),
        "high_frequency_ratio": _texture_ratio(shop, images, originals),
        "latent_spread": float(spread.mean()),
        "latent_spread_channels": spread.tolist(),
        "latent_spread_reencoded": float(again.mean()),
        "frechet": {
            "distance": distances["frechet"],
            "floor": distances["floor_frechet"],
            "slices": distances["n"],
            "repeats": distances["repeats"],
        },
    }


def cohort_images(shop: Workshop, rows: Rows) -> NDArray[np.float32]:
    """The cohort's images of these rows, (N, C, *spatial)."""
    return np.concatenate([images for _, images, _, _ in read_rows(shop.cohort, rows)])


def _texture_ratio(shop: Workshop, images: NDArray[np.float32], originals: NDArray[np.float32]) -> float:
    return high_frequency_ratio(images[:, 0], originals[:, 0], shop.generator.manifest.image.spacing_mm)


def reconstruction_texture(shop: Workshop, reconstructed: Measured) -> float:
    """High-frequency energy of reconstructions over that of the slices they were made from."""
    with open_dataset(reconstructed.path) as dataset:
        images = dataset.images()
    return _texture_ratio(shop, images, cohort_images(shop, compared_rows(shop)))
