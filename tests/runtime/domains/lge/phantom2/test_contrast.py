"""The magnetisation of a level, by numbers that can be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.contrast import Unevenness, gaussian_field, magnetisation, recovered
from cldm_runtime.domains.lge.phantom2.protocol import ScanProtocol, null_ms
from cldm_runtime.domains.lge.phantom2.tissue import BodyTissue, SliceAnatomy
from cldm_runtime.noise import Purpose, Stream

FLAT = Unevenness(np.zeros((8, 8)), np.zeros((8, 8)))


def level(tissue: BodyTissue, viable: float = 0.0) -> SliceAnatomy:
    field = np.zeros((8, 8))
    return SliceAnatomy(np.full((8, 8), tissue, np.uint8), field.astype(np.uint8), field, field + viable, field, 28.0)


@pytest.fixture
def protocol():
    """Blood 400 ms, wall 500, infarct 380; TI = 500 ln 2, TR infinite; densities 1."""
    drawn = ScanProtocol.draw(Stream(0, 0, Purpose.PROTOCOL), acute=False)
    t1, density = drawn.t1.copy(), np.ones_like(drawn.density)
    t1[[BodyTissue.BLOOD, BodyTissue.MYOCARDIUM, BodyTissue.INFARCT]] = 400.0, 500.0, 380.0
    return replace(drawn, t1=t1, density=density, inversion_ms=500.0 * np.log(2.0), repetition_ms=1e9, drift=-0.05)


def test_the_wall_is_nulled_at_the_middle_of_the_stack(protocol):
    assert null_ms(500.0, 1e9) == pytest.approx(protocol.inversion_ms)
    assert magnetisation(level(BodyTissue.MYOCARDIUM), protocol, FLAT, 0.5) == pytest.approx(0.0, abs=1e-12)


def test_blood_has_what_the_equation_gives(protocol):
    expected = 1.0 - 2.0 * 2.0 ** (-500.0 / 400.0)
    assert magnetisation(level(BodyTissue.BLOOD), protocol, FLAT, 0.5)[0, 0] == pytest.approx(expected)
    assert recovered(np.array([400.0]), protocol)[0] == pytest.approx(expected)


def test_the_agent_washes_out_towards_the_apex_which_is_imaged_last(protocol):
    """T1 of the wall is 512.5 ms at z = 0 and 487.5 ms at z = 1; fat holds no agent."""
    apex, base = (magnetisation(level(BodyTissue.MYOCARDIUM), protocol, FLAT, z)[0, 0] for z in (0.0, 1.0))
    assert apex == pytest.approx(1 - 2 * 2 ** (-500 / 512.5)) and base == pytest.approx(1 - 2 * 2 ** (-500 / 487.5))
    fat = [magnetisation(level(BodyTissue.VISCERAL_FAT), protocol, FLAT, z)[0, 0] for z in (0.0, 1.0)]
    assert fat[0] == fat[1]


def test_scar_with_half_viable_muscle_lies_in_the_middle(protocol):
    dense, half, none = (magnetisation(level(BodyTissue.INFARCT, share), protocol, FLAT, 0.5)[0, 0]
                         for share in (0.0, 0.5, 1.0))
    assert dense == pytest.approx(1 - 2 * 2 ** (-500 / 380)) and none == pytest.approx(0.0, abs=1e-12)
    assert half == pytest.approx(dense / 2)


def test_muscle_is_three_times_as_uneven_as_blood(protocol):
    uneven = Unevenness(np.full((8, 8), 0.1), np.zeros((8, 8)))
    given = replace(protocol, unevenness=(0.3, 0.0))
    wall, blood = (magnetisation(level(tissue), given, uneven, 0.5)[0, 0]
                   for tissue in (BodyTissue.MYOCARDIUM, BodyTissue.BLOOD))
    assert wall == pytest.approx(1 - 2 * 2 ** (-1 / 1.03)) and blood == pytest.approx(1 - 2 * 2 ** (-1.25 / 1.01))


def test_a_field_decorrelates_to_1_over_e_at_its_grain():
    field = gaussian_field(Stream(0, 0, Purpose.ACQUISITION), 256, 4.0)
    assert (field.mean(), field.std()) == pytest.approx((0, 1), abs=1e-9)
    assert (field * np.roll(field, 4, axis=1)).mean() == pytest.approx(np.exp(-1), abs=0.08)
