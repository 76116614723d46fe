"""Guidance, on numbers that can be checked by hand."""

import numpy as np
import pytest

from cldm_runtime.diffusion.guidance import EVERYWHERE, acts, guidance_faults, guide


def predict(x, timestep):
    return x + 1.0


def predict_both(x, timestep):
    return x + 1.0, x - 1.0


@pytest.mark.parametrize(("weight", "expected"), [(0.0, -1.0), (0.5, 0.0), (1.0, 1.0), (3.0, 5.0)])
def test_the_formula(weight, expected):
    guided = guide(predict, predict_both, weight, EVERYWHERE, 10)
    assert guided(np.zeros(2), 4).tolist() == [expected, expected]  # -1 + weight (1 - -1)


def test_without_guidance_the_prediction_itself_is_given_back():
    assert guide(predict, predict_both, 1.0, EVERYWHERE, 10) is predict


def test_outside_the_interval_the_conditional_prediction_stands_alone():
    guided = guide(predict, predict_both, 3.0, (0.25, 0.75), 5)
    assert [float(guided(np.zeros(1), step)[0]) for step in range(5)] == [1.0, 5.0, 5.0, 5.0, 1.0]


def test_single_precision_stays_single():
    assert guide(predict, predict_both, 2.5, EVERYWHERE, 10)(np.zeros(2, np.float32), 4).dtype == np.float32


@pytest.mark.parametrize("share", [0.07, 0.29, 0.57, 0.58])
def test_both_ends_belong_to_the_interval(share):
    step = round(100 * share)  # 0.29 * 100 is 28.999999999999996
    assert acts(step, (share, 1.0), 101) and acts(step, (0.0, share), 101)
    assert not acts(step - 1, (share, 1.0), 101) and not acts(step + 1, (0.0, share), 101)


def test_the_whole_interval_holds_every_step():
    assert EVERYWHERE == (0.0, 1.0) and acts(1, (1.0, 1.0), 2) and not acts(1, (0.0, 0.9), 2)


def test_a_single_training_step_counts_as_clean():
    assert acts(0, EVERYWHERE, 1) and not acts(0, (0.5, 1.0), 1)


@pytest.mark.parametrize(("weight", "interval", "count"), [
    (0.0, (0.0, 1.0), 0), (7.5, (0.2, 0.8), 0), (-0.1, (0.0, 1.0), 1), (float("nan"), (1.0, 0.0), 2),
    (1.0, (-0.1, 1.0), 1), (1.0, (float("nan"), 1.0), 1)])
def test_each_fault_is_one_line(weight, interval, count):
    assert len(guidance_faults(weight, interval)) == count
