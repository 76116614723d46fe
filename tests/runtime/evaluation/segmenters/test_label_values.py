"""From foreign label values to those of a domain."""

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.label_values import lacking, translated, value_table

LABELS = get_domain("lge").labels
ACDC = {"1": "background", "2": "healthy_myocardium", "3": "lv_cavity"}  # 1 is a right ventricle


def test_a_label_that_the_domain_lacks_becomes_background() -> None:
    table = value_table(ACDC, LABELS, "here")
    assert translated(np.array([[0, 1], [2, 3]]), table, "here").tolist() == [[0, 0], [2, 1]]
    assert lacking(table, LABELS) == ["infarct"]


def test_without_meanings_values_are_those_of_the_domain() -> None:
    table = value_table({}, LABELS, "here")
    assert translated(np.arange(5)[None], table, "here").tolist() == [[0, 1, 2, 3, 4]] and not lacking(table, LABELS)


def test_whole_numbers_in_floats_are_labels_and_others_are_not() -> None:
    table = value_table({}, LABELS, "here")
    assert translated(np.array([[1.0, 3.0]]), table, "here").dtype == np.uint8
    for wrong in ([[0.5]], [[np.nan]]):
        with pytest.raises(InputError, match="here: gave float64, expected label maps of whole numbers"):
            translated(np.array(wrong), table, "here")


@pytest.mark.parametrize("value", [4, 255, 256, -1, -256, 70000])
def test_a_value_without_a_meaning_is_named(value: int) -> None:
    with pytest.raises(InputError, match=rf"gave the values \[{value}\], expected \[0, 1, 2, 3\]"):
        translated(np.array([[0, value]]), value_table(ACDC, LABELS, "here"), "here")


def test_a_name_that_the_domain_lacks_is_an_error_with_advice() -> None:
    with pytest.raises(InputError, match=r"names rv, which the domain lacks.*Map a label that it lacks to background"):
        value_table({"1": "rv"}, LABELS, "here")
