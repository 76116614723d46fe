"""The labels of nnU-Net's dataset.json, for every reader of it."""

from pathlib import Path

import pytest

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.bundle.nnunet_labels import read_labels
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.nnunet_raw import read_raw_dataset

FILE = Path("dataset.json")


def test_values_are_integers_texts_of_them_or_lists() -> None:
    labels = {"background": 0, "a": "1", "b": [2, "3"], "c": 4.0}
    assert read_labels(labels, FILE) == {"background": (0,), "a": (1,), "b": (2, 3), "c": (4,)}


@pytest.mark.parametrize("entry", [1.5, True, None, "1_0", "", [1, "x"], [[1]], {"1": 2}])
def test_other_values_name_the_label(entry: object) -> None:
    with pytest.raises(InputError, match=r"dataset.json: labels says that 'a' is .*, expected an integer, or a list"):
        read_labels({"a": entry}, FILE)


def test_version_1_is_named_by_both_readers_with_the_way_out(tmp_path: Path) -> None:
    write_json(tmp_path / "dataset.json", {"labels": {"0": "background", "1": "liver"}, "modality": {"0": "CT"}})
    for read in (lambda: find_domain(str(tmp_path / "dataset.json")), lambda: read_raw_dataset(tmp_path)):
        with pytest.raises(InputError, match=r'nnU-Net v1, expected that of v2.*"background": 0.*convert_old_nnUNet'):
            read()


def test_a_label_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "liver": 2}}')
    with pytest.raises(InputError, match=r"repeated keys \['liver'\], expected each once"):
        read_raw_dataset(tmp_path)
