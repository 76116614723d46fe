"""Values that stand in several labels of dataset.json mean one thing, whatever the order of lines, or are an error."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.label_map import map_labels, translate
from cldm_runtime.scans.nnunet_raw import RawDataset, read_raw_dataset

LGE = get_domain("lge")  # 0 background, 1 lv_cavity, 2 healthy_myocardium, 3 infarct, 4 mvo
REGIONS = {"background": (0,), "lv_cavity": (1,), "myocardium": (2, 3, 4), "scar": (3, 4), "mvo": (4,)}
MAPPING = {"myocardium": "healthy_myocardium", "scar": "infarct"}


def mapped(labels: dict[str, tuple[int, ...]], mapping: dict[str, str]) -> tuple[dict[int, int], list[str]]:
    faults: list[str] = []
    return map_labels(RawDataset(Path("raw"), labels, (), {}), LGE, mapping, faults), faults


def test_the_most_specific_label_decides_in_every_order() -> None:
    for order in permutations(REGIONS):
        for pairs in permutations(MAPPING.items()):
            assert mapped({name: REGIONS[name] for name in order}, dict(pairs)) == ({v: v for v in range(5)}, [])


def test_a_region_named_like_a_label_of_the_domain_does_not_take_the_infarct() -> None:
    labels = {"background": (0,), "healthy_myocardium": (2, 3), "infarct": (3,), "heart": (2, 3)}
    assert mapped(labels, {"heart": "healthy_myocardium"}) == ({0: 0, 2: 2, 3: 3}, [])


def test_a_specific_label_without_a_meaning_is_not_swallowed_by_the_region_around_it() -> None:
    _, faults = mapped({"background": (0,), "healthy_myocardium": (2, 3), "scar": (3,)}, {})
    assert len(faults) == 1 and "label 'scar' (3) of dataset.json is not mapped" in faults[0]


@pytest.mark.parametrize("labels", [
    {"healthy_myocardium": (2, 3), "infarct": (3, 4), "mvo": (4,)}, {"infarct": (3,), "mvo": (3,)},
    {"infarct": (3,), "edema": (3,)}])
def test_two_meanings_are_named_and_the_number_decides(labels: dict[str, tuple[int, ...]]) -> None:
    _, faults = mapped(labels, {})
    assert any("value 3 of dataset.json has several meanings" in fault and '"3" = "LABEL"' in fault for fault in faults)
    lookup, faults = mapped(labels, {"3": "mvo"})
    assert lookup[3] == 4 and not any("several meanings" in fault for fault in faults)


@pytest.mark.parametrize("mapping", [{}, {"ignore": "mvo"}, {"4": "infarct"}])
def test_voxels_to_be_ignored_never_become_a_lesion(mapping: dict[str, str]) -> None:
    labels = {"background": (0,), "lv_cavity": (1,), "ignore": (4,)}
    faults = mapped(labels, mapping)[1]
    assert len(faults) == 1 and "voxels that nobody annotated" in faults[0] and '= "mvo"' not in faults[0]
    assert mapped(labels, {"ignore": "background"}) == ({0: 0, 1: 1, 4: 0}, [])


def test_no_label_is_proposed_for_one_that_is_not_mapped() -> None:
    _, (fault,) = mapped({"background": (0,), "fat": (5,)}, {})
    assert '"fat" = "LABEL", where LABEL is one of background, lv_cavity' in fault


def test_values_without_a_meaning_are_named() -> None:
    with pytest.raises(InputError, match=r"unknown label values \[7\]; known are \[0, 3\]"):
        translate(np.array([[0, 3, 7]]), {0: 0, 3: 2})


def test_value_0_is_the_background_unless_its_number_is_mapped() -> None:
    labels = {"infarct": (0,), "background": (3,), "lv_cavity": (1,)}
    _, (fault,) = mapped(labels, {})
    assert fault.startswith("label 'infarct' has the value 0 in dataset.json, which nnU-Net keeps for the background")
    assert mapped(labels, {"0": "infarct"}) == ({0: 3, 1: 1, 3: 0}, [])


def test_the_form_of_nnunet_1_is_explained(tmp_path: Path) -> None:
    write_json(tmp_path / "dataset.json", {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "scar"}})
    with pytest.raises(InputError, match=r'v1, expected that of v2. Write it the other way round, "background": 0'):
        read_raw_dataset(tmp_path)
