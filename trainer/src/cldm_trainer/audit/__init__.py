"""`cldm-train audit`: can synthetic images be told from real ones, and are they copies of training slices?

Writes audit.json, audit.md and pictures. The pictures show training slices: by default they go to the run's folder and
not to where results are published.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from cldm_runtime import __version__ as runtime_version
from cldm_runtime.generator import Generator
from cldm_runtime.segment import Segmenter
from cldm_runtime.store import open_dataset
from cldm_runtime.summary import without_nan

from .. import __version__
from ..config import Config
from ..data import require_cohort
from . import pictures
from .images import ImageRows
from .markdown import audit_page
from .memorisation import QUANTILE, judge
from .nearest import FeatureSpace, PixelSpace, Space, nearest
from .sets import HELD_OUT, Sets, equal_numbers, generated_sets, given_sets, thinned, whole_patients
from .two_sample import Training, TwoSample, two_sample

GRID = Path("examples/grid.csv")
FEATURES_BATCH = 16
Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How the audit is done. quantile: of held-out slices, see `memorisation`; training: of the classifier."""

    quantile: float = QUANTILE
    training: Training = field(default_factory=Training)


def run(config: Config, command: str, *, samples: Path | None = None, out: Path | None = None, grid: Path = GRID,
        options: Options | None = None) -> Path:
    """Audit the images of a file, or of the exported generator, and write the page, which is returned.

    Raises InputError for images that do not fit the cohort, BundleError or DatasetError for missing or damaged files.
    """
    require_cohort(config.cohort_file)
    torch.set_num_threads(config.run.threads)
    folder = config.run_folder / "audit"
    if samples is None:
        generator = Generator.load(config.export.generator)
        sets = generated_sets(config.cohort_file, generator, grid, folder, _say)
        name = generator.bundle.identity
    else:
        sets, name = given_sets(config.cohort_file, samples), _recorded_generator(samples)
    target, how = out or folder, options or Options()
    figures: Json = without_nan({
        "made": {"command": command, "versions": f"cldm-trainer {__version__}, cldm-runtime {runtime_version}",
                 "images": len(sets.synthetic), "source": sets.made, "generator": name},
        "two_sample": _two_sample_figures(sets, how.training, target),
        "memorisation": _memorisation_figures(sets, Path(config.export.segmenter), how.quantile, target),
    })
    target.mkdir(parents=True, exist_ok=True)
    (target / "audit.json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    page = target / "audit.md"
    page.write_text(audit_page(figures), encoding="utf-8")
    return page


def _two_sample_figures(sets: Sets, training: Training, target: Path) -> Json:
    """Real against synthetic, and the same real slices against as many of training patients; draws the picture."""
    real, synthetic = equal_numbers(sets.compared, sets.synthetic_compared, training.seed)
    count = min(len(real), len(sets.training))
    patients = whole_patients(sets.training, count, training.seed)
    found = _compare("real against synthetic", real, synthetic, training)
    null = _compare("real against real", thinned(real, count, training.seed), patients, training)
    pictures.surest(target / "two-sample.png", found, real.take(slice(None)), synthetic.take(slice(None)),
                    ("real", "synthetic"))
    tests = [{"compared": name, "images": result.images, "accuracy": dataclasses.asdict(result.accuracy)}
             for name, result in (("real against synthetic", found), ("real against real of other patients", null))]
    known = {"patients_known": real.patients is not None, "synthetic_patients_known": synthetic.patients is not None}
    return {"settings": dataclasses.asdict(training) | known, "tests": tests}


def _compare(title: str, zero: ImageRows, one: ImageRows, training: Training) -> TwoSample:
    groups = zero.groups("first"), one.groups("second")
    return two_sample(zero.take(slice(None)), one.take(slice(None)), groups, training,
                      lambda done, folds: _say(f"{title}: fold {done} of {folds}"))


def _memorisation_figures(sets: Sets, segmenter_folder: Path, quantile: float, target: Path) -> Json:
    """The rule in both spaces; draws the pictures."""
    segmenter = _with_features(segmenter_folder)
    spaces: Json = {"pixels": _space_figures("pixels", PixelSpace(sets.training), sets, quantile, target)}
    if segmenter is None:
        spaces["features"] = {"reason": f"{segmenter_folder} is no segmenter bundle with a features graph."}
    else:
        space = FeatureSpace(sets.training, lambda images: segmenter.features(images, batch_size=FEATURES_BATCH))
        spaces["features"] = _space_figures("features", space, sets, quantile, target)
    settings = {"quantile": quantile, "training": len(sets.training), "held_out": len(sets.held_out),
                "subsets": " and ".join(HELD_OUT), "patients_known": sets.training.patients is not None,
                "features": "nothing" if segmenter is None else segmenter.bundle.identity}
    return {"settings": settings, "spaces": spaces}


def _space_figures(name: str, space: Space, sets: Sets, quantile: float, target: Path) -> Json:
    _say(f"nearest training slices by {name} ...")
    synthetic, held_out = (nearest(space, images, sets.training) for images in (sets.synthetic, sets.held_out))
    verdict = judge(synthetic, held_out, quantile)
    pictures.pairs(target / f"pairs-{name}.png", sets.synthetic, sets.training, synthetic, verdict)
    worst = [{"image": number, "training_row": int(sets.training.rows[synthetic.position[number]]),
              "symmetry": int(synthetic.symmetry[number]), "distance": float(synthetic.distance[number]),
              "ratio": float(synthetic.ratio[number]), "copy": bool(verdict.copies[number])}
             for number in pictures.worst_first(verdict).tolist()]
    return {"copies": int(verdict.copies.sum()), "rate": dataclasses.asdict(verdict.rate),
            "held_out_rate": dataclasses.asdict(verdict.held_out_rate),
            "distance_threshold": verdict.distance_threshold, "ratio_threshold": verdict.ratio_threshold,
            "median_distance": float(np.median(synthetic.distance)),
            "held_out_median_distance": float(np.median(held_out.distance)), "worst": worst}


def _with_features(folder: Path) -> Segmenter | None:
    """The segmenter bundle, if it is there and can tell features. Raises BundleError for one that is damaged."""
    if not folder.exists():
        return None
    segmenter = Segmenter.load(folder)
    return segmenter if "features" in segmenter.bundle.manifest.graphs else None


def _recorded_generator(samples: Path) -> str:
    """What a generated file says about its generator."""
    with open_dataset(samples) as dataset:
        digest = str(dataset.metadata.get("manifest_sha256", ""))
    return f"manifest {digest[:12]}" if digest else "not recorded"


def _say(text: str) -> None:
    click.echo(text, err=True)
