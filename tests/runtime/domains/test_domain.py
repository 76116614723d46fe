"""What a domain says about itself, and which shapes it measures."""

import dataclasses

import numpy as np
import pytest

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.registry import get_domain, measure
from cldm_runtime.errors import InputError, UnknownName

LGE = get_domain("lge")


def without_anatomy() -> Domain:
    return dataclasses.replace(LGE, anatomy=None)


def test_reasons_of_a_domain_stand_between_the_common_ones() -> None:
    assert LGE.reason_names == {0: "measured", 1: "no_infarct", 2: "no_wall", 3: "no_endocardium", 4: "needs_stack",
                                200: "free_class"}


def test_a_domain_cannot_redefine_the_common_reasons() -> None:
    with pytest.raises(InputError, match=r"reasons \[4\] are common"):
        dataclasses.replace(LGE, reasons={4: "no_organ"})


def test_a_domain_without_anatomy_asks_for_masks() -> None:
    with pytest.raises(InputError, match=r"draws no label maps.*--masks"):
        without_anatomy().require_anatomy()


def test_one_map_is_one_sample_and_a_batch_is_many() -> None:
    assert measure(np.zeros((8, 8), np.uint8)).values.shape == (1, 4)
    assert measure(np.zeros((3, 8, 8), np.uint8)).values.shape == (3, 4)


@pytest.mark.parametrize("shape", [(8,), (2, 3, 8, 8)])
def test_other_shapes_are_refused_with_those_expected(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"one map \(height, width\) or a batch \(N, height, width\)"):
        measure(np.zeros(shape, np.uint8))


def test_a_measurement_is_read_by_name() -> None:
    measured = measure([[0] * 8] * 8)
    assert list(measured) == list(dict(measured)) == list(LGE.attribute_names)
    assert dict(measured)["infarct_size"].shape == (1,)
    with pytest.raises(UnknownName, match=r"attribute 'size' was not measured\. Known: infarct_size, ") as error:
        measured["size"]
    assert isinstance(error.value, KeyError) and str(error.value).startswith("attribute")
