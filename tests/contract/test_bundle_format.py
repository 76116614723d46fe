"""docs/bundle-format.md and the code say the same."""

import dataclasses
import re
from pathlib import Path

import pytest

from cldm_runtime.bundle import manifest, onnx_scan
from cldm_runtime.bundle.latent_prior_spec import LatentComponent, LatentPriorSpec
from cldm_runtime.bundle.segmenter_spec import SegmenterSpec

DOCUMENT = (Path(__file__).parents[2] / "docs" / "bundle-format.md").read_text(encoding="utf-8")


def test_the_version_is_the_one_that_the_code_reads():
    assert DOCUMENT.startswith(f"# Bundle format, version {manifest.FORMAT_VERSION}\n")


@pytest.mark.parametrize("record", [
    manifest.Manifest, manifest.ImageSpec, manifest.LabelsSpec, manifest.AttributeSpec, manifest.DistributionSpec,
    manifest.GraphSpec, manifest.TensorSpec, manifest.ReferenceSpec, manifest.LatentSpec, manifest.ScheduleSpec,
    manifest.ConditionSpec, manifest.SamplingSpec, SegmenterSpec, LatentPriorSpec, LatentComponent])
def test_every_field_is_described(record):
    missing = [field.name for field in dataclasses.fields(record)
               if not re.search(rf"[`\".]{field.name}[`\"]", DOCUMENT)]
    assert missing == []


def test_the_list_of_allowed_operators_is_the_one_that_is_checked():
    listed = re.search(r"`com\.microsoft`: ([^)]*)\)", DOCUMENT)[1]
    assert set(re.split(r",\s+", listed)) == onnx_scan._MICROSOFT_OPERATORS
