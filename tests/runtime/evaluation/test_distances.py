"""Distances at equal sizes against scipy and brute force, and the floor of the real set."""

import itertools
import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.distances import distances, feature_distances, halves_by_group
from cldm_runtime.metrics.realism import frechet_distance, kernel_distance


def normal(count: int, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_frechet_is_that_of_scipys_matrix_root() -> None:
    a, b = normal(60) @ normal(4, seed=2), normal(50, seed=1) + 0.3
    one, two = np.cov(a.astype(float), rowvar=False), np.cov(b.astype(float), rowvar=False)
    gap = a.mean(0, dtype=float) - b.mean(0, dtype=float)
    expected = gap @ gap + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_is_the_u_statistic() -> None:
    x, y = normal(6).astype(float), normal(5, seed=1).astype(float)

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return float((p @ q / 4 + 1) ** 3)

    def within(z: np.ndarray) -> float:
        return float(np.mean([k(p, q) for p, q in itertools.permutations(z, 2)]))

    expected = within(x) + within(y) - 2 * np.mean([k(p, q) for p in x for q in y])
    assert kernel_distance(x, y) == pytest.approx(expected)


def test_every_comparison_holds_the_same_number_of_samples() -> None:
    found = feature_distances(normal(101), normal(30, seed=1))
    assert (found["n"], found["kernel_n"], found["repeats"]) == (30, 30, 10)
    assert feature_distances(normal(101), normal(300, seed=1))["n"] == 50


def test_the_same_distribution_is_at_its_floor_and_a_shifted_one_far_above() -> None:
    real, same = normal(400), normal(200, seed=1)
    found, moved = feature_distances(real, same), feature_distances(real, same + 1)
    assert found["frechet"] == pytest.approx(found["floor_frechet"], rel=0.5)
    assert abs(found["kernel"]) < 5 * found["kernel_sd"]
    assert moved["frechet"] == pytest.approx(4, abs=1) and moved["kernel"] > 10 * moved["kernel_sd"]
    assert moved["floor_kernel"] == found["floor_kernel"]


def test_halves_are_of_whole_patients() -> None:
    # Two patients who differ by 10: the halves are one of them each, so the floor is 100 + something small.
    real = np.concatenate([normal(40, 1), normal(40, 1, seed=1) + 10])
    names = np.repeat(["a", "b"], 40)
    assert feature_distances(real, real, patients=names)["floor_frechet"] == pytest.approx(100, rel=0.1)
    assert feature_distances(real, real)["floor_frechet"] < 10


def test_draws_follow_from_the_seed() -> None:
    real, made = normal(40), normal(20, seed=1)
    assert feature_distances(real, made, seed=1) == feature_distances(real, made, seed=1)
    assert feature_distances(real, made, seed=1) != feature_distances(real, made, seed=2)
    assert math.isnan(feature_distances(real, made, repeats=1)["kernel_sd"])


def test_images_go_through_the_extractor() -> None:
    class Means:
        name, sha256 = "means", "0" * 64

        def __call__(self, images: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
            return images.mean(axis=(1, 3)).astype(np.float32)

    real, made = normal(40).reshape(40, 1, 4, 1), normal(20, seed=1).reshape(20, 1, 4, 1)
    assert distances(real, made, Means()) == feature_distances(normal(40), normal(20, seed=1))


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="3 slices of 3 patients and 5 synthetic ones leave n = 1"):
        feature_distances(normal(3), normal(5))
    with pytest.raises(InputError, match="repeats = 0"):
        feature_distances(normal(9), normal(5), repeats=0)
    with pytest.raises(InputError, match="2 patients are named for 9 slices"):
        feature_distances(normal(9), normal(5), patients=np.array(["a", "b"]))


def test_halves_keep_groups_whole_and_are_even():
    groups = np.array([0, 1, 1, 2, 2, 2, 3])
    half = halves_by_group(groups, np.random.default_rng(0))
    assert all(len(set(half[groups == group])) == 1 for group in range(4))
    assert sorted(np.bincount(half)) == [3, 4]
