"""A judge of contrast: how bright is each label, and what lies around it?"""

import numpy as np

from cldm_runtime.metrics.zone_statistics import high_pass_noise, zone_statistics

from .judge import Classes, Features, Judged, Probability, boosted_trees


class ZoneJudge:
    """Statistics of each label and of rings outside, by boosted trees. It cannot judge images without label maps."""

    name = "zones"
    looks_at = "mean, deviation and percentiles of each label and of rings outside, noise; boosted trees"

    def describe(self, judged: Judged) -> Features | None:
        if judged.labels is None:
            return None
        channels = [self._of_channel(judged, number) for number in range(judged.images.shape[1])]
        return np.concatenate(channels, axis=1).astype(np.float32)

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        return boosted_trees(seen, classes, tested, seed)

    @staticmethod
    def _of_channel(judged: Judged, number: int) -> Features:
        """The statistics; differences of the zones' means, that is contrast; the noise."""
        assert judged.labels is not None  # `describe` has refused such images
        images = judged.images[:, number]
        columns, values = zone_statistics(images, judged.labels, judged.names, judged.spacing_mm)
        means = values[:, [column.endswith(" mean") for column in columns]]
        first, second = np.triu_indices(means.shape[1], 1)
        noise = high_pass_noise(images)[:, None]
        return np.concatenate([values, means[:, first] - means[:, second], noise], axis=1).astype(np.float32)
