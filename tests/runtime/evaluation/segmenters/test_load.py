"""Which form a text names, and that every form is a segmenter."""

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.evaluation.segmenters.interface import AnySegmenter
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from segmenter_fixtures import describe, describe_program


def test_every_form(tmp_path: Path, tiny_segmenter: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "sample00000.png").touch()
    (tmp_path / "maps.toml").write_text('name = "other"\npredictions = "maps"\n')
    (tmp_path / "function.toml").write_text('name = "root"\nfunction = "math:sqrt"\n')
    forms = {tiny_segmenter: "Segmenter", describe(tmp_path): "DescribedNetwork", "math:sqrt": "OwnFunction",
             tmp_path / "function.toml": "OwnFunction", describe_program(tmp_path): "OwnCommand",
             tmp_path / "maps": "PredictionsFolder", tmp_path / "maps.toml": "PredictionsFolder"}
    found = {source: load_segmenter(source) for source in forms}
    assert {source: type(each).__name__ for source, each in found.items()} == forms
    assert all(isinstance(each, AnySegmenter) for each in found.values())
    assert [each.name for each in found.values()] == ["tiny-segmenter", "greys", "math-sqrt", "root", "program", "maps",
                                                      "other"]


def test_an_onnx_file_alone_needs_a_description(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'Describe it in a .toml file.*onnx = "a.onnx".*docs/segmenters.md'):
        load_segmenter(tmp_path / "a.onnx")


def test_what_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_segmenter(tmp_path / "missing")
    with pytest.raises(InputError, match="cannot be read"):
        load_segmenter(tmp_path / "missing.toml")
