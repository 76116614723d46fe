"""The classifier two-sample test on noise that is and is not alike."""

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_trainer.audit.two_sample import Classifier, ClassifierTraining, Side, balanced_folds, two_sample

QUICK = ClassifierTraining(folds=2, steps=40, batch=16, learning_rate=1e-2)


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 1, 16, 16)).astype(np.float32)


def names(count: int, kind: str) -> np.ndarray:
    return np.array([f"{kind}-{row // 2}" for row in range(count)])


def side(images: np.ndarray, kind: str, asked: int | None = None) -> Side:
    return Side(images, names(len(images), kind), len(images) if asked is None else asked)


def test_smooth_images_are_told_from_rough_ones() -> None:
    rough = noise(40, 0)
    smooth = (rough + np.roll(rough, 1, axis=2) + np.roll(rough, 1, axis=3)) / 3**0.5
    found = two_sample(side(rough, "a"), side(smooth, "a"), QUICK)
    assert (found.images, found.trained_on) == (40, (20.0, 20.0))
    assert found.accuracy.value > 0.9 and found.accuracy.low > 0.8
    assert found.probability[:40].mean() < 0.3 and found.probability[40:].mean() > 0.7


def test_images_of_one_kind_are_not_told_apart() -> None:
    found = two_sample(side(noise(60, 0), "a"), side(noise(60, 1), "b"), QUICK)
    assert found.accuracy.low < 0.5 < found.accuracy.high


def test_the_same_seed_gives_the_same_answers() -> None:
    quick = ClassifierTraining(folds=2, steps=3, batch=4)
    one, again = (two_sample(side(noise(8, 0), "a"), side(noise(8, 1), "b"), quick) for _ in range(2))
    assert np.array_equal(one.probability, again.probability)


def test_no_patient_is_in_two_folds_and_each_fold_has_its_share() -> None:
    groups = np.array([f"p{row // 5}" for row in range(60)] * 2)
    labels = np.repeat([0, 1], 60)
    folds = balanced_folds(groups, labels, 3, seed=0)
    assert all(len(set(folds[groups == name])) == 1 for name in set(groups))
    assert [((folds == fold) & (labels == label)).sum() for fold in range(3) for label in (0, 1)] == [20] * 6


def test_the_network_is_small() -> None:
    assert sum(weight.numel() for weight in Classifier(1).parameters()) < 100_000


def test_further_images_are_trained_on_unless_their_patient_is_asked_about() -> None:
    # 8 asked about in 4 patients and folds of 4; of the 4 further images 2 are of the first patient, 2 of a stranger.
    groups = np.concatenate([names(8, "a"), ["a-0", "a-0", "x", "x"]])
    quick = ClassifierTraining(folds=2, steps=1, batch=4)
    found = two_sample(Side(noise(12, 0), groups, 8), Side(noise(8, 1), names(8, "a"), 8), quick)
    assert (found.images, found.trained_on, len(found.probability)) == (8, (7.0, 4.0), 16)


def test_too_few_patients_and_unequal_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="too few for 2 folds"):
        two_sample(Side(noise(4, 0), np.array(["p"] * 4), 4), Side(noise(4, 1), np.array(["q"] * 4), 4), QUICK)
    with pytest.raises(InputError, match="as many of each"):
        two_sample(side(noise(4, 0), "a"), side(noise(3, 1), "b"), QUICK)
    with pytest.raises(InputError, match="4 images, 4 patients and 5 images"):
        side(noise(4, 0), "a", asked=5)
