"""Tensors that stay on onnxruntime's device, with the CPU in the place of a GPU; numpy says what sums must be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import onnx_fixtures
from cldm_runtime.bench.work import example_sources
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import GraphSpec, TensorSpec
from cldm_runtime.engines.onnx import OnnxEngine
from cldm_runtime.engines.onnx_device import TERMS, DeviceTensor, OnnxDevice, OnnxDeviceEngine, linear_graph
from cldm_runtime.generation.pipeline import Pipeline

A, B, SUM = (TensorSpec(name, "float32", ("N", 3), "a number") for name in ("a", "b", "sum"))
ADDER = GraphSpec("adder.onnx", "0" * 64, "fp32", (A, B), (SUM,))

def built_linear_graph() -> bytes:
    """linear.onnx, made anew."""
    nodes = [helper.make_node("Split", ["weights"], [f"w_{name}" for name in TERMS], axis=0, num_outputs=len(TERMS))]
    nodes += [helper.make_node("Mul", [name, f"w_{name}"], [f"{name}_weighted"]) for name in TERMS]
    nodes += [helper.make_node("Add", ["a_weighted", "b_weighted"], ["a_and_b"]),
              helper.make_node("Add", ["c_weighted", "d_weighted"], ["c_and_d"]),
              helper.make_node("Add", ["a_and_b", "c_and_d"], ["y"])]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in TERMS]
    inputs.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [len(TERMS)]))
    graph = helper.make_graph(nodes, "linear", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def model_bytes() -> bytes:
    return onnx_fixtures.model([onnx_fixtures.make_node("Add", ["a", "b"], ["sum"])], ADDER.inputs, ADDER.outputs)


def session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@pytest.fixture
def device() -> OnnxDevice:
    return OnnxDevice("cpu", session(linear_graph()))


def numbers(tensor: DeviceTensor) -> np.ndarray:
    return tensor.device.fetch(tensor)()


def test_the_graph_that_adds_up_is_as_it_was_made() -> None:
    assert linear_graph() == built_linear_graph()


def test_sums_are_those_of_numpy(device: OnnxDevice) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal((2, 3, 4), dtype=np.float32) for _ in range(3))
    x, y, z = (device.put(array) for array in (a, b, c))
    np.testing.assert_allclose(numbers((x - 0.25 * y) / 3.0 + z * 2.0), (a - 0.25 * b) / 3.0 + 2.0 * c, atol=1e-5)
    np.testing.assert_array_equal(numbers(x), a)
    assert len(x) == 2 and (x + y).shape == (2, 3, 4)


def test_a_sum_of_many_tensors(device: OnnxDevice) -> None:
    arrays = [np.full((1, 2), 2.0**power, np.float32) for power in range(9)]
    total = device.put(arrays[0])
    for array in arrays[1:]:
        total = total + device.put(array)
    np.testing.assert_array_equal(numbers(total), np.full((1, 2), 511.0))
    np.testing.assert_array_equal(numbers(total + total), np.full((1, 2), 1022.0))


def test_a_tensor_that_appears_twice_is_added_up_once(device: OnnxDevice) -> None:
    x = device.put(np.ones((1, 2), np.float32))
    assert len((x + x - 0.5 * x)._terms) == 1
    np.testing.assert_array_equal(numbers(x + x - 0.5 * x), [[1.5, 1.5]])


def engine(graph: GraphSpec, data: bytes, device: OnnxDevice, opened: list[int]) -> OnnxDeviceEngine:
    def open_session(batch: int) -> onnxruntime.InferenceSession:
        opened.append(batch)
        return session(data)

    return OnnxDeviceEngine(graph, "cuda", device, open_session)


def test_a_graph_gives_what_it_gives_on_the_host(device: OnnxDevice) -> None:
    data, opened = model_bytes(), list[int]()
    here, there = OnnxEngine(data, ADDER), engine(ADDER, data, device, opened)
    for batch in (2, 3, 2):
        inputs = {"a": np.full((batch, 3), 2.0, np.float32), "b": np.arange(3 * batch, dtype=np.float32).reshape(-1, 3)}
        np.testing.assert_array_equal(there.run(inputs)["sum"], here.run(inputs)["sum"])
    assert opened == [2, 3] and there.provider == "cuda"


def test_outputs_outlive_the_next_call(device: OnnxDevice) -> None:
    adder = engine(ADDER, model_bytes(), device, [])
    one, two = (device.put(np.full((1, 3), number, np.float32)) for number in (1.0, 2.0))
    first = adder.launch({"a": one, "b": two})["sum"]
    second = adder.launch({"a": first, "b": first})["sum"]
    np.testing.assert_array_equal(numbers(first), [[3.0] * 3])
    np.testing.assert_array_equal(numbers(second), [[6.0] * 3])


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++2m", "unipc"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_sampling_on_a_device_is_sampling_on_the_host(sampler: str, guidance: float, device: OnnxDevice,
                                                      tiny_guided: Path) -> None:
    bundle = Bundle.load(tiny_guided)
    host = Pipeline.open(bundle)
    roles = {role: (bundle.manifest.graphs[role], bundle.read(bundle.manifest.graphs[role])) for role in host._engines}
    there = Pipeline(bundle.manifest, {role: engine(graph, data, device, []) for role, (graph, data) in roles.items()})
    sources = example_sources(bundle, 3, 0)
    settings = replace(bundle.manifest.sampling, sampler=sampler, eta=0.0, steps=4, guidance=guidance)
    found, expected = (each.sample(sources, each.plan(settings), 5, [0, 1, 2]) for each in (there, host))
    np.testing.assert_allclose(found.latent, expected.latent, atol=1e-4)
    np.testing.assert_allclose(found.image, expected.image, atol=1e-4)
    assert there.ahead == 1 and host.ahead == 0
