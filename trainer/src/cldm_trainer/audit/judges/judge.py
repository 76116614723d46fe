"""What every judge has, and the two classifiers of judges that look at statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..images import Images

Features = NDArray[np.float32]  # (n, ...), what a judge looks at
Classes = NDArray[np.int64]  # (n,), 0 reference, 1 synthetic
Probability = NDArray[np.float64]
LabelMaps = NDArray[np.uint8]  # (n, H, W)
_INVERSE_PENALTY = 0.1  # of the logistic regression, on standardised features


@dataclass(frozen=True)
class Judged:
    """What judges are given: images (n, C, H, W) in 0..1, and their label maps (n, H, W), None where images were not
    made for label maps. `names` are those of the labels."""

    images: Images
    labels: LabelMaps | None
    names: Sequence[str]
    spacing_mm: tuple[float, ...]


class Judge(Protocol):
    """A way to distinguish two classes of images. `looks_at` is for people."""

    @property
    def name(self) -> str: ...

    @property
    def looks_at(self) -> str: ...

    def describe(self, judged: Judged) -> Features | None:
        """(n, ...) what the judge looks at, of every image; None where it cannot judge such images."""

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        """(m,) probability that a tested image is of class 1, learned from images of known classes."""


def logistic(seen: Features, classes: Classes, tested: Features) -> Probability:
    """Logistic regression on standardised features (n, F)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, max_iter=5000))
    return _of_class_one(model, seen, classes, tested)


def boosted_trees(seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
    """Gradient boosting of trees on features (n, F), of which some may be NaN. Unlike a linear model it detects that a
    figure varies too little, though its mean is right."""
    known = np.isfinite(seen).any(axis=0)  # the library fails on columns of NaN alone
    model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=10,
                                           l2_regularization=1.0, max_features=0.3, random_state=seed)
    return _of_class_one(model, seen[:, known], classes, tested[:, known])


def _of_class_one(model: Any, seen: Features, classes: Classes, tested: Features) -> Probability:
    fitted = model.fit(seen.astype(np.float64), classes)
    return np.asarray(fitted.predict_proba(tested.astype(np.float64))[:, 1], dtype=np.float64)
