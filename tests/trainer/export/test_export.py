"""Untrained networks through the whole export, opened again by the runtime."""

import copy
import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.models import condition_input
from cldm_trainer.export.generator import GeneratorExport, Networks
from cldm_trainer.export.manifest_sections import TrainingFacts, distribution_section
from cldm_trainer.export.parity import GraphParity, ParityError, compare_graph, require
from cldm_trainer.export.settings import BundleSettings, without_paths
from cldm_trainer.graphs.accurate_norm import AccurateGroupNorm, use_accurate_norms
from cldm_trainer.graphs.read_weights import node_inputs, read_weights
from cldm_trainer.graphs.write import export_graph, round_to_bytes, round_to_half, write_matmul
from cldm_trainer.networks import Affine, Codec, Denoiser, Encoder, MaskEncoder, Texture, TexturedDecoder
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training.batches import one_hot

CONFIG = Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml"
SAID: list[str] = []  # by the export of `bundle`


@pytest.fixture(scope="module")
def untrained() -> GeneratorExport:
    torch.manual_seed(0)
    config = load_config(CONFIG)
    config = dataclasses.replace(config, export=dataclasses.replace(config.export, steps=3))
    image_codec, mask_codec = Codec(1, config.image_codec).eval(), Codec(5, config.mask_codec).eval()
    affine = Affine(torch.zeros(image_codec.latent_channels), torch.ones(image_codec.latent_channels))
    mask_affine = Affine(torch.zeros(mask_codec.latent_channels), torch.ones(mask_codec.latent_channels))
    texture = Texture(image_codec.latent_channels, config.texture.channels, image_codec.stride)
    networks = Networks(
        Denoiser(image_codec.latent_channels, condition_input(Design.of(config)), config.diffusion).eval(),
        MaskEncoder(mask_codec, mask_affine).eval(),
        TexturedDecoder(image_codec, affine, texture).eval(),
        Encoder(image_codec, affine).eval(),
    )
    with torch.no_grad():  # as MONAI makes it, the last layer is zero, and a denoiser that says nothing is always right
        for parameter in networks.denoiser.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    masks = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (2, 128, 128)).astype(np.uint8))
    attributes = np.array([[0.1, 0.5, 0.2, 0.5], [0.0, np.nan, 0.0, 1.0]], dtype=np.float32)
    training = TrainingFacts({"train_slices": 2}, attributes, torch.rand(2, 1, 128, 128), one_hot(masks, 5),
                             natures=("patients", "phantom"))
    return GeneratorExport(BundleSettings.of(config), networks, NoiseSchedule.linear(prediction_type="v"), training)


@pytest.fixture(scope="module")
def bundle(untrained: GeneratorExport, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    telling = dataclasses.replace(untrained, say=SAID.append)
    return Bundle.load(telling.write(tmp_path_factory.mktemp("bundles") / "lge"))


def test_an_export_says_what_it_is_doing(bundle: Bundle) -> None:
    assert [text for text in SAID if "the graph " in text] == [
        f"comparing the graph {role} with torch" for role in bundle.manifest.graphs]
    assert SAID[0] == "writing the graphs" and SAID[-1] == "measuring its images of the cohort's label maps"


def test_the_runtime_opens_and_replays_an_exported_bundle(bundle: Bundle) -> None:
    assert all(check.passed for check in verify_bundle(bundle))
    assert list(bundle.manifest.graphs) == ["denoiser", "mask_encoder", "decoder", "encoder"]


def test_graphs_take_any_batch_size(bundle: Bundle) -> None:
    engine = open_graph(bundle, "encoder")
    images = np.random.default_rng(0).random((5, 1, 128, 128), dtype=np.float32)
    noise = np.zeros((5, 4, 32, 32), np.float32)
    whole = engine.run({"image": images, "posterior_noise": noise})["latent"]
    rows = ({"image": images[i : i + 1], "posterior_noise": noise[:1]} for i in range(5))
    single = np.concatenate([engine.run(row)["latent"] for row in rows])
    assert whole.shape == (5, 4, 32, 32)
    np.testing.assert_allclose(whole, single, atol=1e-5)


def test_parity_is_recorded_in_manifest_and_card(bundle: Bundle) -> None:
    parity = bundle.manifest.quality["parity"]
    assert {row["inputs"] for row in parity} == {"random", "cohort", "reference"}
    assert max(row["max_abs"] for row in parity if not row["what"].startswith("loop")) <= 1e-4
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "Not a medical device" in card
    assert "| loop/image | reference | 2 |" in card


def test_weights_that_began_on_phantoms_say_so(bundle: Bundle) -> None:
    assert bundle.manifest.nature == "patients" and bundle.manifest.provenance["natures"] == ["patients", "phantom"]
    assert (bundle.path / "MODEL_CARD.md").read_text().split("\n\n")[1] == (
        "Trained on images of patients. Some of its weights were trained on drawn phantoms too.")


def test_no_path_of_the_machine_is_written(bundle: Bundle) -> None:
    for name in ["manifest.json", "MODEL_CARD.md", *bundle.manifest.files()]:
        assert str(Path(__file__).parents[3]).encode() not in (bundle.path / name).read_bytes(), name


def test_a_trace_holds_no_path_no_input_and_no_device(bundle: Bundle) -> None:
    roots = [str(path).encode() for path in (Path(__file__).parents[3], Path(torch.__file__).parents[1])]
    for role, graph in bundle.manifest.graphs.items():
        assert graph.torchscript is not None
        archive = zipfile.ZipFile(io.BytesIO(bundle.read(graph.torchscript)))
        held = {name: archive.read(name) for name in archive.namelist()}
        assert not any(root in data for data in held.values() for root in roots), role
        assert not any("debug_pkl" in name or "traced_inputs" in name for name in held)
        assert any(name.endswith(".py") for name in held)
        assert not any(b"torch.device" in data for name, data in held.items() if name.endswith(".py")), role


def test_a_trace_computes_what_torch_computes(untrained: GeneratorExport, bundle: Bundle) -> None:
    rows = {row["what"]: row["max_abs"] for row in bundle.manifest.quality["parity"] if "TorchScript" in row["what"]}
    assert list(rows) == [f"{role} (TorchScript)" for role in bundle.manifest.graphs] and max(rows.values()) <= 1e-4
    with torch.no_grad():
        for parameter in (another := copy.deepcopy(untrained.networks.denoiser)).parameters():
            parameter.add_(0.05)
    cases = {"cohort": untrained.example_inputs()["cohort"]["denoiser"]}
    with pytest.raises(ParityError, match=r"denoiser \(TorchScript\), 2 cohort inputs"):
        require(compare_graph(bundle, "denoiser", another, cases, 1e-4))


def test_an_existing_bundle_is_replaced_only_by_force(untrained: GeneratorExport, bundle: Bundle) -> None:
    before = (bundle.path / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="--force"):
        untrained.write(bundle.path)
    assert (bundle.path / "manifest.json").read_bytes() == before


def test_force_replaces_nothing_but_a_bundle(untrained: GeneratorExport, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="not a bundle"):
        untrained.write(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").exists()


def test_failed_parity_leaves_the_old_bundle(untrained: GeneratorExport, bundle: Bundle) -> None:
    settings = untrained.settings
    strict = dataclasses.replace(settings, export=dataclasses.replace(settings.export, parity_tolerance=1e-12))
    before = (bundle.path / "manifest.json").read_bytes()
    with pytest.raises(ParityError, match="denoiser, 2 random inputs: differs from torch by"):
        dataclasses.replace(untrained, settings=strict).write(bundle.path, force=True)
    assert (bundle.path / "manifest.json").read_bytes() == before
    assert [path.name for path in bundle.path.parent.iterdir()] == ["lge"]


def test_parity_fails_on_nan() -> None:
    with pytest.raises(ParityError, match="decoder"):
        require([GraphParity("decoder", "cohort", 1, float("nan"), 1e-4)])


def test_weights_in_int8_are_measured_and_the_bundle_says_so(
        untrained: GeneratorExport, bundle: Bundle, tmp_path: Path) -> None:
    settings = untrained.settings
    section = dataclasses.replace(settings.export, weights="int8")
    export = dataclasses.replace(untrained, settings=dataclasses.replace(settings, export=section), torchscript=False)
    small = Bundle.load(export.write(tmp_path / "small"))
    figures = small.manifest.quality["rounding"]
    assert figures["stored"] == "int8" and set(figures["change"]) == set(small.manifest.graphs)
    assert 0.001 < figures["change"]["denoiser"] < figures["limit"] and figures["change"]["decoder"] < 0.001
    kinds = [{tensor.data_type for tensor in onnx.load(str(small.path / f"{role}.onnx")).graph.initializer}
             for role in ("denoiser", "decoder")]
    assert onnx.TensorProto.INT8 in kinds[0] and onnx.TensorProto.FLOAT16 in kinds[1]
    assert "| denoiser | 0.0" in (small.path / "MODEL_CARD.md").read_text()
    assert "rounding" not in bundle.manifest.quality


def test_attention_becomes_matmul_with_the_same_result() -> None:
    class Attention(torch.nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bhxy,bhyd->bhxd", torch.einsum("blxd,blyd->blxy", q, k), k)

    q, k = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 5, 4)
    model = onnx.load_from_string(export_graph(Attention(), {"q": q, "k": k}, ["out"]))
    assert {node.op_type for node in model.graph.node} == {"Transpose", "MatMul"}
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"q": q.numpy(), "k": k.numpy()})[0]
    np.testing.assert_allclose(found, (q @ k.mT @ k).numpy(), rtol=1e-5)


def test_another_einsum_is_left_alone() -> None:
    node = onnx.helper.make_node("Einsum", ["a", "b"], ["c"], equation="ij,kj->ik")
    graph = onnx.helper.make_graph([node], "g", [], [])
    assert write_matmul(onnx.helper.make_model(graph)).graph.node[0].op_type == "Einsum"


def test_paths_do_not_enter_the_provenance() -> None:
    assert without_paths({"cohort": {"folder": "/patients/smith", "seed": 1}}) == {"cohort": {"seed": 1}}


def test_the_distribution_is_json_with_null_for_undefined() -> None:
    values = np.array([[0.2, np.nan, 0.1, 0.5], [0.1, 0.33333, 0.1, 0.5]], dtype=np.float32)
    rows = json.loads(json.dumps(distribution_section(get_domain("lge"), values)))["rows"]
    assert rows == [[0.1, 0.3333, 0.1, 0.5], [0.2, None, 0.1, 0.5]]


@pytest.mark.parametrize(("rounded", "share"), [(round_to_half, 0.6), (round_to_bytes, 0.4)])
def test_rounded_weights_take_fewer_bytes_and_compute_the_same(rounded: Any, share: float) -> None:
    import onnxruntime

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(8, 64, 3), torch.nn.Linear(6, 192, bias=False))
    x = torch.randn(2, 8, 8, 8)
    exact, before = export_graph(module, {"x": x}, ["y"]), copy.deepcopy(module)
    rounded(module)
    data = export_graph(module, {"x": x}, ["y"])
    assert len(data) < share * len(exact)
    found = onnxruntime.InferenceSession(data).run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(found, module(x).detach().numpy(), atol=1e-5)
    assert float((module(x) - before(x)).detach().abs().max()) < 0.02


def test_weights_in_bytes_differ_by_half_a_step_of_their_own_channel() -> None:
    torch.manual_seed(0)
    module = torch.nn.Conv2d(8, 64, 3)
    with torch.no_grad():
        module.weight[0] *= 100
        module.weight[1] = 0
    before = module.weight.detach().clone()
    round_to_bytes(module)
    step = before.abs().amax((1, 2, 3), keepdim=True) / 127 * (1 + 2**-10)
    assert bool(((module.weight - before).abs() <= step / 2).all())


def test_small_storage_is_read_back_for_adoption() -> None:
    torch.manual_seed(0)
    module = torch.nn.Linear(64, 96, bias=False)
    round_to_bytes(module)
    model = onnx.load_from_string(export_graph(module, {"x": torch.randn(2, 64)}, ["y"]))
    assert [node.op_type for node in model.graph.node][:2] == ["Cast", "Mul"]
    (values,), ((_, name),) = read_weights(model).values(), node_inputs(model)
    assert name in read_weights(model)
    np.testing.assert_array_equal(values if values.shape == (96, 64) else values.T, module.weight.detach().numpy())


@torch.no_grad()
def test_accurate_norm_keeps_its_digits_on_constant_regions() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.GroupNorm(2, 4))
    x = torch.zeros(1, 4, 128, 128)
    x[..., 40:50, 40:50] = 1.0
    x += torch.tensor([0.1, 0.3, 0.7, 0.9])[:, None, None]
    exact = copy.deepcopy(module).double()(x.double())
    use_accurate_norms(module)
    assert isinstance(module[0], AccurateGroupNorm)
    assert float((module(x) - exact).abs().max()) < 1e-5
