"""A run folder from a bundle: to train on where its run folder is gone, or on a cohort of one's own.

The graphs of a bundle hold its weights under names that the exporter chose, equal weights once. Where a weight stands
is found by exporting the same network with weights that are all different: the nodes come in the same order again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from cldm_runtime.bundle import Bundle
from cldm_runtime.domain import get_domain
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.manifest import GraphSpec

from . import checkpoint
from .config import Config, OptimiserConfig, plain
from .export.accurate_norm import use_accurate_norms
from .export.conditions import condition_facts
from .export.graphs import HALF, INT8, SCALE, export_graph
from .networks import (
    Affine,
    AttributeTokens,
    Codec,
    Denoiser,
    Encoder,
    LabelVectorEncoder,
    MaskEncoder,
    TexturedDecoder,
)
from .stages import codec, diffusion, latents, texture
from .stages.conditions import make_encoder, make_model
from .stages.label_vae import untrained_label_vae

Weights = dict[str, NDArray[np.float32]]
_CODEC_ROLES = ("encoder", "decoder", "mask_encoder")
Places = dict[str, tuple[int, int, bool]]  # weight of a module -> which input of which node it is; whether transposed


def adopt(config: Config, folder: Path) -> Path:
    """Write the weights of a mask-conditioned bundle into the stages of `config`'s run; returns the run's folder.

    Every stage stands at the step that the bundle states, with a fresh optimiser: raise its `steps` to go on. The mask
    codec's decoder is in no bundle and stays untrained; nothing but more training of that codec needs it.
    Raises InputError where the run has weights already or its networks differ from the bundle's, BundleError for a
    faulty bundle.
    """
    bundle = Bundle.load(folder)
    roles = [condition.encoder for condition in bundle.manifest.conditions]
    if roles != ["mask_encoder"] or config.diffusion.condition != "mask":
        raise InputError(f"{folder}: conditioned by {', '.join(roles) or 'nothing'}, the configuration by "
                         f"{config.diffusion.condition}. Only bundles conditioned by the mask's latent can be adopted.")
    stages = (codec.IMAGE_STAGE, codec.MASK_STAGE, latents.STAGE, texture.STAGE, diffusion.STAGE)
    begun = [name for name in stages if any((config.run_folder / name).glob("*"))]
    if begun:
        raise InputError(f"{config.run_folder}: already holds {', '.join(begun)}. Choose another run.name, or delete "
                         "it.")
    modules = untrained(config)
    found = {}
    for role, module in modules.items():
        graph = bundle.manifest.graphs[role]
        found[role] = fill(module, graph, (bundle.path / graph.file).read_bytes(), role)
    _require_all(modules, found)
    _save(config, modules, bundle)
    return config.run_folder


def teacher_bundle(config: Config) -> Bundle:
    """The bundle that is distilled. Raises InputError where the configuration names none, BundleError for a bad one."""
    if not config.distil.bundle:
        raise InputError("distil.bundle: empty, expected the folder of the generator to distil, for example "
                         "exported/lge-teacher.")
    return Bundle.load(config.distil.bundle)


def load_denoiser(config: Config, bundle: Bundle) -> Denoiser:
    """The denoiser of a generator bundle of any condition, without its null condition, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration's [diffusion] describes.
    """
    manifest = bundle.manifest
    if manifest.kind != "generator" or len(manifest.conditions) != 1 or manifest.latent is None:
        raise InputError(f"{bundle.path}: is a {manifest.kind} with {len(manifest.conditions)} condition(s), expected "
                         "a generator with one.")
    told = condition_facts(config.diffusion.condition).encoder
    if manifest.conditions[0].encoder != told:
        raise InputError(f"{bundle.path}: its condition comes from {manifest.conditions[0].encoder}, that of the "
                         f"configuration, {config.diffusion.condition}, from {told}.")
    graph = manifest.graphs["denoiser"]
    shape = [int(size) for size in graph.input(manifest.conditions[0].feeds).shape[1:]]
    denoiser = Denoiser(manifest.latent.channels, shape, replace(config.diffusion, condition_dropout=0.0))
    found = fill(denoiser, graph, (bundle.path / graph.file).read_bytes(), "denoiser")
    missing = set(denoiser.state_dict()) - found
    if missing:
        raise InputError(f"{bundle.path}: the denoiser's graph lacks {', '.join(sorted(missing)[:5])}.")
    return denoiser.eval().requires_grad_(False)


def load_module(config: Config, bundle: Bundle, role: str) -> nn.Module:
    """The encoder, decoder or condition's encoder of a bundle in torch, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration describes, or the bundle has none.
    """
    if role not in bundle.manifest.graphs:
        raise InputError(f"{bundle.path}: has no {role}; it has {', '.join(bundle.manifest.graphs)}.")
    told, graph = _condition_encoder(config), bundle.manifest.graphs[role]
    module = told if told is not None and role not in _CODEC_ROLES else _codec_modules(config)[role]
    fill(module, graph, (bundle.path / graph.file).read_bytes(), role)
    return module.eval().requires_grad_(False)


def untrained(config: Config) -> dict[str, nn.Module]:
    """The networks of the configuration by graph role."""
    return {**_codec_modules(config), "denoiser": make_model(config)}


def _condition_encoder(config: Config) -> nn.Module | None:
    """The untrained encoder of a condition that is no mask's latent; None for one that is."""
    learned = make_encoder(config)
    if config.diffusion.condition == "label-vae":
        assert isinstance(learned, AttributeTokens)
        return LabelVectorEncoder(untrained_label_vae(config), learned)
    return learned


def _codec_modules(config: Config) -> dict[str, nn.Module]:
    """The networks of the codecs by graph role. Encoder and decoder share the image codec."""
    classes = len(get_domain(config.cohort.domain).labels)
    image, masks = Codec(1, config.image_codec), Codec(classes, config.mask_codec)
    affine = _no_affine(image.latent_channels)
    return {
        "encoder": Encoder(image, affine),
        "decoder": TexturedDecoder(image, affine, texture.make_texture(config)),
        "mask_encoder": MaskEncoder(masks, _no_affine(masks.latent_channels)),
    }


def _no_affine(channels: int) -> Affine:
    return Affine(torch.zeros(channels), torch.ones(channels))


def read_weights(model: onnx.ModelProto) -> Weights:
    """Weights of an ONNX graph by name, in single precision."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
            if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)}
    scales = {name.removesuffix(SCALE): held.pop(name) for name in list(held) if name.endswith(SCALE)}
    plain = {name.removesuffix(HALF).removesuffix(INT8): values.astype(np.float32) for name, values in held.items()}
    return {name: values * scales.get(name, np.float32(1)) for name, values in plain.items()}


def node_inputs(model: onnx.ModelProto) -> list[list[str]]:
    """The inputs of every node in order, without the nodes that unpack weights in small storage."""
    return [list(node.input) for node in model.graph.node
            if not (node.op_type == "Cast" and node.input[0].endswith((HALF, INT8)))
            and not (node.op_type == "Mul" and node.input[1].endswith(SCALE))]


def weight_places(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Iterable[str]) -> Places:
    """Where each weight of the module stands in its exported graph; those that the graph does not use are left out.

    Changes the module's weights.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.state_dict().values():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    model = onnx.load_from_string(export_graph(module, inputs, list(outputs)))
    first = {name: (i, j) for i, names in reversed(list(enumerate(node_inputs(model)))) for j, name in enumerate(names)}
    used = {name: values for name, values in read_weights(model).items() if name in first}
    turned = {tuple(values.T.ravel()[:16]): (*first[name], True) for name, values in used.items() if values.ndim == 2}
    plain_order = {tuple(values.ravel()[:16]): (*first[name], False) for name, values in used.items()}
    known = turned | plain_order
    keys = {key: tuple(value.numpy().ravel()[:16]) for key, value in module.state_dict().items()}
    return {key: known[values] for key, values in keys.items() if values in known}


def fill(module: nn.Module, graph: GraphSpec, data: bytes, role: str) -> set[str]:
    """Put the weights of a bundle's graph into a module; those that the graph lacks stay as they are. Returns the names
    of those that it has."""
    before = {key: value.clone() for key, value in module.state_dict().items()}
    if role == "mask_encoder":
        use_accurate_norms(module)
    inputs = {spec.name: torch.ones((2, *(int(size) for size in spec.shape[1:]))) for spec in graph.inputs}
    places = weight_places(module, inputs, [spec.name for spec in graph.outputs])
    model = onnx.load_from_string(data)
    stored, nodes = read_weights(model), node_inputs(model)
    faults = []
    for key, (i, j, transposed) in places.items():
        name = nodes[i][j] if i < len(nodes) and j < len(nodes[i]) else ""
        values = stored.get(name)
        if values is None or values.size != before[key].numel():
            faults.append(f"{key}: expected {tuple(before[key].shape)}, found "
                          f"{'nothing' if values is None else values.shape}")
            continue
        before[key] = torch.from_numpy((values.T if transposed else values).copy()).reshape(before[key].shape)
    if faults:
        raise InputError(f"graph {graph.file} is not the network that the configuration describes, or was exported by "
                         "another version: " + "; ".join(faults[:5]))
    module.load_state_dict(before)
    return set(places)


def _require_all(modules: Mapping[str, nn.Module], found: Mapping[str, set[str]]) -> None:
    """Raise InputError for a weight of the denoiser, the image codec or its texture that no graph holds."""
    both = found["encoder"] | found["decoder"]
    missing = {key for role in ("encoder", "decoder") for key in modules[role].state_dict()} - both
    missing |= set(modules["denoiser"].state_dict()) - found["denoiser"] - {"null"}
    missing |= {"affine.mean", "affine.std"} - found["mask_encoder"]
    if missing:
        raise InputError("the bundle's graphs lack " + ", ".join(sorted(missing)[:5]) + ". It was exported by another "
                         "version of cldm-trainer or of torch.")


def _save(config: Config, modules: Mapping[str, nn.Module], bundle: Bundle) -> None:
    decoder, masks, denoiser = modules["decoder"], modules["mask_encoder"], modules["denoiser"]
    assert isinstance(decoder, TexturedDecoder) and isinstance(masks, MaskEncoder) and isinstance(denoiser, Denoiser)
    if denoiser.null is not None:
        null = bundle.manifest.conditions[0].null
        if null is None:
            raise BundleError(f"{bundle.path}: states no null condition. Set diffusion.condition_dropout = 0.")
        with torch.no_grad():
            denoiser.null.copy_(torch.tensor(null))
    steps = bundle.manifest.provenance.get("steps", {})
    for stage, module, optimiser in (
        (codec.IMAGE_STAGE, decoder.codec, config.image_codec.optimiser),
        (texture.STAGE, decoder.texture, config.texture.optimiser),
        (diffusion.STAGE, denoiser, config.diffusion.optimiser),
    ):
        _save_stage(config.run_folder / stage, module, int(steps.get(stage, 0)), optimiser)
    _save_stage(config.run_folder / codec.MASK_STAGE, masks.codec, int(steps.get(codec.MASK_STAGE, 0)), None)
    for stage, section in ((codec.IMAGE_STAGE, config.image_codec), (codec.MASK_STAGE, config.mask_codec)):
        checkpoint.agree_on_config(config.run_folder / stage, {"seed": config.run.seed, **plain(section)}, begun=False)
    latents.keep_standardisation(config.run_folder / latents.STAGE, decoder.affine, masks.affine)


def _save_stage(folder: Path, module: nn.Module, step: int, optimiser: OptimiserConfig | None) -> None:
    """A stage's files; without an optimiser it can be used but not trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = module.state_dict()
    checkpoint.save_tensors(folder / checkpoint.MODEL, weights, {"step": str(step)})
    if optimiser is not None:
        fresh = torch.optim.AdamW(module.parameters(), lr=optimiser.learning_rate, weight_decay=optimiser.weight_decay)
        state = {"step": step, "model": weights, "average": weights, "optimiser": fresh.state_dict()}
        checkpoint.save_state(folder / checkpoint.STATE, state)
