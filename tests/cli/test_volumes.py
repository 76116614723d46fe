"""Volumes of two channels of a declared domain, from label maps to the report, by networks of a few nodes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from onnx.helper import make_node

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import (
    ConditionSpec,
    ImageSpec,
    LabelsSpec,
    LatentSpec,
    Manifest,
    NormalisationSpec,
    ReferenceSpec,
    SamplingSpec,
    ScheduleSpec,
)
from cldm_runtime.bundle.reference import ReferenceCase
from cldm_runtime.bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from cldm_runtime.cli.main import cldm
from cldm_runtime.cli.main import run as run_command
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.engines import free_memory
from cldm_runtime.generation.pipeline import Pipeline, initial_noise
from cldm_runtime.store import open_dataset
from onnx_fixtures import Graph, NumpyEngine, _finish, model, tensor

SHAPE, SPACING = (6, 16, 12), (3.0, 1.0, 1.0)
DOMAIN = Declaration("organ", 3, {"organ": 1, "tumour": 2}, {"whole": ("organ", "tumour"), "tumour": ("tumour",)},
                     lesion="tumour").domain()
GREYS = np.array([[0.1, 0.5, 0.9], [0.9, 0.5, 0.1]], np.float32)  # channel, label


def common(kind: str) -> dict:
    return {"name": f"volume-{kind}", "bundle_version": "1", "kind": kind, "domain": "organ", "description": "",
            "intended_use": "Tests.", "licence": "Apache-2.0", "declared_domain": DOMAIN.declaration,
            "labels": LabelsSpec(DOMAIN.labels.names, DOMAIN.labels.regions),
            "image": ImageSpec(2, SHAPE, "NCDHW", (0.0, 1.0), SPACING, NormalisationSpec("percentile", 0.5, 99.5))}


def graph(nodes, inputs, outputs, constants, function) -> Graph:
    return Graph(model(nodes, inputs, outputs, constants), inputs, outputs, function)


def generator(folder: Path) -> Path:
    """Images that show the grey of each label in each channel, without a codec."""
    folder.mkdir()
    weights = GREYS.reshape(2, 3, 1, 1, 1)
    image, latent = tensor("image", 2, *SHAPE), tensor("latent", 2, *SHAPE)
    fed, x = tensor("mask_latent", 2, *SHAPE), tensor("x", 2, *SHAPE)
    zero = np.float32(0)
    graphs = {
        "denoiser": graph(
            [make_node("Mul", ["x", "zero"], ["a"]), make_node("Mul", ["timestep", "zero"], ["t"]),
             make_node("Reshape", ["t", "each"], ["b"]), make_node("Sum", ["a", "b", "mask_latent"], ["prediction"])],
            (x, tensor("timestep"), fed), (tensor("prediction", 2, *SHAPE),),
            {"zero": zero, "each": np.array([-1, 1, 1, 1, 1])},
            lambda x, timestep, mask_latent: {"prediction": mask_latent}),
        "mask_encoder": graph([make_node("Conv", ["one_hot", "greys"], ["mask_latent"])],
                              (tensor("one_hot", 3, *SHAPE),), (fed,), {"greys": weights},
                              lambda one_hot: {"mask_latent": np.einsum("nkzyx,ck->nczyx", one_hot, GREYS)}),
        "decoder": graph([make_node("Clip", ["latent", "low", "high"], ["image"])], (latent,), (image,),
                         {"low": zero, "high": np.float32(1)}, lambda latent: {"image": np.clip(latent, 0, 1)})}
    alphas = NoiseSchedule.cosine(100, prediction_type="sample").alphas_cumprod
    outputs = [f"{role}/{spec.name}" for role, each in graphs.items() for spec in each.outputs]
    manifest = Manifest(
        **common("generator"), graphs={role: each.write(folder, role) for role, each in graphs.items()},
        reference=ReferenceSpec("r.npz", "0" * 64, 1, dict.fromkeys([*outputs, "loop/latent", "loop/image"], 1e-4)),
        latent=LatentSpec(2, SHAPE, (0.0,) * 2, (1.0,) * 2),
        schedule=ScheduleSpec("sample", 100, tuple(alphas.tolist())),
        conditions=(ConditionSpec("mask", "spatial", "masks", "mask_encoder", "mask_latent"),),
        sampling=SamplingSpec("ddim", 2, "trailing", 0.0, 2))
    one_hot = DOMAIN.labels.one_hot(maps()[:2])
    pipeline = Pipeline(manifest, {role: NumpyEngine(each) for role, each in graphs.items()})
    batch = pipeline.sample({"one_hot": one_hot}, pipeline.plan(manifest.sampling), 1, np.arange(2))
    noise = initial_noise(manifest.graphs["denoiser"], 1, np.arange(2))
    case = ReferenceCase({"x": noise, "one_hot": one_hot}, {"latent": batch.latent, "image": batch.image})
    return renamed(_finish(folder, manifest, graphs, case))


def segmenter(folder: Path) -> Path:
    """Tells labels by the grey of the first channel."""
    folder.mkdir()
    patch = (4, 16, 8)
    greys, first = GREYS[0].reshape(1, 3, 1, 1, 1), np.array([1, 0], np.float32).reshape(1, 2, 1, 1, 1)
    nodes = [make_node("Mul", ["image", "first"], ["a"]), make_node("ReduceSum", ["a", "axis"], ["b"], keepdims=1),
             make_node("Sub", ["b", "greys"], ["c"]), make_node("Mul", ["c", "c"], ["d"]),
             make_node("Neg", ["d"], ["logits"])]
    graphs = {"segmenter": graph(nodes, (tensor("image", 2, *patch),), (tensor("logits", 3, *patch),),
                                 {"first": first, "axis": np.array([1]), "greys": greys},
                                 lambda image: {"logits": -((image[:, :1] - greys) ** 2)})}
    manifest = Manifest(
        **common("segmenter"), graphs={role: each.write(folder, role) for role, each in graphs.items()},
        reference=ReferenceSpec("r.npz", "0" * 64, 1, {"segmenter/logits": 1e-5}),
        segmenter=SegmenterSpec(patch, (0, 1, 2), SPACING, (ChannelNormalisation("NoNormalization"),) * 2, (0, 1, 2),
                                mirror_axes=(0, 1, 2), kind="nnunet-3d"))
    return renamed(_finish(folder, manifest, graphs, None))


def renamed(folder: Path) -> Path:
    """`_finish` writes reference.npz; the manifest says r.npz."""
    (folder / "reference.npz").rename(folder / "r.npz")
    return folder


def maps() -> np.ndarray:
    labels = np.zeros((3, *SHAPE), np.uint8)
    labels[:, 1:5, 2:14, 2:10] = 1
    for number in range(3):
        labels[number, 2, 4:8, 4 : 6 + number] = 2
    return labels


def call(*arguments: object) -> int:
    return run_command(cldm, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file that was generated and evaluated, and its report."""
    folder = tmp_path_factory.mktemp("volumes")
    np.save(folder / "maps.npy", maps())
    assert call("gen", "--bundle", generator(folder / "g"), "--masks", folder / "maps.npy", "--n", 5,
                "--out", folder / "a.h5") == 0
    assert call("evaluate", folder / "a.h5", "--segmenter", segmenter(folder / "s"), "--out", folder / "out") == 0
    return folder


def test_a_batch_that_does_not_fit_in_memory_is_refused_before_it_is_generated(
        run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The denoiser's tensors: three of two channels, and the timestep, of two volumes."""
    needed = 2 * 4 * (3 * 2 * np.prod(SHAPE) + 1)
    command = ("gen", "--bundle", run / "g", "--masks", run / "maps.npy", "--n", 2, "--out", tmp_path / "a.h5")
    monkeypatch.setattr(free_memory, "free_bytes", lambda: needed - 1.0)
    assert call(*command) == 2 and not list(tmp_path.iterdir())
    assert "a batch of 2 volumes of [6, 16, 12] voxels needs at least" in capsys.readouterr().err
    monkeypatch.setattr(free_memory, "free_bytes", lambda: float(needed))
    assert call(*command) == 0


def test_both_bundles_verify(run: Path) -> None:
    for name in "gs":
        assert call("verify", run / name) == 0
        assert Bundle.load(run / name).domain().name == "organ"


def test_engines_are_compared_on_the_maps_of_the_reference(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", run / "g", "--segmenter", run / "s", "--samples", 2, "--provider", "cpu") == 0


def test_images_show_the_given_maps_in_both_channels(run: Path) -> None:
    with open_dataset(run / "a.h5") as dataset:
        assert dataset.load_domain().labels == DOMAIN.labels
        masks = dataset.masks()
        assert np.array_equal(masks, maps()[[0, 1, 2, 0, 1]])
        assert dataset.images() == pytest.approx(np.moveaxis(GREYS[:, masks], 0, 1), abs=1e-4)


def test_attributes_and_scores_are_those_of_the_maps(run: Path) -> None:
    with open_dataset(run / "a.h5") as dataset:
        found = dataset.segmentation("volume-segmenter")
        assert np.array_equal(found.masks(), dataset.masks())
        column = DOMAIN.attribute_names.index("tumour_volume")
        assert found.attributes[:, column].tolist() == [24, 36, 48, 24, 36]
        assert np.array_equal(found.attributes, dataset.requested)


def test_the_report_has_figures_and_pictures(run: Path) -> None:
    scores = json.loads((run / "out" / "scores.json").read_text())
    assert {region["region"] for region in scores["regions"]} == {"whole", "tumour"}
    page = next((run / "out").glob("*.html")).read_text(encoding="utf-8")
    assert re.search(r", planes \w+ \d of 6, \w+ \d of \d+, \w+ \d of \d+, channel 1 of 2", page)


def test_a_grid_alone_is_refused_because_the_domain_draws_nothing(
        run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "grid.csv").write_text("tumour_volume\n30\n")
    assert call("gen", "--bundle", run / "g", "--attributes", run / "grid.csv", "--out", run / "b.h5", "--n", 1) != 0
    assert "draws no label maps. Give some: cldm-gen --masks" in capsys.readouterr().err
