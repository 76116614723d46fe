"""Tiny bundles in the real format, written without torch: generators that paint each label in its own grey, or the
whole image in a grey that tells attributes, and a segmenter that reads the greys back. Their reference is computed by
numpy, not by the engines under test."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

from acquisition_fixtures import acquisition_nodes
from cldm_runtime.bundle.acquisition_spec import AcquisitionSpec
from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.manifest import (
    AttributeSpec,
    ConditionSpec,
    GraphSpec,
    ImageSpec,
    LabelsSpec,
    LatentSpec,
    Manifest,
    NormalisationSpec,
    ReferenceSpec,
    SamplingSpec,
    ScheduleSpec,
    TensorSpec,
)
from cldm_runtime.bundle.reference import Reference, ReferenceCase, write_reference
from cldm_runtime.bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.generation.pipeline import Pipeline, decoder_noise, initial_noise, scan_noise

GREYS = np.array([0.20, 0.50, 0.05, 0.95, 0.75], dtype=np.float32)  # of the five labels of the lge domain
CENTRE, X_SHARE, TIME_SHARE, TEXTURE = (np.float32(value) for value in (0.4, 0.02, 0.01, 0.01))
FREE = np.float32(0.02)  # what each class that is left free adds to the grey
TRAIN_STEPS = 100
SEED = 7
CONDITIONS = {
    "mask": ConditionSpec("mask", "spatial", "masks", "mask_encoder", "mask_latent"),
    "attributes": ConditionSpec("attributes", "vector", "attributes", "attribute_encoder", "attribute_tokens"),
    "partly": ConditionSpec("partly", "spatial", "masks and classes", "partly_encoder", "mask_latent"),
    "shares": ConditionSpec("shares", "vector", "masks", "share_encoder", "share_tokens"),
}
# What tokens add to the grey of the whole image: 0.5 for each unit of the first attribute (infarct size) and 0.2 where
# the second one (transmurality) is defined; for shares of labels, so much that the image has the map's mean grey.
WEIGHTS = {"attribute_tokens": np.array([[0.5, 0], [0, 0.2], [0, 0], [0, 0]], np.float32),
           "share_tokens": (GREYS - CENTRE)[:, None]}
_TYPES = {"float32": TensorProto.FLOAT}


@dataclass(frozen=True)
class Graph:
    """An ONNX model, and the same function in numpy."""

    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    function: Callable[..., dict[str, np.ndarray]]

    def write(self, folder: Path, role: str) -> GraphSpec:
        (folder / f"{role}.onnx").write_bytes(self.model)
        return GraphSpec(f"{role}.onnx", hashlib.sha256(self.model).hexdigest(), "fp32", self.inputs, self.outputs)


class NumpyEngine:
    """Runs a graph's numpy function."""

    provider = "numpy"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._graph.function(**inputs)


def tensor(name: str, *shape: int | str, meaning: str = "a test tensor") -> TensorSpec:
    return TensorSpec(name, "float32", ("N", *shape), meaning)


def model(nodes: Sequence[onnx.NodeProto], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
          constants: Mapping[str, Any] | None = None) -> bytes:
    """Serialise nodes as an ONNX model of opset 20."""
    def describe(specs: Sequence[TensorSpec]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(spec.name, _TYPES[spec.dtype], spec.shape) for spec in specs]

    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "test", describe(inputs), describe(outputs), stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def _mask_encoder(shape: tuple[int, int], latent: tuple[int, int]) -> Graph:
    block = shape[0] // latent[0]
    nodes = [make_node("Conv", ["one_hot", "greys"], ["grey"]),
             make_node("Sub", ["grey", "centre"], ["centred"]),
             make_node("SpaceToDepth", ["centred"], ["mask_latent"], blocksize=block)]
    inputs, outputs = (tensor("one_hot", len(GREYS), *shape),), (tensor("mask_latent", block * block, *latent),)

    def function(one_hot: np.ndarray) -> dict[str, np.ndarray]:
        grey = np.einsum("nchw,c->nhw", one_hot, GREYS)[:, None] - CENTRE
        return {"mask_latent": space_to_depth(grey, block)}

    constants = {"greys": GREYS.reshape(1, -1, 1, 1), "centre": CENTRE}
    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)


def _partly_encoder(shape: tuple[int, int], latent: tuple[int, int]) -> Graph:
    """As the mask encoder, and brighter for each class that is free."""
    block = shape[0] // latent[0]
    nodes = [make_node("Conv", ["one_hot", "greys"], ["grey"]),
             make_node("Sub", ["one", "known"], ["free"]), make_node("MatMul", ["free", "weights"], ["sum"]),
             make_node("Reshape", ["sum", "per_sample"], ["light"]), make_node("Add", ["grey", "light"], ["lit"]),
             make_node("Sub", ["lit", "centre"], ["centred"]),
             make_node("SpaceToDepth", ["centred"], ["mask_latent"], blocksize=block)]
    inputs = (tensor("one_hot", len(GREYS), *shape), tensor("known", len(GREYS)))
    outputs = (tensor("mask_latent", block * block, *latent),)

    def function(one_hot: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
        light = FREE * (1 - known).sum(axis=1).reshape(-1, 1, 1, 1)
        grey = np.einsum("nchw,c->nhw", one_hot, GREYS)[:, None] + light - CENTRE
        return {"mask_latent": space_to_depth(grey.astype(np.float32), block)}

    constants = {"greys": GREYS.reshape(1, -1, 1, 1), "centre": CENTRE, "one": np.float32(1),
                 "weights": np.full((len(GREYS), 1), FREE), "per_sample": np.array([-1, 1, 1, 1])}
    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)


def _attribute_encoder(attributes: int) -> Graph:
    """Tokens (N, A, 2): for each attribute its value, 0 where undefined, and whether it is defined."""
    nodes = [make_node("Unsqueeze", ["attributes", "last"], ["values"]),
             make_node("Unsqueeze", ["defined", "last"], ["flags"]),
             make_node("Concat", ["values", "flags"], ["attribute_tokens"], axis=2)]
    inputs = (tensor("attributes", attributes), tensor("defined", attributes))
    outputs = (tensor("attribute_tokens", attributes, 2),)

    def function(attributes: np.ndarray, defined: np.ndarray) -> dict[str, np.ndarray]:
        return {"attribute_tokens": np.stack([attributes, defined], axis=2)}

    return Graph(model(nodes, inputs, outputs, {"last": np.array([2])}), inputs, outputs, function)


def _share_encoder(shape: tuple[int, int]) -> Graph:
    """Tokens (N, labels, 1): the share of the image that each label takes."""
    nodes = [make_node("ReduceMean", ["one_hot", "axes"], ["shares"], keepdims=0),
             make_node("Unsqueeze", ["shares", "last"], ["share_tokens"])]
    inputs, outputs = (tensor("one_hot", len(GREYS), *shape),), (tensor("share_tokens", len(GREYS), 1),)

    def function(one_hot: np.ndarray) -> dict[str, np.ndarray]:
        return {"share_tokens": one_hot.mean(axis=(2, 3))[:, :, None]}

    return Graph(model(nodes, inputs, outputs, {"axes": np.array([2, 3]), "last": np.array([2])}), inputs, outputs,
                 function)


def _denoiser(channels: int, latent: tuple[int, int], conditions: Sequence[ConditionSpec]) -> Graph:
    """prediction = 0.02 tanh(x) + 0.01 tanh(timestep / T) + spatial conditions + WEIGHTS . tokens"""
    nodes = [make_node("Tanh", ["x"], ["bounded"]), make_node("Mul", ["bounded", "x_share"], ["from_x"]),
             make_node("Div", ["timestep", "steps"], ["time"]), make_node("Tanh", ["time"], ["time_bounded"]),
             make_node("Mul", ["time_bounded", "time_share"], ["time_scaled"]),
             make_node("Reshape", ["time_scaled", "per_sample"], ["from_time"])]
    inputs = [tensor("x", channels, *latent), tensor("timestep")]
    constants: dict[str, Any] = {"x_share": X_SHARE, "time_share": TIME_SHARE, "steps": np.float32(TRAIN_STEPS),
                                 "per_sample": np.array([-1, 1, 1, 1])}
    added = ["from_x", "from_time"]
    for name in (condition.feeds for condition in conditions):
        if name not in WEIGHTS:
            inputs.append(tensor(name, channels, *latent))
            added.append(name)
            continue
        inputs.append(tensor(name, *WEIGHTS[name].shape))
        constants[f"{name}_row"] = np.array([-1, WEIGHTS[name].size])
        constants[f"{name}_weights"] = WEIGHTS[name].reshape(-1, 1)
        nodes += [make_node("Reshape", [name, f"{name}_row"], [f"{name}_flat"]),
                  make_node("MatMul", [f"{name}_flat", f"{name}_weights"], [f"{name}_sum"]),
                  make_node("Reshape", [f"{name}_sum", "per_sample"], [f"from_{name}"])]
        added.append(f"from_{name}")
    nodes.append(make_node("Sum", added, ["prediction"]))

    def function(x: np.ndarray, timestep: np.ndarray, **fed: np.ndarray) -> dict[str, np.ndarray]:
        time = TIME_SHARE * np.tanh(timestep / np.float32(TRAIN_STEPS)).reshape(-1, 1, 1, 1)
        given = [tokens if name not in WEIGHTS else (tokens * WEIGHTS[name]).sum(axis=(1, 2)).reshape(-1, 1, 1, 1)
                 for name, tokens in fed.items()]
        return {"prediction": X_SHARE * np.tanh(x) + time + sum(given, np.float32(0))}

    outputs = (tensor("prediction", channels, *latent),)
    return Graph(model(nodes, inputs, outputs, constants), tuple(inputs), outputs, function)


def _decoder(shape: tuple[int, int], latent: tuple[int, int]) -> Graph:
    block = shape[0] // latent[0]
    nodes = [make_node("DepthToSpace", ["latent"], ["centred"], blocksize=block),
             make_node("Add", ["centred", "centre"], ["mean"]),
             make_node("Mul", ["texture_noise", "texture"], ["grain"]),
             make_node("Add", ["mean", "grain"], ["raw"]), make_node("Clip", ["raw", "low", "high"], ["image"])]
    inputs = (tensor("latent", block * block, *latent), tensor("texture_noise", 1, *shape))
    outputs = (tensor("image", 1, *shape),)

    def function(latent: np.ndarray, texture_noise: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": np.clip(depth_to_space(latent, block) + CENTRE + TEXTURE * texture_noise, 0, 1)}

    constants = {"centre": CENTRE, "texture": TEXTURE, "low": np.float32(0), "high": np.float32(1)}
    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)


def _encoder(shape: tuple[int, int], latent: tuple[int, int]) -> Graph:
    block = shape[0] // latent[0]
    nodes = [make_node("Sub", ["image", "centre"], ["centred"]),
             make_node("SpaceToDepth", ["centred"], ["latent"], blocksize=block)]
    inputs, outputs = (tensor("image", 1, *shape),), (tensor("latent", block * block, *latent),)

    def function(image: np.ndarray) -> dict[str, np.ndarray]:
        return {"latent": space_to_depth(image - CENTRE, block)}

    return Graph(model(nodes, inputs, outputs, {"centre": CENTRE}), inputs, outputs, function)


def _segmenter(shape: tuple[int, int]) -> Graph:
    """logits[c] = -100 (image - grey of c)**2"""
    nodes = [make_node("Sub", ["image", "greys"], ["off"]), make_node("Mul", ["off", "off"], ["square"]),
             make_node("Mul", ["square", "slope"], ["logits"])]
    inputs, outputs = (tensor("image", 1, *shape),), (tensor("logits", len(GREYS), *shape),)
    greys = GREYS.reshape(1, -1, 1, 1)

    def function(image: np.ndarray) -> dict[str, np.ndarray]:
        return {"logits": np.float32(-100) * (image - greys) ** 2}

    return Graph(model(nodes, inputs, outputs, {"greys": greys, "slope": np.float32(-100)}), inputs, outputs, function)


def _features(shape: tuple[int, int]) -> Graph:
    """The mean grey, the mean square and the mean of the left half: three features."""
    left = (np.arange(shape[1]) < shape[1] // 2).astype(np.float32)
    nodes = [make_node("Mul", ["image", "image"], ["square"]), make_node("Mul", ["image", "left"], ["half"]),
             make_node("Concat", ["image", "square", "half"], ["maps"], axis=1),
             make_node("ReduceMean", ["maps", "axes"], ["features"], keepdims=0)]
    inputs, outputs = (tensor("image", 1, *shape),), (tensor("features", 3),)

    def function(image: np.ndarray) -> dict[str, np.ndarray]:
        return {"features": np.concatenate([image, image * image, image * left], axis=1).mean(axis=(2, 3))}

    return Graph(model(nodes, inputs, outputs, {"left": left, "axes": np.array([2, 3])}), inputs, outputs, function)


def acquisition_graph(shape: tuple[int, int], spec: AcquisitionSpec) -> Graph:
    """Nodes of ONNX, and the runtime's own physics beside them."""
    nodes, constants = acquisition_nodes(shape, spec)
    inputs = (tensor("image", 1, *shape), tensor("thermal_noise", 1, *shape), *map(tensor, spec.inputs))
    outputs = (tensor("acquired", 1, *shape),)

    def function(image: np.ndarray, thermal_noise: np.ndarray, **normals: np.ndarray) -> dict[str, np.ndarray]:
        made = spec.scanner((1.0, 1.0)).acquire(image, thermal_noise, spec.scan(normals))
        return {"acquired": made.astype(np.float32)}

    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)


def space_to_depth(image: np.ndarray, block: int) -> np.ndarray:
    """(N, 1, H, W) -> (N, block * block, H / block, W / block), as ONNX orders it."""
    count, _, rows, columns = image.shape
    cut = image.reshape(count, rows // block, block, columns // block, block)
    return cut.transpose(0, 2, 4, 1, 3).reshape(count, block * block, rows // block, columns // block)


def depth_to_space(latent: np.ndarray, block: int) -> np.ndarray:
    count, _, rows, columns = latent.shape
    cut = latent.reshape(count, block, block, rows, columns).transpose(0, 3, 1, 4, 2)
    return cut.reshape(count, 1, rows * block, columns * block)


def make_generator(folder: Path, *, shape: tuple[int, int] = (128, 128), latent: tuple[int, int] = (32, 32),
                   steps: int = 4, batch_size: int = 4, sampler: str = "ddim", name: str = "tiny-generator",
                   encoder: bool = False, conditions: Sequence[str] = ("mask",), null: float | None = None,
                   guidance: float = 1.0, acquisition: AcquisitionSpec | None = None) -> Path:
    """Write a generator bundle of the lge domain and return its folder. `encoder`: also the optional encoder graph.
    `conditions`: keys of CONDITIONS. `null`: all numbers of every condition's null; 0 paints the grey `CENTRE`.
    `acquisition`: of a last graph."""
    folder.mkdir(parents=True)
    channels, domain = (shape[0] // latent[0]) ** 2, get_domain("lge")
    specs = [CONDITIONS[key] for key in conditions]
    encoders = {"mask_encoder": _mask_encoder(shape, latent), "partly_encoder": _partly_encoder(shape, latent),
                "share_encoder": _share_encoder(shape), "attribute_encoder": _attribute_encoder(len(domain.attributes))}
    graphs = {"denoiser": _denoiser(channels, latent, specs),
              **{spec.encoder: encoders[spec.encoder] for spec in specs}, "decoder": _decoder(shape, latent),
              **({"encoder": _encoder(shape, latent)} if encoder else {}),
              **({"acquisition": acquisition_graph(shape, acquisition)} if acquisition else {})}
    schedule = ScheduleSpec("sample", TRAIN_STEPS,
                            tuple(NoiseSchedule.cosine(TRAIN_STEPS, prediction_type="sample").alphas_cumprod.tolist()))
    outputs = [f"{role}/{spec.name}" for role, graph in graphs.items() for spec in graph.outputs]
    manifest = Manifest(
        **_common(name, "generator", shape), graphs={role: graph.write(folder, role) for role, graph in graphs.items()},
        reference=ReferenceSpec("reference.npz", "0" * 64, SEED,
                                dict.fromkeys([*outputs, "loop/latent", "loop/image"], 1e-5)),
        attributes=tuple(AttributeSpec(a.name, a.unit, a.low, a.high, (a.low + a.high) / 2, (a.high - a.low) / 4)
                         for a in domain.attributes),
        latent=LatentSpec(channels, latent, (0.0,) * channels, (1.0,) * channels), schedule=schedule,
        conditions=tuple(_with_null(spec, channels, null) for spec in specs),
        sampling=SamplingSpec(sampler, steps, "trailing", 0.0, batch_size, guidance), acquisition=acquisition)
    return _finish(folder, manifest, graphs, _loop_case(manifest, graphs, shape))


def _with_null(spec: ConditionSpec, channels: int, null: float | None) -> ConditionSpec:
    count = WEIGHTS[spec.feeds].size if spec.kind == "vector" else channels
    return dataclasses.replace(spec, null=None if null is None else (null,) * count)


def make_segmenter(folder: Path, *, shape: tuple[int, int] = (128, 128), name: str = "tiny-segmenter") -> Path:
    """Write a segmenter bundle of the lge domain and return its folder."""
    folder.mkdir(parents=True)
    graphs = {"segmenter": _segmenter(shape), "features": _features(shape)}
    plain_grey = (ChannelNormalisation("NoNormalization"),)
    manifest = Manifest(
        **_common(name, "segmenter", shape), graphs={role: graph.write(folder, role) for role, graph in graphs.items()},
        reference=ReferenceSpec("reference.npz", "0" * 64, SEED, {"segmenter/logits": 1e-4, "features/features": 1e-5}),
        segmenter=SegmenterSpec(shape, tuple(range(len(GREYS))), (1.0, 1.0), plain_grey))
    return _finish(folder, manifest, graphs, None)


def _common(name: str, kind: str, shape: tuple[int, int]) -> dict[str, Any]:
    labels = get_domain("lge").labels
    return {"name": name, "bundle_version": "1", "kind": kind, "domain": "lge", "description": f"A {kind} for tests.",
            "intended_use": "Tests.", "licence": "Apache-2.0", "labels": LabelsSpec(labels.names, labels.regions),
            "image": ImageSpec(1, shape, "NCHW", (0.0, 1.0), (1.0, 1.0), NormalisationSpec("percentile", 0.5, 99.5))}


def _loop_case(manifest: Manifest, graphs: Mapping[str, Graph], shape: tuple[int, int]) -> ReferenceCase:
    """Two samples; of the second one, every second attribute is undefined."""
    domain, random = get_domain("lge"), np.random.default_rng(SEED)
    masks = random.integers(0, len(GREYS), (2, *shape)).astype(np.uint8)
    requested = random.random((2, len(domain.attributes)), dtype=np.float32)
    requested[1, 1::2] = np.nan
    sources = encoder_inputs(manifest, domain, masks, requested)
    pipeline = Pipeline(manifest, {role: NumpyEngine(graph) for role, graph in graphs.items()})
    indices = np.arange(2)
    batch = pipeline.sample(sources, pipeline.plan(manifest.sampling), SEED, indices)
    noise = decoder_noise(manifest.graphs["decoder"], SEED, indices) | scan_noise(manifest, SEED, indices)
    x = initial_noise(manifest.graphs["denoiser"], SEED, indices)
    return ReferenceCase({"x": x, **sources, **noise}, {"latent": batch.latent, "image": batch.image})


def _finish(folder: Path, manifest: Manifest, graphs: Mapping[str, Graph], loop: ReferenceCase | None) -> Path:
    """Write the reference, then the manifest with its hash."""
    random = np.random.default_rng(SEED)
    cases = {}
    for role, graph in graphs.items():
        inputs = {spec.name: random.random((2, *spec.shape[1:]), dtype=np.float32) for spec in graph.inputs}
        cases[role] = ReferenceCase(inputs, graph.function(**inputs))
    digest = write_reference(folder / "reference.npz", Reference(cases, loop, None).to_arrays())
    final = dataclasses.replace(manifest, reference=dataclasses.replace(manifest.reference, sha256=digest))
    (folder / "manifest.json").write_text(final.to_json(), encoding="utf-8")
    return folder
