"""Graphs in half precision: what is halved and what is not, and a whole bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import BundleError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.config import Config
from cldm_trainer.export import run
from cldm_trainer.export.reduced.fp16 import halved, write_fp16
from cldm_trainer.graphs.write import export_graph, round_to_bytes
from cldm_trainer.training.batches import load_slices

EXACT = {"InstanceNormalization", "Softmax", "ReduceMean", "Sub", "Pow", "Sqrt", "Sin", "Cos", "Clip"}
PRODUCTS = {"Conv", "MatMul", "Gemm"}


class Network(torch.nn.Module):
    """One of everything: a timestep's waves, a norm, attention over channels, and a clipped sum at the end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(16, 1, 3, padding=1)
        self.norm, self.told = torch.nn.GroupNorm(4, 16), torch.nn.Linear(2, 16)

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        wave = timestep[:, None] * 0.37
        told = self.told(torch.cat([wave.sin(), wave.cos()], 1))
        h = torch.nn.functional.silu(self.norm(self.first(x) + told[:, :, None, None]))
        rows = h.flatten(2)
        h = (torch.softmax(rows @ rows.mT, -1) @ rows).reshape(h.shape)
        return (x + self.last(h)).clamp(-4, 4)


def types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


def assert_halved(model: onnx.ModelProto) -> None:
    """Norms and the like take and give float32 alone, products float16 alone, inputs and outputs float32."""
    known = types(model)
    for node in model.graph.node:
        numbers = {known[name] for name in (*node.input, *node.output) if name} - {TensorProto.INT64}
        if node.op_type in EXACT | PRODUCTS:
            assert numbers == {TensorProto.FLOAT16 if node.op_type in PRODUCTS else TensorProto.FLOAT}, node
    assert {known[value.name] for value in (*model.graph.input, *model.graph.output)} == {TensorProto.FLOAT}
    assert {node.op_type for node in model.graph.node} & PRODUCTS


@pytest.fixture(scope="module")
def network() -> tuple[Network, bytes, dict[str, torch.Tensor]]:
    """A network with weights stored in int8, its graph, and inputs."""
    module = Network()
    round_to_bytes(module)
    inputs = {"x": torch.randn(2, 1, 8, 8), "timestep": torch.tensor([3.0, 997.0])}
    return module, export_graph(module, inputs, ["y"]), inputs


def test_products_are_halved_and_norms_are_not(network) -> None:
    model = onnx.load_from_string(halved(network[1]))
    assert {"Softmax", "Sin", "InstanceNormalization"} <= {node.op_type for node in model.graph.node}
    assert_halved(model)


def test_no_tensor_is_cast_twice_nor_back_at_once(network) -> None:
    casts = [node for node in onnx.load_from_string(halved(network[1])).graph.node if node.op_type == "Cast"]
    taken, given = [node.input[0] for node in casts], [node.output[0] for node in casts]
    assert len(set(taken)) == len(taken) and not set(taken) & set(given)


def test_a_halved_graph_computes_nearly_the_same(network) -> None:
    module, data, inputs = network
    found = onnxruntime.InferenceSession(halved(data)).run(None, {name: x.numpy() for name, x in inputs.items()})[0]
    with torch.no_grad():
        expected = module(*inputs.values()).numpy()
        rounded = module(inputs["x"], inputs["timestep"].mul(0.37).half().float() / 0.37).numpy()
    error = np.abs(found - expected).max()
    assert 0 < error < 5e-3 < np.abs(rounded - expected).max()  # the waves of a rounded timestep are wrong by more


@pytest.fixture(scope="module")
def trained(short_run: Config, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The short run, to be exported with a second bundle in half precision."""
    folder = tmp_path_factory.mktemp("halves")
    section = replace(short_run.export, generator=str(folder / "lge"), fp16=str(folder / "lge-fp16"))
    return replace(short_run, export=section)


def test_a_bundle_in_half_precision_replays_and_generates_nearly_the_same(trained: Config) -> None:
    source, folder = run(trained, what="generator", torchscript=False)
    bundle, exact = Bundle.load(folder), Bundle.load(source)
    assert {role: graph.precision for role, graph in bundle.manifest.graphs.items()} == {
        "denoiser": "fp16", "mask_encoder": "fp32", "decoder": "fp16", "encoder": "fp32"}
    assert all(check.passed for check in verify_bundle(bundle))
    assert bundle.manifest.provenance["fp16"]["manifest_sha256"] == exact.manifest_sha256
    for role in ("denoiser", "decoder"):
        assert_halved(onnx.load(folder / f"{role}.onnx"))
        assert (folder / f"{role}.onnx").stat().st_size < (source / f"{role}.onnx").stat().st_size
    masks = load_slices(trained.cohort_file, "val").masks.numpy()
    images = [Generator(opened).sample(masks=masks)[0] for opened in (exact, bundle)]
    assert 0 < np.abs(images[0] - images[1]).max() < 0.01


def test_an_existing_bundle_is_not_replaced(trained: Config, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    nothing = np.zeros((0, 1, 128, 128), np.float32), np.zeros((0, 128, 128), np.uint8)
    with pytest.raises(BundleError, match="exists"):
        write_fp16(Path(trained.export.generator), tmp_path / "here", *nothing, tmp_path)
