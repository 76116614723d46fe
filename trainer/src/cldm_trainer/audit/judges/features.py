"""A judge that sees with a network that was trained for another task."""

from cldm_runtime.evaluation.features import Extractor

from .judge import Classes, Features, Judged, Probability, logistic


class FeatureJudge:
    """Features of a trained network, by logistic regression. No package of this project's ships such a network: it is
    the encoder of the segmenter bundle, or an ONNX file of the user's (`[results] features`)."""

    name = "network features"

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.looks_at = f"features of {extractor.name}; logistic regression"

    def describe(self, judged: Judged) -> Features:
        return self.extractor(judged.images, judged.spacing_mm)

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        return logistic(seen, classes, tested)
