"""Outcomes and figures of label maps that a pencil can count: a frame of wall, a cavity, a lesion of chosen pixels."""

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_trainer.results.validity.outcomes import Truth, compare, figure_names, holds_lesion, terms, values_of

DOMAIN = get_domain("lge")
NAMES = figure_names(DOMAIN)


def ring(lesion: int) -> np.ndarray:
    """(20, 20) map: wall of 192 pixels around a cavity of 64; the first `lesion` wall pixels are lesion."""
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[2:18, 2:18], labels[6:14, 6:14] = 2, 1
    labels.ravel()[np.flatnonzero(labels.ravel() == 2)[:lesion]] = 3
    return labels


def truth_of(maps: np.ndarray, *, outlined: bool = True) -> Truth:
    return Truth(DOMAIN, (1.0, 1.0), DOMAIN.measure(maps).values, maps if outlined else None,
                 holds_lesion(DOMAIN, maps), np.array([f"P{i}" for i in range(len(maps))]))


def figures(found: np.ndarray, truth: Truth) -> dict[str, float]:
    return dict(zip(NAMES, values_of(terms(compare(found, truth), truth).sum(axis=0)), strict=True))


def test_overlap_and_errors_by_hand() -> None:
    truth = truth_of(np.stack([ring(48), ring(96)]))  # sizes 0.25 and 0.5
    found = np.stack([ring(24), ring(96)])  # Dice 2 * 24 / 72 and 1; errors -0.125 and 0
    values = figures(found, truth)
    assert values["dice_infarct"] == pytest.approx((2 / 3 + 1) / 2)
    assert values["dice_myocardium"] == 1.0
    assert values["bias_infarct_size"] == pytest.approx(-0.0625)
    assert values["mae_infarct_size"] == pytest.approx(0.0625)


def test_rates_by_hand() -> None:
    truth = truth_of(np.stack([ring(48), ring(48), ring(0), ring(0), ring(0), ring(0)]))
    values = figures(np.stack([ring(48), ring(0), ring(0), ring(1), ring(10), ring(11)]), truth)
    assert values["missed"] == 0.5
    assert values["false"] == 0.75  # a single pixel counts
    assert values["false_sized"] == 0.25  # of more than 10 pixels
    assert values["dice_infarct"] == 0.5  # the miss counts 0; slices without the lesion do not count


def test_without_outlines_nothing_overlaps_but_attributes_are_compared() -> None:
    values = figures(ring(24)[None], truth_of(ring(48)[None], outlined=False))
    assert np.isnan(values["dice_infarct"]) and values["mae_infarct_size"] == pytest.approx(0.125)
    assert np.isnan(values["false"])  # no slice without the lesion


def test_a_lesion_that_is_found_where_there_is_none_is_no_error_of_its_size() -> None:
    values = figures(np.stack([ring(48), ring(48)]), truth_of(np.stack([ring(48), ring(0)])))
    assert values["bias_infarct_size"] == 0.0 and values["false"] == 1.0
