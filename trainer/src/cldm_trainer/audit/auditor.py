"""Audits the images of one generator after the other against one cohort; what belongs to the cohort alone, the test of
its slices against each other and the distances of held-out slices, is computed once.

    auditor = Auditor(Path("cohort.h5"), Segmenter.load("exported/lge-segmenter"))
    figures = auditor.audit(Path("samples.h5"), Path("audit/lge"), name="lge 2.0")
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.files.records import without_nan
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.version import __version__ as runtime_version

from . import pictures
from .comparisons import cohort_and_synthetic, cohort_halves
from .images import ImageRows
from .markdown import audit_page
from .memorisation import QUANTILE, Verdict, judge
from .nearest import FeatureSpace, Neighbours, PixelSpace, Space, nearest
from .sets import COMPARED, HELD_OUT, CohortSets, SyntheticImages, cohort_sets, given_samples
from .two_sample import ClassifierTraining, Side, TwoSample, two_sample

FEATURES_BATCH = 16
Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class AuditOptions:
    """How the audit is done. seeds: images that are generated for each slice, where none are given. further: images of
    each class that the classifier is trained on, in addition to those that it is tested on; none by default, because
    training slices on one side and other seeds on the other differ in what they show. searched: synthetic images that
    are searched for copies, the first of the file. quantile: of held-out slices, see `memorisation`."""

    seeds: int = 1
    further: int = 0
    searched: int = 532
    quantile: float = QUANTILE
    training: ClassifierTraining = field(default_factory=ClassifierTraining)


@dataclass(frozen=True)
class TrainingSpace:
    """A space of the training slices, and the neighbours that held-out slices have in it."""

    space: Space
    held_out: Neighbours


class Auditor:
    """See the module. Raises InputError for a cohort without training or held-out slices, or with patients in both."""

    def __init__(self, cohort: Path, segmenter: Segmenter | None, options: AuditOptions | None = None,
                 say: Say = lambda text: None) -> None:
        self.sets: CohortSets = cohort_sets(cohort)
        self.segmenter, self.options, self._say = segmenter, options or AuditOptions(), say

    def audit(self, samples: SyntheticImages | Path, target: Path, name: str, command: str = "") -> Json:
        """Write audit.json, audit.md and the pictures of these images into the folder `target`; returns the figures.

        `name` is the generator's. Raises InputError for images that do not fit the cohort.
        """
        chosen = given_samples(self.sets, samples) if isinstance(samples, Path) else samples
        software = f"cldm-trainer {version('cldm-trainer')}, cldm-runtime {runtime_version}"
        provenance = {"command": command, "versions": software, "images": len(chosen.images), "source": chosen.origin,
                      "generator": name, "nature": self.sets.nature}
        figures: Json = without_nan({"made": provenance, "two_sample": self._told_apart(chosen, target),
                                     "memorisation": self._copies(chosen, target)})
        target.mkdir(parents=True, exist_ok=True)
        text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
        (target / "audit.json").write_text(text, encoding="utf-8")
        (target / "audit.md").write_text(audit_page(figures), encoding="utf-8")
        return figures

    @property
    def noun(self) -> str:
        """What texts call the cohort's slices."""
        return cohort_noun(self.sets.nature)

    @cached_property
    def cohort_against_itself(self) -> TwoSample:
        """What the test gives where there is nothing to find."""
        options = self.options
        sides = cohort_halves(self.sets, options.further, options.training.seed)
        return self._test(f"{self.noun} against {self.noun}", *sides)

    @cached_property
    def yardsticks(self) -> Mapping[str, TrainingSpace]:
        """By name: pixels, and features where there is a segmenter with a features graph."""
        spaces: dict[str, Space] = {"pixels": PixelSpace(self.sets.training)}
        segmenter = self.segmenter
        if segmenter is not None and "features" in segmenter.bundle.manifest.graphs:
            self._say("features of the training slices ...")
            spaces["features"] = FeatureSpace(
                self.sets.training, lambda images: segmenter.features(images, batch_size=FEATURES_BATCH))
        searched = {}
        for name, space in spaces.items():
            self._say(f"nearest training slices of held-out slices by {name} ...")
            searched[name] = TrainingSpace(space, nearest(space, self.sets.held_out, self.sets.training))
        return searched

    def _test(self, title: str, zero: Side, one: Side) -> TwoSample:
        return two_sample(zero, one, self.options.training,
                          lambda done, folds: self._say(f"{title}: fold {done} of {folds}"))

    def _told_apart(self, samples: SyntheticImages, target: Path) -> Json:
        """Figures of the two-sample test; draws the picture."""
        options = self.options
        cohort, synthetic = cohort_and_synthetic(self.sets, samples, options.further, options.training.seed)
        compared, null = f"{self.noun} against synthetic", self.cohort_against_itself
        test_result = self._test(compared, cohort, synthetic)
        pictures.surest(target / "two-sample.png", test_result, cohort.images[:cohort.tested],
                        synthetic.images[:cohort.tested], (self.noun, "synthetic"))
        tests = [{"compared": name, "images": result.images, "trained_on": list(result.trained_on),
                  "accuracy": dataclasses.asdict(result.accuracy)}
                 for name, result in ((compared, test_result),
                                      (f"{self.noun} against {self.noun} of other patients", null))]
        settings = dataclasses.asdict(options.training) | {
            "subsets": " and ".join(COMPARED), "patients_known": self.sets.compared.patients is not None,
            "paired": samples.partners is not None, "percentiles": self.sets.percentiles}
        return {"settings": settings, "tests": tests, "saturated": self._saturated(samples)}

    def _saturated(self, samples: SyntheticImages) -> Json:
        """Median share of black and of white pixels in an image as it is stored, before both sides are levelled."""
        shares = {}
        for name, rows in (("real", self.sets.compared), ("synthetic", samples.images)):
            images = rows.chosen(np.arange(min(len(rows), len(self.sets.compared)))).take(slice(None))
            shares[name] = {"black": float(np.median((images <= 0).mean(axis=(1, 2, 3)))),
                            "white": float(np.median((images >= 1).mean(axis=(1, 2, 3))))}
        return shares

    def _copies(self, samples: SyntheticImages, target: Path) -> Json:
        """The rule in every space; draws the pictures."""
        searched = samples.images.chosen(np.arange(min(len(samples.images), self.options.searched)))
        spaces: Json = {name: self._space_figures(name, yardstick, searched, target)
                        for name, yardstick in self.yardsticks.items()}
        if "features" not in spaces:
            spaces["features"] = {"reason": "there is no segmenter bundle with a features graph."}
        has_features = "features" in self.yardsticks and self.segmenter is not None
        settings = {"quantile": self.options.quantile, "training": len(self.sets.training), "searched": len(searched),
                    "held_out": len(self.sets.held_out), "subsets": " and ".join(HELD_OUT),
                    "patients_known": self.sets.training.patients is not None,
                    "features": self.segmenter.bundle.identity if has_features and self.segmenter else "nothing"}
        return {"settings": settings, "spaces": spaces}

    def _space_figures(self, name: str, yardstick: TrainingSpace, searched: ImageRows, target: Path) -> Json:
        self._say(f"nearest training slices by {name} ...")
        training = self.sets.training
        neighbours = nearest(yardstick.space, searched, training)
        verdict = judge(neighbours, yardstick.held_out, self.options.quantile,
                        (searched.patients, self.sets.held_out.patients))
        pictures.pairs(target / f"pairs-{name}.png", searched, training, neighbours, verdict)
        return {"copies": int(verdict.copies.sum()), "rate": dataclasses.asdict(verdict.rate),
                "held_out_rate": dataclasses.asdict(verdict.held_out_rate),
                "distance_threshold": verdict.distance_threshold, "ratio_threshold": verdict.ratio_threshold,
                "median_distance": float(np.median(neighbours.distance)),
                "held_out_median_distance": float(np.median(yardstick.held_out.distance)),
                "worst": _worst(neighbours, verdict, training)}


def summary(figures: Mapping[str, Any]) -> Json:
    """The headline of `Auditor.audit`'s figures: `accuracy` and `accuracy_real` of the two-sample test,
    `copies_<space>` and `copies_<space>_held_out`; each {value, low, high}, or None where it was not measured. `asked`
    and `searched` are numbers of synthetic images."""
    test, null = figures["two_sample"]["tests"]
    rates: Json = {}
    for name, space in figures["memorisation"]["spaces"].items():
        rates |= {f"copies_{name}": space.get("rate"), f"copies_{name}_held_out": space.get("held_out_rate")}
    return {"asked": test["images"], "searched": figures["memorisation"]["settings"]["searched"],
            "accuracy": test["accuracy"], "accuracy_real": null["accuracy"], **rates}


def _worst(neighbours: Neighbours, verdict: Verdict, training: ImageRows) -> list[Json]:
    """The pairs of the picture."""
    return [{"image": number, "training_row": int(training.rows[neighbours.position[number]]),
             "symmetry": int(neighbours.symmetry[number]), "distance": float(neighbours.distance[number]),
             "ratio": float(neighbours.ratio[number]), "copy": bool(verdict.copies[number])}
            for number in pictures.worst_first(verdict).tolist()]
