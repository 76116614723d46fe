"""Classes that are left free: what stands in their place, and what is unknown then."""

from itertools import combinations, product

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.free_classes import (
    closed,
    closing,
    is_region_known,
    kept_classes,
    kept_of,
    names_of,
    unknown_attributes,
    without_unknown,
)
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError

LGE = get_domain("lge")
CAVITY, WALL, INFARCT, MVO = LGE.labels.names[1:]
EVERY = [names for size in range(5) for names in combinations(LGE.labels.names[1:], size)]


@pytest.mark.parametrize(("names", "targets"), [
    ((CAVITY, WALL, INFARCT, MVO), [0, 1, 2, 3, 4]),
    ((CAVITY, WALL), [0, 1, 2, 2, 2]),  # an infarct that is free closes into the wall, and mvo with it
    ((CAVITY, WALL, INFARCT), [0, 1, 2, 3, 3]),
    ((CAVITY, INFARCT), [0, 1, 0, 3, 3]),
    ((WALL, MVO), [0, 0, 2, 2, 4]),
    ((), [0, 0, 0, 0, 0])])
def test_what_stands_for_a_free_class(names: tuple[str, ...], targets: list[int]) -> None:
    assert closing(kept_classes(names, LGE.labels), LGE.labels).tolist() == targets


def test_a_map_without_its_infarct() -> None:
    ring = np.array([[[0, 2, 2], [3, 1, 4], [0, 2, 3]]], np.uint8)
    kept = kept_classes([WALL, CAVITY], LGE.labels)
    assert closed(ring, kept, LGE.labels).tolist() == [[[0, 2, 2], [2, 1, 2], [0, 2, 2]]]


@pytest.mark.parametrize("names", EVERY)
def test_a_region_is_known_where_no_two_pixels_that_look_alike_differ(names: tuple[str, ...]) -> None:
    """By trying all pairs of labels, for every set of classes."""
    kept = kept_classes(names, LGE.labels)
    seen = closing(kept, LGE.labels)
    for region, members in LGE.labels.regions.items():
        alike = [(a in members) == (b in members) for a, b in product(range(5), repeat=2) if seen[a] == seen[b]]
        assert is_region_known(region, kept, LGE.labels) == all(alike)


@pytest.mark.parametrize(("names", "unknown"), [
    ((CAVITY, WALL, INFARCT, MVO), [False, False, False, False]),
    ((CAVITY, WALL, INFARCT), [False, False, False, False]),  # mvo counts as infarct
    ((CAVITY, WALL), [True, True, True, False]),
    ((WALL, INFARCT, MVO), [False, True, True, False]),  # the size needs no cavity
    ((), [True, True, True, False])])
def test_attributes_that_depend_on_a_free_class(names: tuple[str, ...], unknown: list[bool]) -> None:
    assert unknown_attributes(kept_classes(names, LGE.labels), LGE).tolist() == unknown


def test_unknown_values_are_nan_for_that_reason() -> None:
    values, reasons = np.full((2, 4), 0.5, np.float32), np.zeros((2, 4), np.uint8)
    values, reasons = without_unknown(values, reasons, kept_classes([WALL, CAVITY], LGE.labels), LGE)
    assert np.isnan(values[:, :3]).all() and values[:, 3].tolist() == [0.5, 0.5]
    assert reasons.tolist() == [[200, 200, 200, 0]] * 2 and LGE.reason_names[200] == "free_class"


def test_of_a_declared_domain_the_share_depends_on_everything_that_is_labelled() -> None:
    domain = Declaration("knee", 2, {"bone": 1, "marrow": 2, "vessel": 3}, within={"marrow": "bone"}).domain()
    kept = kept_classes(["bone", "marrow"], domain.labels)
    unknown = dict(zip(domain.attribute_names, unknown_attributes(kept, domain).tolist(), strict=True))
    assert unknown["vessel_area"] and unknown["bone_share"] and not unknown["bone_area"]
    within = unknown_attributes(kept_classes(["bone", "vessel"], domain.labels), domain)
    unknown = dict(zip(domain.attribute_names, within.tolist(), strict=True))
    assert unknown["marrow_area"] and unknown["bone_area"] and not unknown["vessel_share"]


def test_names_go_into_files_and_come_back() -> None:
    kept = kept_classes([WALL, CAVITY], LGE.labels)
    assert names_of(kept, LGE.labels) == "lv_cavity,healthy_myocardium"
    for found in (kept, kept_classes([], LGE.labels)):
        assert np.array_equal(kept_of(names_of(found, LGE.labels), LGE.labels), found)
    assert kept_of(None, LGE.labels) is None


def test_unknown_names_are_listed() -> None:
    with pytest.raises(InputError, match=r"'wall', 'scar' unknown. Known: lv_cavity, healthy_myocardium, infarct, mvo"):
        kept_classes([CAVITY, "wall", "scar"], LGE.labels)


@pytest.mark.parametrize(("within", "fault"), [
    ({"bone": "skin"}, "within.bone: found 'skin', expected two of the labels: bone, marrow"),
    ({"bone": "marrow", "marrow": "bone"}, "within.bone: goes in a circle"),
    ({"bone": "bone"}, "within.bone: goes in a circle")])
def test_what_lies_within_what_is_checked(within: dict[str, str], fault: str) -> None:
    assert any(line.startswith(fault) for line in Declaration("knee", 2, {"bone": 1, "marrow": 2},
                                                              within=within).faults())


def test_a_declaration_that_nests_nothing_is_written_as_before() -> None:
    plain, nested = (Declaration("knee", 2, {"bone": 1, "marrow": 2}, within=within)
                     for within in ({}, {"marrow": "bone"}))
    assert "within" not in plain.as_json()
    assert Declaration.of(nested.as_json()).domain().labels.within == {2: 1}
