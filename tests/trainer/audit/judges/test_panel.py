"""The panel and its judges on constructed images: each finds the defect of its kind, none finds what is not there."""

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.features import Extractor
from cldm_trainer.audit.judges.features import FeatureJudge
from cldm_trainer.audit.judges.judge import Judge, Judged
from cldm_trainer.audit.judges.networks import NetworkTraining, high_pass_judge, pooling_judge
from cldm_trainer.audit.judges.panel import PanelOptions, TwoClasses, best, judge_all
from cldm_trainer.audit.judges.spectrum import SpectrumJudge, radial_spectrum
from cldm_trainer.audit.judges.texture import TextureJudge, binary_patterns, co_occurrence
from cldm_trainer.audit.judges.zones import ZoneJudge

COUNT, SIZE = 48, 32
NAMES = ("background", "disc", "spot")
PATIENTS = np.array([f"patient-{row // 2}" for row in range(COUNT)])
ONCE = PanelOptions(folds=2, seeds=1)
QUICK = NetworkTraining(steps=60, batch=16, learning_rate=5e-3)


def label_map() -> np.ndarray:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[8:24, 8:24], labels[9:15, 9:15] = 1, 2
    return labels


LABELS = np.repeat(label_map()[None], COUNT, axis=0)


def images(seed: int, noise: float = 0.03) -> np.ndarray:
    """Smooth random anatomy with a grey for each label and white noise."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal((COUNT, SIZE, SIZE)), (0, 3, 3))
    grey = np.array([0.3, 0.5, 0.7])[LABELS] + 0.05 * random.standard_normal((COUNT, 1, 1))
    return (grey + 0.3 * smooth + noise * random.standard_normal((COUNT, SIZE, SIZE)))[:, None].astype(np.float32)


def judged(pictures: np.ndarray) -> Judged:
    return Judged(pictures, LABELS, NAMES, (1.0, 1.0))


def accuracy(judge: Judge, one: np.ndarray) -> float:
    (found,) = judge_all(TwoClasses(judged(images(0)), judged(one), PATIENTS, PATIENTS), [judge], ONCE)
    assert found.accuracy is not None
    return found.accuracy.value


class Means(Extractor):
    """Four features: the mean grey of each quarter of the image."""

    name, sha256 = "quarters", "0" * 64

    def __call__(self, pictures: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
        half = SIZE // 2
        return pictures.reshape(-1, 2, half, 2, half).mean(axis=(2, 4)).reshape(-1, 4).astype(np.float32)


def every_judge() -> list[Judge]:
    return [SpectrumJudge(), TextureJudge(), ZoneJudge(), FeatureJudge(Means()), high_pass_judge(QUICK),
            pooling_judge(QUICK)]


def test_blur_is_found_by_the_spectrum() -> None:
    assert accuracy(SpectrumJudge(), ndimage.gaussian_filter(images(1), (0, 0, 0.5, 0.5))) > 0.9


def test_a_brighter_lesion_is_found_by_the_zones() -> None:
    brighter = images(1) + 0.15 * (LABELS == 2)[:, None]
    assert accuracy(ZoneJudge(), brighter) > 0.9


def test_hatching_is_found_by_the_texture() -> None:
    hatched = images(1) + 0.02 * (-1.0) ** np.arange(SIZE)
    assert accuracy(TextureJudge(), hatched) > 0.9


def test_noise_of_one_level_is_found_where_its_mean_is_right() -> None:
    random = np.random.default_rng(2)
    level = random.uniform(0.0, 0.06, (COUNT, 1, 1, 1))  # half the images have less noise than 0.03, half have more
    varied = (images(0, noise=0.0) + level * random.standard_normal((COUNT, 1, SIZE, SIZE))).astype(np.float32)
    (found,) = judge_all(TwoClasses(judged(varied), judged(images(1)), PATIENTS, PATIENTS), [ZoneJudge()], ONCE)
    assert found.accuracy is not None and found.accuracy.value > 0.75


def test_shifted_features_are_found() -> None:
    assert accuracy(FeatureJudge(Means()), images(1) + 0.2) > 0.9


@pytest.mark.parametrize("judge", [high_pass_judge(QUICK), pooling_judge(QUICK)], ids=lambda judge: judge.name)
def test_networks_find_noise_of_another_strength(judge: Judge) -> None:
    assert accuracy(judge, images(1, noise=0.12)) > 0.9


def test_nothing_is_found_where_there_is_nothing() -> None:
    comparison = TwoClasses(judged(images(0)), judged(images(1)), PATIENTS, PATIENTS)
    for result in judge_all(comparison, every_judge(), PanelOptions(folds=2, seeds=2)):
        assert result.accuracy is not None
        assert result.accuracy.low - 0.05 < 0.5 < result.accuracy.high + 0.05, result.name


def test_the_best_judge_is_the_figure_and_one_without_label_maps_is_left_out() -> None:
    bare = Judged(images(1) + 0.2, None, NAMES, (1.0, 1.0))
    comparison = TwoClasses(Judged(images(0), None, NAMES, (1.0, 1.0)), bare, PATIENTS, PATIENTS)
    results = judge_all(comparison, [ZoneJudge(), SpectrumJudge(), FeatureJudge(Means())], ONCE)
    assert results[0].accuracy is None and best(results).name == "network features"
    with pytest.raises(InputError, match="none of them can judge"):
        best(results[:1])


def test_a_judge_never_saw_the_patient_that_it_decides_on() -> None:
    class Memory:
        """Recognises the images of class 1 that it has seen, and calls all others 0."""

        name = looks_at = "memory"

        def describe(self, given: Judged) -> np.ndarray:
            return given.images.reshape(len(given.images), -1)

        def decide(self, seen: np.ndarray, classes: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
            known = {row.tobytes() for row, label in zip(seen, classes, strict=True) if label}
            return np.array([float(row.tobytes() in known) for row in tested])

    twice = np.repeat(images(1)[::2], 2, axis=0)  # both images of a patient are the same
    (found,) = judge_all(TwoClasses(judged(images(0)), judged(twice), PATIENTS, PATIENTS), [Memory()], ONCE)
    assert found.accuracy is not None and found.accuracy.value == 0.5


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="expected as many of each"):
        TwoClasses(judged(images(0)), judged(images(1)[:4]), PATIENTS, PATIENTS)


def test_the_spectrum_of_a_wave_is_in_its_bin() -> None:
    wave = np.tile(np.cos(2 * np.pi * 5 * np.arange(SIZE) / SIZE), (SIZE, 1))[None, None].astype(np.float32)
    assert radial_spectrum(wave).shape == (1, SIZE // 2 - 1)
    assert radial_spectrum(wave)[0].argmax() == 4  # bin 0 holds one period


def test_texture_of_a_board_and_of_one_grey() -> None:
    board = np.indices((SIZE, SIZE)).sum(axis=0) % 2 * 0.5
    even = co_occurrence(np.full((SIZE, SIZE), 0.5))
    assert even[0] == 0.0 and co_occurrence(board)[0] == pytest.approx(16**2 / 2)  # one angle pair of two differs
    assert binary_patterns(board).sum() == pytest.approx(2.0)  # shares of two kinds of pattern
