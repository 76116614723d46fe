"""Distances are checked by hand geometry, by brute force, and against MedPy and surface-distance where they agree."""

import math

import numpy as np
import pytest

from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.errors import InputError
from cldm_runtime.metrics.overlap import (
    METRICS,
    ScoreReason,
    score,
    score_names,
    score_pair,
    spread,
    summarise,
    surface,
    surface_distances,
)

ONE = LabelSet(("background", "thing"), {"thing": (1,)}, ((0, 0, 0), (255, 0, 0)))


def square(top, left, side, shape=(32, 32)):
    mask = np.zeros(shape, dtype=bool)
    mask[top:top + side, left:left + side] = True
    return mask


def blobs(seed, shape=(24, 20)):
    """Two ragged masks that overlap in part."""
    random = np.random.default_rng(seed)
    grid = np.indices(shape).astype(float)
    centre = np.array(shape).reshape(-1, *([1] * len(shape))) / 2
    radius = np.sqrt(((grid - centre) ** 2).sum(0))
    return (radius + random.normal(0, 1.5, shape) < 6), (radius + random.normal(0, 1.5, shape) < 7)


def brute_force(a, b, spacing):
    """Every pair of surface pixels, found by looking at every neighbour."""

    def points(mask):
        padded = np.pad(mask, 1)
        inside = [np.roll(padded, shift, axis) for axis in range(mask.ndim) for shift in (1, -1)]
        edge = padded & ~np.logical_and.reduce(inside)
        return (np.argwhere(edge) - 1) * np.array(spacing)

    gaps = np.linalg.norm(points(a)[:, None] - points(b)[None], axis=-1)
    return gaps.min(1), gaps.min(0)


def test_identical_masks_have_dice_one_and_no_distance():
    values, reasons = score_pair(square(4, 4, 8), square(4, 4, 8), (1.0, 1.0))
    assert values == (1.0, 0.0, 0.0, 0.0)
    assert reasons == (ScoreReason.MEASURED,) * 4


def test_shifted_square_by_hand():
    # 8x8 squares, one moved 2 columns of 1.5 mm: overlap 8*6; the farthest pixels lie 2 columns away.
    (dice, hd, _, _), _ = score_pair(square(4, 4, 8), square(4, 6, 8), (1.0, 1.5))
    assert dice == pytest.approx(2 * 48 / 128)
    assert hd == pytest.approx(3.0)


def test_concentric_squares_by_hand():
    # Sides 4 and 10, margin 3. Outer corner to inner corner: 3 sqrt 2.
    (dice, hd, _, _), _ = score_pair(square(9, 9, 4), square(6, 6, 10), (1.0, 1.0))
    assert dice == pytest.approx(2 * 16 / 116)
    assert hd == pytest.approx(3 * math.sqrt(2))


def test_hd95_is_the_larger_directed_percentile():
    # One pixel against a row of 21: directed distances are {0} and {0, ..., 20}, with 95th percentiles 0 and 19.
    line, dot = np.zeros((5, 30), bool), np.zeros((5, 30), bool)
    line[2, 3:24], dot[2, 3] = True, True
    (_, hd, hd95, assd), _ = score_pair(dot, line, (1.0, 1.0))
    assert (hd, hd95) == (20.0, pytest.approx(19.0))
    assert assd == pytest.approx(210 / 22)


def test_the_edge_of_the_image_is_a_surface():
    full = np.ones((3, 3), bool)
    assert surface(full).sum() == 8


def test_spacing_scales_distances_only():
    a, b = blobs(0)
    (dice_1, *one), _ = score_pair(a, b, (1.0, 1.0))
    (dice_2, *two), _ = score_pair(a, b, (2.5, 2.5))
    assert dice_1 == dice_2
    assert np.allclose(np.array(two), 2.5 * np.array(one))


@pytest.mark.parametrize(("shape", "spacing"), [((24, 20), (1.0, 1.0)), ((24, 20), (0.7, 1.9)),
                                                ((16, 16, 12), (1.2, 1.2, 5.0))])
@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_brute_force(seed, shape, spacing):
    a, b = blobs(seed, shape)
    for found, expected in zip(surface_distances(a, b, spacing), brute_force(a, b, spacing), strict=True):
        assert np.allclose(np.sort(found), np.sort(expected))


@pytest.mark.parametrize(("shape", "spacing"), [((24, 20), (0.7, 1.9)), ((10, 16, 12), (5.0, 0.7, 1.9))])
@pytest.mark.parametrize("seed", range(4))
def test_against_medpy(seed, shape, spacing):
    binary = pytest.importorskip("medpy.metric.binary")
    (dice, hd, hd95, assd), _ = score_pair(*(pair := blobs(seed, shape)), spacing)
    directed = getattr(binary, "__surface_distances")
    there, back = directed(pair[0], pair[1], spacing, 1), directed(pair[1], pair[0], spacing, 1)
    assert dice == pytest.approx(binary.dc(*pair))
    assert hd == pytest.approx(binary.hd(*pair, spacing))
    assert assd == pytest.approx(binary.assd(*pair, spacing))
    # MedPy pools both directions before the percentile; we take the larger of the two directed ones.
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert binary.hd95(*pair, spacing) == pytest.approx(np.percentile(np.hstack([there, back]), 95))


@pytest.mark.parametrize(("a", "b"), [(square(9, 9, 4), square(6, 6, 10)), (square(4, 4, 8), square(4, 6, 8))])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the package imports a moved scipy name
def test_against_surface_distance(a, b):
    # Its surface lies between the pixels; for axis-parallel boxes the largest distance is the same.
    reference = pytest.importorskip("surface_distance")
    distances = reference.compute_surface_distances(a, b, (1.0, 1.0))
    assert score_pair(a, b, (1.0, 1.0))[0][1] == pytest.approx(reference.compute_robust_hausdorff(distances, 100))


def test_empty_masks_are_nan_with_a_reason_never_zero_distance():
    empty, full = np.zeros((8, 8), bool), square(2, 2, 3, (8, 8))
    values, reasons = score_pair(empty, empty, (1.0, 1.0))
    assert np.isnan(values).all() and set(reasons) == {ScoreReason.BOTH_EMPTY}
    values, reasons = score_pair(full, empty, (1.0, 1.0))
    assert values[0] == 0 and np.isnan(values[1:]).all() and reasons[1] == ScoreReason.REFERENCE_EMPTY
    values, reasons = score_pair(empty, full, (1.0, 1.0))
    assert values[0] == 0 and np.isnan(values[1:]).all() and reasons[1] == ScoreReason.PREDICTION_EMPTY


def test_summary_counts_and_means():
    empty, full = np.zeros((8, 8), np.uint8), square(2, 2, 3, (8, 8)).astype(np.uint8)
    prediction, reference = np.stack([full, full, empty, empty]), np.stack([full, empty, full, empty])
    (summary,) = summarise(score(prediction, reference, ONE, (1.0, 1.0)))
    assert (summary.n, summary.n_empty_reference, summary.n_empty_prediction) == (4, 2, 2)
    assert (summary.n_both_empty, summary.n_false, summary.n_missed, summary.false_rate) == (1, 1, 1, 0.5)
    assert (summary.dice.n, summary.dice.mean) == (2, 0.5)  # perfect, missed
    assert (summary.dice_with_absence.n, summary.dice_with_absence.mean) == (4, 0.5)  # 1, 0, 0, 1
    assert (summary.hd_mm.n, summary.hd_mm.mean) == (1, 0.0)


def test_columns_are_named_by_region_and_unit():
    scores = score(np.ones((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8), ONE, (1.0, 1.0))
    assert scores.names == score_names(ONE) == ("thing_dice", "thing_hd_mm", "thing_hd95_mm", "thing_assd_mm")
    assert scores.units == tuple(METRICS.values())
    assert scores["thing_dice"][0] == 1


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="same grid"):
        score(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 5), np.uint8), ONE, (1.0, 1.0))
    with pytest.raises(InputError, match="one spacing"):
        score(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8), ONE, (1.0,))


def test_spread_of_nothing_is_nan():
    found = spread(np.array([np.nan], np.float32))
    assert found.n == 0 and math.isnan(found.mean)
