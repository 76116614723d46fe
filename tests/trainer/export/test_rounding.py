"""Weights in fewer bytes: what that changes is measured at export, and refused where it is too much."""

import dataclasses
import math
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.export.parity import ParityError
from cldm_trainer.export.rounding import output_change, rounded, rounding_figures
from cldm_trainer.stages.config_file import load_config
from nnunet_fixtures import export_of, result_folder

CONFIG = Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml"
X = {"x": torch.tensor([[-1.0], [1.0]])}


def times(weight: float, bias: float = 0.0) -> nn.Linear:
    linear = nn.Linear(1, 1)
    nn.init.constant_(linear.weight, weight)
    nn.init.constant_(linear.bias, bias)
    return linear


def test_a_change_is_a_share_of_the_outputs_spread() -> None:
    assert output_change(times(3.0), times(3.06), X) == pytest.approx(0.02, rel=1e-5)
    assert output_change(times(3.0, bias=100.0), times(3.06, bias=100.0), X) == pytest.approx(0.02, rel=1e-5)


def test_a_constant_output_may_not_change() -> None:
    assert output_change(times(0.0, bias=1.0), times(0.0, bias=1.0), X) == 0.0
    assert output_change(times(0.0, bias=1.0), times(0.0, bias=1.1), X) == math.inf


@pytest.mark.parametrize("stored", [times(1.1), times(math.nan)])
def test_too_large_a_change_is_refused(stored: nn.Linear) -> None:
    with pytest.raises(ParityError, match=r"Set export.weights = fp16 or fp32:\s.*denoiser: (10.0|nan)% of its output"):
        rounding_figures("int8", {"denoiser": times(1.0)}, {"denoiser": stored}, {"denoiser": X})


def test_a_change_within_the_limit_is_reported_and_untouched_modules_are_not() -> None:
    exact = {"denoiser": times(1.0), "tables": times(2.0)}
    figures = rounding_figures("fp16", exact, {**exact, "denoiser": times(1.01)}, {"denoiser": X, "tables": X})
    assert figures == {"stored": "fp16", "limit": 0.05, "change": {"denoiser": 0.01}}


def test_rounding_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    exact = nn.Linear(64, 64)
    small = rounded(exact, "int8")
    assert float((small.weight - exact.weight).detach().abs().max()) > 0
    assert rounded(exact, "fp32") is exact


def test_a_segmenter_in_half_precision_says_what_nnunet_says(tmp_path: Path) -> None:
    export = export_of(result_folder(tmp_path / "result"), load_config(CONFIG))
    exact = Bundle.load(export.write(tmp_path / "exact"))
    small = Bundle.load(dataclasses.replace(export, stored="fp16").write(tmp_path / "small"))
    stored = onnx.load(str(small.path / "segmenter.onnx")).graph.initializer
    assert {tensor.data_type for tensor in stored if math.prod(tensor.dims) >= 1024} == {onnx.TensorProto.FLOAT16}
    assert (small.path / "segmenter.onnx").stat().st_size < (exact.path / "segmenter.onnx").stat().st_size
    assert "rounding" not in exact.manifest.quality
    change = small.manifest.quality["rounding"]["change"]
    assert list(change) == ["segmenter", "features"] and 0 < max(change.values()) < 0.005
    assert "stored in fp16" in (small.path / "MODEL_CARD.md").read_text()
    assert Segmenter.load(small.path).spec == Segmenter.load(exact.path).spec
