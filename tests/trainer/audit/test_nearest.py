"""Neighbours of planted copies and of fresh slices, and the rule that tells them apart."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.audit.images import ImageRows, levelled, standardised, symmetries, turned
from cldm_trainer.audit.memorisation import judge
from cldm_trainer.audit.nearest import FeatureSpace, Neighbours, PixelSpace, nearest

SIDE = 24


def slices(patients: int, seed: int) -> np.ndarray:
    """(3 * patients, 1, SIDE, SIDE): three slices a patient, smooth, alike within a patient."""
    random = np.random.default_rng(seed)
    coarse = np.repeat(random.random((patients, 6, 6)), 3, axis=0) + 0.3 * random.random((3 * patients, 6, 6))
    fine = np.kron(coarse, np.ones((4, 4))) + 0.05 * random.standard_normal((3 * patients, SIDE, SIDE))
    return np.clip(fine / 1.5, 0, 1)[:, None]


def stored(path: Path, images: np.ndarray, name: str | None) -> ImageRows:
    spec = DatasetSpec(get_domain("lge"), images.shape[2:], (1.0, 1.0), images.shape[1])
    with create_dataset(path, spec) as writer:
        writer.append(images=images)
    patients = None if name is None else np.array([f"{name}-{row // 3}" for row in range(len(images))])
    return ImageRows(path, np.arange(len(images)), patients)


def features(images: np.ndarray) -> np.ndarray:
    """(n, F) means of 3x3 blocks: what a network with a small stride might say."""
    n, _, height, width = images.shape
    return images.reshape(n, height // 3, 3, width // 3, 3).mean(axis=(2, 4)).reshape(n, -1)


@pytest.fixture
def training(tmp_path: Path) -> ImageRows:
    return stored(tmp_path / "train.h5", slices(100, 0), "train")  # 300 slices: more than a block


def planted(training: ImageRows) -> np.ndarray:
    """Training slices 7 and 280, turned and mirrored, a little noisy, and rescaled in intensity."""
    images, random = training.take(np.array([7, 280])), np.random.default_rng(9)
    copies = np.stack([turned(images[0], 1), turned(images[1], 6)])
    return np.clip(0.6 * copies + 0.2 + 0.01 * random.standard_normal(copies.shape), 0, 1)


def test_the_symmetries_are_eight_and_each_has_its_inverse_among_them() -> None:
    image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    made = [turned(image, number) for number in symmetries(image.shape)]
    assert len({one.tobytes() for one in made}) == 8
    assert all(any((turned(one, number) == image).all() for number in range(8)) for one in made)
    assert [turned(np.zeros((1, 1, 2, 3)), number).shape for number in symmetries((2, 3))] == [(1, 1, 2, 3)] * 4


def test_levelling_puts_the_percentiles_at_black_and_white() -> None:
    image = np.arange(101, dtype=np.float32).reshape(1, 1, 1, 101) / 500 + 0.3
    found = levelled(image, (10.0, 90.0))
    assert found[0, 0, 0, [0, 10, 50, 90, 100]] == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-5)
    assert levelled(found, (10.0, 90.0)) == pytest.approx(found, abs=2e-5)
    assert (levelled(np.ones((1, 1, 2, 2)), (10.0, 90.0)) == 0).all()


def test_levelling_leaves_padding_out_of_the_percentiles() -> None:
    image = np.arange(1, 101, dtype=np.float32).reshape(1, 1, 10, 10)
    padded = np.pad(image, ((0, 0), (0, 0), (3, 0), (0, 2)))
    found = levelled(padded, (0.5, 99.5))
    assert (found[..., 3:, :10] == levelled(image, (0.5, 99.5))).all() and found[..., :3, :].max() == 0


def test_levelling_without_percentiles_clips_and_rounds_to_16_bits() -> None:
    found = levelled(np.array([-1.0, 0.1, 2.0]).reshape(1, 1, 1, 3), None)
    assert found.ravel() == pytest.approx([0, 6554 / 65535, 1])


def test_standardising_takes_brightness_and_contrast_away() -> None:
    image = slices(1, 0)[:1]
    assert standardised(3 * image + 1) == pytest.approx(standardised(image), abs=1e-5)
    assert not standardised(np.ones((1, 1, 4, 4))).any()


def test_neighbours_are_those_of_brute_force(training: ImageRows, tmp_path: Path) -> None:
    queries = stored(tmp_path / "queries.h5", slices(2, 1), None)
    found = nearest(PixelSpace(training), queries, training)
    names = training.groups("training")
    flat = training.take(slice(None)).reshape(len(training), -1)
    for number, image in enumerate(queries.take(slice(None))):
        d = np.stack([1 - np.corrcoef(turned(image, s).ravel(), flat)[0, 1:] for s in range(8)])
        position = d.min(axis=0).argmin()
        assert (found.position[number], found.symmetry[number]) == (position, d[:, position].argmin())
        assert found.distance[number] == pytest.approx(d.min(), abs=1e-5)
        assert found.other[number] == pytest.approx(d[:, names != names[position]].min(), abs=1e-5)


@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_a_planted_copy_is_found_and_fresh_slices_are_not(kind: str, training: ImageRows, tmp_path: Path) -> None:
    space = PixelSpace(training) if kind == "pixels" else FeatureSpace(training, features)
    held_out = stored(tmp_path / "held-out.h5", slices(40, 1), "held-out")
    synthetic = stored(tmp_path / "synthetic.h5", np.concatenate([planted(training), slices(20, 2)]), None)
    found = nearest(space, synthetic, training)
    verdict = judge(found, nearest(space, held_out, training))
    assert verdict.copies[:2].all() and verdict.copies[2:].sum() <= 1  # of 60: the rule itself allows 1 in 100
    assert 2 * verdict.severity[:2].max() < verdict.severity[2:].min()
    assert found.position[:2].tolist() == [7, 280]
    aligned = turned(synthetic.take(np.array([0])), int(found.symmetry[0]))
    assert standardised(aligned) == pytest.approx(standardised(training.take(np.array([7]))), abs=0.5)
    assert verdict.rate.value == pytest.approx(verdict.copies.mean()) and verdict.rate.low > 0
    assert verdict.held_out_rate.value <= 2 / 120


def test_a_copy_must_be_both_near_and_near_to_one_patient_only() -> None:
    zero = np.zeros(100, dtype=np.int64)
    held_out = Neighbours(zero, zero, np.linspace(0.5, 0.9, 100), np.linspace(0.6, 1.0, 100))
    four = zero[:4]
    found = Neighbours(four, four, np.array([0.1, 0.1, 0.6, 0.6]), np.array([0.9, 0.11, 0.9, 0.61]))
    assert judge(found, held_out).copies.tolist() == [True, False, False, False]


def test_copy_rates_are_drawn_by_patient() -> None:
    """Two patients, of whom one gave all the copies."""
    zero = np.zeros(100, dtype=np.int64)
    held_out = Neighbours(zero, zero, np.linspace(0.5, 0.9, 100), np.linspace(0.6, 1.0, 100))
    found = Neighbours(zero[:20], zero[:20], np.repeat([0.1, 0.6], 10), np.full(20, 0.9))
    verdict = judge(found, held_out, patients=(np.repeat(["a", "b"], 10), np.repeat(["c", "d"], 50)))
    assert (verdict.rate.value, verdict.rate.low, verdict.rate.high) == (0.5, 0.0, 1.0)
    assert judge(found, held_out).rate.low > 0.25  # of twenty independent images


def test_a_slice_that_is_alike_everybody_has_the_ratio_1() -> None:
    zero = np.zeros(1, dtype=np.int64)
    assert Neighbours(zero, zero, np.zeros(1), np.zeros(1)).ratio.tolist() == [1.0]


def test_one_training_patient_tells_nothing(training: ImageRows) -> None:
    alone = training.chosen(np.arange(3))
    with pytest.raises(InputError, match="of one patient"):
        nearest(PixelSpace(alone), training, alone)


def test_a_quantile_outside_its_range_is_refused() -> None:
    zero = np.zeros(1, dtype=np.int64)
    with pytest.raises(InputError, match="quantile = 1"):
        judge(*[Neighbours(zero, zero, np.ones(1), np.ones(1))] * 2, quantile=1.0)
