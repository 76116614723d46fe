"""samples.json and samples.csv: numbers as they were, and every fault by its line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.scans.conversion.table import Header, read_header, read_table, write_table
from cldm_runtime.store import DatasetSpec, create_dataset

HEADER = Header("npz", "lge", (4, 5), (1.5, 1.25), 1, (0.0, 1.0), True, False, False, {"seed": 3, "x": 0.1})


def test_numbers_are_as_they_were(tmp_path: Path) -> None:
    width = len(get_domain("lge").attributes)
    columns = {"requested": np.float32([[0.1] * width, [1 / 3] * (width - 1) + [np.nan]]),
               "sample_index": np.array([7, 2**40]), "patients": np.array(["Ä, 1", 'b"'])}
    write_table(tmp_path, HEADER, ["a", "b"], columns, np.array([1, 2**32 - 1], np.uint32))
    names, found, checksums = read_table(tmp_path, read_header(tmp_path))
    assert read_header(tmp_path) == HEADER and names == ["a", "b"] and checksums.tolist() == [1, 2**32 - 1]
    assert found.keys() == columns.keys() and np.array_equal(found["requested"], columns["requested"], equal_nan=True)
    assert all(found[name].tolist() == columns[name].tolist() for name in ("sample_index", "patients"))


def test_a_table_is_what_others_read(tmp_path: Path) -> None:
    size = np.float32([[0.25, 0, 0, 0]])
    write_table(tmp_path, HEADER, ["a"], {"mask_attributes": size}, np.array([5], np.uint32))
    (line,) = csv.DictReader((tmp_path / "samples.csv").read_text(encoding="utf-8").splitlines())
    assert (line["name"], line["attributes/mask/infarct_size"], line["checksum"]) == ("a", "0.25", "5")


def volumes(path: Path) -> Path:
    domain = Declaration("spleen", 3, {"background": 0, "spleen": 1}).domain()
    with create_dataset(path, DatasetSpec(domain, (3, 8, 9), (4.0, 1.0, 1.1))) as writer:
        writer.append(images=np.zeros((4, 1, 3, 8, 9)), sample_index=np.arange(40, 44))
    return path


@pytest.mark.parametrize(("key", "value", "words"), [
    ("format", "other", "format is 'cldm-samples'"), ("format_version", 2, "format_version 2 found, 1 supported"),
    ("channels", 0, "expected sizes from 1"), ("intensity_range", [1, 1], "expected two increasing numbers"),
    ("layout", "jpeg", "which is not read again"), ("strange", 1, "unknown key")])
def test_a_faulty_header_is_refused(tmp_path: Path, key: str, value: object, words: str) -> None:
    convert(volumes(tmp_path / "a.h5"), "npz", tmp_path / "z")
    header = json.loads((tmp_path / "z/samples.json").read_text())
    (tmp_path / "z/samples.json").write_text(json.dumps({**header, key: value}))
    with pytest.raises(InputError) as error:
        convert(tmp_path / "z", "h5", tmp_path / "b.h5")
    assert words in str(error.value)


@pytest.mark.parametrize(("old", "new", "words"), [
    ("sample00001", "../other", "'../other' is no plain name"), ("sample00001", "sample00000", "occurs several times"),
    (",41,", ",4x,", "line 3: sample_index is '4x', expected a number"), (",41,", ",", "line 3: 2 cells, expected 3"),
    ("checksum", "sum", "the column checksum is missing"), ("sample_index", "index", "the column index is unknown")])
def test_a_faulty_table_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    convert(volumes(tmp_path / "a.h5"), "npz", tmp_path / "z")
    table = tmp_path / "z/samples.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        convert(tmp_path / "z", "h5", tmp_path / "b.h5")
    assert words in str(error.value)
