"""The last graph in torch against the runtime's physics in numpy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from acquisition_fixtures import acquisition_spec
from cldm_runtime.bundle.acquisition_spec import AcquisitionSpec
from cldm_runtime.bundle.onnx_scan import scan_model
from cldm_trainer.graphs.write import export_graph
from cldm_trainer.networks.scanner import INPUTS, AcquisitionGraph

COUNT, SHAPE = 6, (24, 32)
CHANGES: dict[str, dict[str, Any]] = {
    "real": {}, "magnitude": {"detection": "magnitude", "zero": 0.1},
    "tapered": {"taper_shares": (0.5, 0.8, 1.2), "taper_weights": (1.0, 0.6, 0.0), "residual_noise": 0.02}}


def spec_of(**changes: Any) -> AcquisitionSpec:
    plain = acquisition_spec()
    values = tuple(replace(value, input=name) for value, name in zip(plain.values, INPUTS, strict=True))
    return replace(plain, values=values, **changes)


def inputs_for(spec: AcquisitionSpec, depth: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    channels = 2 if spec.detection == "magnitude" else 1
    image = random.uniform(0.2, 0.8, (COUNT, 1, *depth, *SHAPE))
    noise = random.standard_normal((COUNT, channels, *depth, *SHAPE))
    scores = {name: random.standard_normal(COUNT) for name in INPUTS}
    inputs = {"image": image, "thermal_noise": noise, **scores}
    return {name: values.astype(np.float32) for name, values in inputs.items()}


def expected(spec: AcquisitionSpec, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    scan = spec.scan({name: inputs[name] for name in INPUTS})
    return spec.scanner((1.0, 1.2)).acquire(inputs["image"], inputs["thermal_noise"], scan)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("depth", [(), (3,)], ids=["slices", "volumes"])
def test_torch_computes_the_physics(name: str, depth: tuple[int, ...]) -> None:
    spec = spec_of(**CHANGES[name])
    inputs = inputs_for(spec, depth)
    graph = AcquisitionGraph(spec, SHAPE, (1.0, 1.2)).double()
    found = graph(*(torch.from_numpy(values).double() for values in inputs.values()))
    np.testing.assert_allclose(found.numpy(), expected(spec, inputs), atol=1e-6)


@pytest.mark.parametrize("name", ["magnitude", "tapered"])
def test_the_exported_graph_computes_it_with_allowed_operators(name: str) -> None:
    spec = spec_of(**CHANGES[name])
    inputs, graph = inputs_for(spec), AcquisitionGraph(spec, SHAPE, (1.0, 1.2))
    model = export_graph(graph, {key: torch.from_numpy(values) for key, values in inputs.items()}, ["acquired"])
    assert scan_model(model) == []
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = session.run(None, {key: values[:1] for key, values in inputs.items()})[0]
    np.testing.assert_allclose(found, expected(spec, inputs)[:1], atol=1e-5)


def test_a_requested_level_is_the_level_of_the_noise() -> None:
    spec, flat = spec_of(), np.full((COUNT, 1, *SHAPE), 0.5, np.float32)
    inputs = inputs_for(spec) | {"image": flat, **{name: np.zeros(COUNT, np.float32) for name in INPUTS}}
    asked = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    values = np.full((COUNT, len(INPUTS)), np.nan)
    values[:, 0] = asked
    inputs |= spec.numbers_for({name: inputs[name] for name in INPUTS}, values)
    assert spec.scan({name: inputs[name] for name in INPUTS}).noise_level == pytest.approx(asked, rel=1e-5)
    images = AcquisitionGraph(spec, SHAPE, (1.0, 1.2))(*map(torch.from_numpy, inputs.values()))
    assert (images.std((1, 2, 3)) / torch.from_numpy(asked)).std() < 0.08
