"""Descriptions of segmenters: what is read, and every fault in one message."""

import dataclasses
import re
from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.description import (
    Intensity,
    NetworkInput,
    NetworkOutput,
    SegmenterDescription,
    read_description,
)

DOCUMENT = Path(__file__).parents[4] / "docs" / "segmenters.md"

WHOLE = """
name = "mine"
onnx = "mine.onnx"
[input]
layout = "NHWC"
size = [256, 256]
pad = "edge"
flip = ["rows"]
[intensity]
scale = "percentile"
percentiles = [0.05, 99]
clip = [0, 1]
[output]
kind = "sigmoid"
threshold = 0.4
[labels]
0 = "lv_cavity"
"""


def read(folder: Path, text: str):
    (folder / "mine.toml").write_text(text)
    return read_description(folder / "mine.toml")


def test_what_is_written_is_read_and_the_rest_has_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert (found.input.size, found.input.pad, found.input.flip) == ((256, 256), "edge", ("rows",))
    assert found.intensity.percentiles == (0.05, 99.0) and found.intensity.clip == (0.0, 1.0)
    assert (found.output_kind, found.output.threshold, found.labels) == ("sigmoid", 0.4, {"0": "lv_cavity"})
    assert (found.input.order, found.input.place, found.intensity.over) == (1, (), "all")


def test_a_number_may_fill_the_frame(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE.replace('"edge"', "-1")).input.pad == -1.0


@pytest.mark.parametrize(("before", "after", "message"), [
    ('onnx = "mine.onnx"', "", "found none of onnx, function, command, predictions, expected one"),
    ('onnx = "mine.onnx"', 'onnx = "a"\nfunction = "a:b"', "found onnx and function of"),
    ('name = "mine"', 'name = "a b"', "name: found 'a b'"),
    ("[256, 256]", "[256]", "input.size: found [256], expected 2 positive numbers for layout NHWC"),
    ("[256, 256]", "[9, 9]\nplace = [4, 4]\nspacing_mm = [1, 1]", "found place and spacing_mm"),
    ('["rows"]', '["depth"]', "input.flip: expected some of rows, columns"),
    ("[0.05, 99]", "[99, 1]", "intensity.percentiles: found [99.0, 1.0]"),
    ('"percentile"', '"fixed"', "intensity.mean, std: expected a number for each channel"),
    ('"percentile"', '"minmax"', "expected one of: none, percentile, z-score, fixed"),
    ("[0, 1]", "[1, 0]", "intensity.clip"),
    ("0.4", "1.4", "output.threshold: found 1.4"),
    ('0 = "lv_cavity"', "", "labels: missing"),
    ('0 = "lv_cavity"', 'cavity = "lv_cavity"', "labels: found cavity, expected numbers"),
    ('name = "mine"', 'name = "mine"\nsize = 3', "size"),
    ('[output]\nkind = "sigmoid"\nthreshold = 0.4', "", "output.kind: missing"),
    ('onnx = "mine.onnx"', 'command = ["a"]', "only an ONNX file has them"),
])
def test_a_fault_is_named(before: str, after: str, message: str, tmp_path: Path) -> None:
    assert before in WHOLE
    with pytest.raises(InputError, match=r"docs/segmenters\.md") as found:
        read(tmp_path, WHOLE.replace(before, after))
    assert message in str(found.value)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as found:
        read(tmp_path, WHOLE.replace("[0, 1]", "[1, 0]").replace("0.4", "1.4").replace("[0.05, 99]", "[99, 1]"))
    assert str(found.value).count("\n  - ") == 3


def test_what_the_document_shows_is_read(tmp_path: Path) -> None:
    shown = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert [read(tmp_path, text).name for text in shown] == ["my-network", "mine", "my-program"]


def test_the_document_names_every_key() -> None:
    text = DOCUMENT.read_text()
    keys = [field.name for kind in (SegmenterDescription, NetworkInput, Intensity, NetworkOutput)
            for field in dataclasses.fields(kind)]
    assert not [key for key in keys if not re.search(rf"\b{key}\b", text)]
