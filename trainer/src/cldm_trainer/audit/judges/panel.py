"""The panel: every judge decides on every image, by judges that have not seen its patient.

Images of two classes, in equal number, are cut into folds by patient, anew for every
seed. A judge learns from all folds but one and decides on that one. Its accuracy is the mean over images and seeds; the
interval is a bootstrap of whole patients, so that seeds do not count as independent. The best judge is the figure:
images are as good as the most able judge says. The best of several is a little high by chance; compare it with the best
judge of a comparison in which there is nothing to find.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.agreement import Estimate, mean_estimate

from ..images import Names
from ..two_sample import balanced_folds
from .judge import Classes, Features, Judge, Judged, Probability

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PanelOptions:
    """folds by patient; seeds, each with other folds and other weights to begin with."""

    folds: int = 2
    seeds: int = 3


@dataclass(frozen=True)
class TwoClasses:
    """Two classes of n images each: `zero` reference, `one` synthetic images, of which the patients (n,) are given.
    Raises InputError where the sides do not fit."""

    zero: Judged
    one: Judged
    patients: Names
    others: Names

    def __post_init__(self) -> None:
        shapes, counts = {side.images.shape for side in (self.zero, self.one)}, {len(self.patients), len(self.others)}
        if len(shapes) > 1 or counts != {len(self.zero.images)}:
            raise InputError(f"judges: found images {self.zero.images.shape} and {self.one.images.shape} with "
                             f"{len(self.patients)} and {len(self.others)} names of patients, expected as many of "
                             "each, of one shape.")


@dataclass(frozen=True)
class JudgeResult:
    """accuracy: None where the judge cannot judge such images. probability: (2 n,) that an image is of class 1, mean
    over the seeds, first the images of class 0."""

    name: str
    looks_at: str
    accuracy: Estimate | None
    probability: Probability | None


def judge_all(comparison: TwoClasses, judges: Sequence[Judge], options: PanelOptions | None = None,
              progress: Progress = lambda text: None) -> list[JudgeResult]:
    """The result of every judge. Raises InputError for too few patients."""
    how = options or PanelOptions()
    return [_result(comparison, judge, how, progress, f"{number} of {len(judges)}")
            for number, judge in enumerate(judges, 1)]


def best(results: Sequence[JudgeResult]) -> JudgeResult:
    """The judge of highest accuracy. Raises InputError where none could judge."""
    able = [result for result in results if result.accuracy is not None]
    if not able:
        raise InputError("judges: none of them can judge such images. Give a judge that needs no label maps.")
    return max(able, key=lambda result: result.accuracy.value if result.accuracy else 0.0)


def _result(comparison: TwoClasses, judge: Judge, how: PanelOptions, progress: Progress, place: str) -> JudgeResult:
    progress(f"{judge.name} ({place}) ...")
    sides = [judge.describe(side) for side in (comparison.zero, comparison.one)]
    if sides[0] is None or sides[1] is None:
        return JudgeResult(judge.name, judge.looks_at, None, None)
    features = np.concatenate([sides[0], sides[1]])
    classes = np.repeat(np.array([0, 1]), len(comparison.patients))
    patients = np.concatenate([comparison.patients, comparison.others])
    decisions = np.stack([_decisions(judge, features, classes, patients, how, seed) for seed in range(how.seeds)])
    right = ((decisions > 0.5) == (classes == 1)).mean(axis=0)
    progress(f"{judge.name}: {right.mean():.3f}")
    return JudgeResult(judge.name, judge.looks_at, mean_estimate(right, patients), decisions.mean(axis=0))


def _decisions(judge: Judge, features: Features, classes: Classes, patients: Names, how: PanelOptions,
               seed: int) -> Probability:
    """(2 n,) probability of class 1, of each image by a judge that has not seen its patient."""
    folds = balanced_folds(patients, classes, how.folds, seed)
    probability = np.zeros(len(classes))
    for fold in range(how.folds):
        seen, tested = folds != fold, folds == fold
        probability[tested] = judge.decide(features[seen], classes[seen], features[tested], how.folds * seed + fold)
    return probability
