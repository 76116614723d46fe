"""What a generator reaches on validation patients, measured at export with the segmenter bundle of the same run."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.bundle.obedience import RECONSTRUCTED, SYNTHETIC, read_obedience, weakness
from cldm_runtime.bundle.outputs import output_of
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.engines.open import open_graph
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.pipeline import decoder_noise
from cldm_runtime.metrics.agreement import agreement
from cldm_runtime.metrics.overlap import score
from cldm_runtime.metrics.realism import high_frequency_ratio
from cldm_runtime.segmentation.segmenter import Segmenter

Figures = dict[str, float]
_AT_ONCE = 16  # images that are reconstructed together


def measure_generator(
    bundle: Bundle, segmenter_folder: Path, images: NDArray[np.float32], masks: LabelMap
) -> Figures:
    """Figures of synthetic images for the masks (N, H, W), next to those of the cohort's images (N, 1, H, W) and of
    what the bundle's codec makes of these.

    Synthetic images that were made from the masks' attributes alone are not compared with their outlines. Empty where
    there is no segmenter bundle, or too few slices for a correlation. r2 is over slices with the lesion.
    """
    if not segmenter_folder.exists() or len(masks) < 3:
        return {}
    segmenter, generator = Segmenter.load(segmenter_folder), Generator(bundle)
    spacing = generator.manifest.image.spacing_mm
    synthetic = generator.sample(masks=masks, seed=0)[0]
    noun = cohort_noun(bundle.manifest.nature)
    shown = {noun: images, SYNTHETIC: synthetic}
    if "encoder" in bundle.manifest.graphs:
        shown[RECONSTRUCTED] = reconstruct(bundle, images)
    figures: Figures = {"slices": float(len(masks))}
    for kind, compared in shown.items():
        segmented = segmenter.segment(compared, spacing)
        outlined = kind != SYNTHETIC or "masks" in generator.manifest.sources
        reached = overlap(segmented, masks, generator.domain, spacing) if outlined else {}
        for name, value in (reached | obedience(segmented, masks, generator.domain, spacing)).items():
            figures[f"{kind}: {name}"] = round(value, 4)
    ratio = high_frequency_ratio(synthetic[:, 0], images[:, 0], spacing)
    figures[f"high-frequency energy, {SYNTHETIC} over {noun}"] = round(ratio, 4)
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def warning_of(folder: Path) -> str:
    """Where the generator bundle in `folder` falls short of its cohort, and what to do; "" where it does not, or is no
    generator."""
    bundle = Bundle.load(folder, require_signature="")  # nobody can have signed it yet
    short = weakness(read_obedience(bundle.manifest.quality), bundle.domain())
    if bundle.manifest.kind != "generator" or not short:
        return ""
    return (f"{folder}: {short} Train longer, on more patients or with larger networks before you judge segmenters "
            "by it.")


def reconstruct(bundle: Bundle, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images (N, C, *spatial) through the bundle's encoder, with zeros for its noise, and its decoder."""
    encoder, decoder = open_graph(bundle, "encoder"), open_graph(bundle, "decoder")
    graphs, parts = bundle.manifest.graphs, []
    for start in range(0, len(images), _AT_ONCE):
        batch = images[start:start + _AT_ONCE]
        silent = {spec.name: np.zeros((len(batch), *map(int, spec.shape[1:])), np.float32)
                  for spec in graphs["encoder"].inputs if spec.name != "image"}
        latent = encoder.run({"image": batch, **silent})["latent"]
        noise = decoder_noise(graphs["decoder"], 0, np.arange(start, start + len(batch)))
        parts.append(decoder.run({"latent": latent, **noise})[output_of(bundle.manifest).tensor])
    return np.concatenate(parts)


def overlap(segmented: LabelMap, masks: LabelMap, domain: Domain, spacing_mm: tuple[float, ...]) -> Figures:
    """Mean Dice of each region over the masks that hold it."""
    scores = score(segmented, masks, domain.labels, spacing_mm)
    figures: Figures = {}
    for region in domain.labels.regions:
        has_region = domain.labels.region(masks, region).any(axis=tuple(range(1, masks.ndim)))
        dice = scores[f"{region}_dice"][has_region]
        figures[f"Dice of {region}"] = float(np.nanmean(dice)) if has_region.any() else float("nan")
    return figures


def obedience(segmented: LabelMap, masks: LabelMap, domain: Domain, spacing_mm: tuple[float, ...]) -> Figures:
    """r2 of each attribute over the masks with the lesion."""
    figures: Figures = {}
    lesion = domain.labels.region(masks, domain.lesion) if domain.lesion else np.ones_like(masks, dtype=bool)
    has_lesion = lesion.any(axis=tuple(range(1, masks.ndim)))
    truth, measured = domain.measure(masks, spacing_mm), domain.measure(segmented, spacing_mm)
    for name in domain.attribute_names:
        r2 = agreement(truth[name][has_lesion], measured[name][has_lesion], replicates=1).r2.value
        figures[f"r2 of {name}"] = r2
    return figures
