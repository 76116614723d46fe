"""Figures of images whose greys are known."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_trainer.audit.zone_figures import measured_zones, zone_figures
from onnx_fixtures import GREYS
from phantom_fixtures import rings

LGE = get_domain("lge")


def test_means_and_contrast_are_those_that_were_painted() -> None:
    labels = rings()[:1]
    found = zone_figures(GREYS[labels][:, None], labels, LGE, (1.0, 1.0))
    assert found["mean of lv_cavity"] == pytest.approx(GREYS[1]) and found["background"] == pytest.approx(GREYS[0])
    assert found["infarct minus lv_cavity"] == pytest.approx(GREYS[3] - GREYS[1])
    assert found["infarct minus healthy_myocardium"] == pytest.approx(GREYS[3] - GREYS[2])
    assert set(found) == {"mean of lv_cavity", "mean of healthy_myocardium", "mean of infarct", "noise", "background",
                          "infarct minus lv_cavity", "infarct minus healthy_myocardium"}


def test_a_map_without_the_lesion_has_no_figure_of_it() -> None:
    labels = np.where(rings()[:1] == 3, 2, rings()[:1])
    found = zone_figures(GREYS[labels][:, None], labels, LGE, (1.0, 1.0))
    assert np.isnan(found["mean of infarct"]).all() and np.isnan(found["infarct minus lv_cavity"]).all()


def test_other_labels_are_measured_away_from_the_lesion() -> None:
    row = np.array([[1, 1, 1, 1, 1, 1, 3, 3, 3]] * 9, np.uint8)
    zones = measured_zones(row, LGE, (1.0, 1.0))
    assert zones["lv_cavity"][4].tolist() == [True] * 4 + [False] * 5  # the lesion begins 3 mm right of the fourth
    assert zones["infarct"][4].tolist() == [False] * 7 + [True] * 2


def test_channels_and_domains_without_a_lesion() -> None:
    labels = rings()[:1]
    two = np.stack([GREYS[labels], 2 * GREYS[labels]], axis=1)
    found = zone_figures(two, labels, replace(LGE, lesion=None, lesion_size=None), (1.0, 1.0))
    assert found["mean of infarct, channel 1"] == pytest.approx(2 * found["mean of infarct, channel 0"])
    assert not [name for name in found if "minus" in name]
