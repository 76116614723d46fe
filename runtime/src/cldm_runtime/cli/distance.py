"""`cldm distance`: Frechet and kernel distance of two datasets by the features of a network."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..engines.engine import PROVIDERS
from ..errors import InputError
from ..evaluation.distances import REPEATS, feature_distances
from ..evaluation.features import Extractor, Features, open_extractor
from ..files.records import without_nan
from ..metrics.similarity import Similarity, random_pair_ssim, within_condition_ssim
from ..store import open_dataset
from .numbers import WholeNumber
from .progress import show_progress

_ROWS = (("Frechet distance", "frechet", None, "floor_frechet"),
         ("kernel distance", "kernel", "kernel_sd", "floor_kernel"))


@click.command()
@click.argument("cohort", metavar="COHORT", type=click.Path(path_type=Path))
@click.argument("synthetic", metavar="SYNTHETIC", type=click.Path(path_type=Path))
@click.option("--features", type=click.Path(path_type=Path), metavar="FILE",
              help="ONNX file that computes the features. FILE.json next to it describes its input "
                   "(docs/metrics.md).  [default: the segmenter's encoder]")
@click.option("--segmenter", type=click.Path(path_type=Path), metavar="DIR", default="exported/lge-segmenter",
              show_default=True, help="Segmenter bundle whose encoder gives the features.")
@click.option("--subset", metavar="NAME", help="Only this subset of COHORT, for example test.  [default: all samples]")
@click.option("--synthetic-subset", metavar="NAME", help="Only this subset of SYNTHETIC.  [default: all samples]")
@click.option("--repeats", type=WholeNumber(min=1), metavar="R", default=REPEATS, show_default=True,
              help="Draws that are averaged.")
@click.option("--seed", type=WholeNumber(min=0), metavar="S", default=0, show_default=True, help="Of the draws.")
@click.option("--provider", type=click.Choice(PROVIDERS), default="cpu", show_default=True,
              help="What runs the network; never replaced by another.")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator.  [default: all cores]")
@click.option("--variety", is_flag=True,
              help="Also MS-SSIM (1: all alike) between images of one condition of SYNTHETIC, which cldm-gen "
                   "--per-condition makes, and between random pairs of COHORT. Reads all images into memory.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def distance(cohort: Path, synthetic: Path, features: Path | None, segmenter: Path, subset: str | None,
             synthetic_subset: str | None, repeats: int, seed: int, provider: str, threads: int | None,
             variety: bool, as_json: bool) -> None:
    """Frechet and kernel distance between the images of COHORT and of SYNTHETIC, and between two halves of COHORT.

    Each comparison is of n against n images, drawn at random. Do not compare distances for different n, or by different
    networks.

    \b
    Examples:
      cldm distance cohort.h5 out/samples.h5 --subset test
      cldm distance cohort.h5 out/samples.h5 --features inception.onnx --json
    """
    extractor = open_extractor(features, segmenter, provider, threads)
    one, patients = _features(cohort, subset, extractor)
    other, _ = _features(synthetic, synthetic_subset, extractor)
    result = feature_distances(one, other, patients=patients, repeats=repeats, seed=seed)
    alike = _variety(cohort, subset, synthetic, synthetic_subset, seed) if variety else {}
    facts: dict[str, Any] = {
        "features": extractor.name, "features_sha256": extractor.sha256, "by_patient": patients is not None, **result,
        **{name: asdict(similarity) for name, similarity in alike.items()}}
    if as_json:
        click.echo(json.dumps(without_nan(facts), indent=1))
        return
    click.echo(f"{'':18}{'distance':>12}{'deviation':>12}{'floor':>12}")
    for title, value, deviation, floor in _ROWS:
        spread = f"{result[deviation]:12.4g}" if deviation else f"{'':12}"
        click.echo(f"{title:18}{result[value]:12.4g}{spread}{result[floor]:12.4g}")
    halves = "patients" if patients is not None else "slices"
    side = f"n = {result['n']} a side (kernel: {result['kernel_n']})"
    click.echo(f"{side}, {repeats} draws; floor: two halves of COHORT, "
               f"cut by {halves}; features: {extractor.name}")
    for name, similarity in alike.items():
        mean = similarity.ms_ssim
        click.echo(f"MS-SSIM, {name.replace('_', ' ')}: {mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}], "
                   f"{similarity.n_pairs} pairs")


def _variety(cohort: Path, subset: str | None, synthetic: Path, synthetic_subset: str | None,
             seed: int) -> dict[str, Similarity]:
    """How alike images of one condition are, and any two of the cohort. Raises InputError if no condition has two."""
    with open_dataset(synthetic) as dataset:
        rows, condition = dataset.rows(synthetic_subset), dataset.condition
        if condition is None or len(np.unique(condition[rows])) == len(rows):
            raise InputError(f"{synthetic}: no condition has two images, expected several of each for --variety. Make "
                             "them with cldm-gen --per-condition.")
        within = within_condition_ssim(dataset.images(rows), condition[rows], seed=seed, axes=len(dataset.shape))
    with open_dataset(cohort) as dataset:
        pairs = random_pair_ssim(dataset.images(dataset.rows(subset)), seed=seed, axes=len(dataset.shape))
    return {"within_conditions": within, "random_pairs_of_cohort": pairs}


def _features(path: Path, subset: str | None, extractor: Extractor) -> tuple[Features, NDArray[np.str_] | None]:
    """Features (N, F) of a dataset's images, and the patients (N,) where all are named."""
    with open_dataset(path) as dataset, show_progress(path.name, 0, sys.stderr) as progress:
        rows = dataset.rows(subset)
        if not len(rows):
            raise InputError(f"{path}: has no samples.")
        parts = []
        step = dataset.rows_at_once
        for start in range(0, len(rows), step):
            parts.append(extractor(dataset.images(rows[start:start + step]), dataset.spacing_mm))
            progress(min(start + step, len(rows)), len(rows))
        patients = dataset.patients
        named = patients is not None and all(patients[rows])
        return np.concatenate(parts), patients[rows] if named and patients is not None else None
