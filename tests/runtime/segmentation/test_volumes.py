"""The predictor of volumes against nnU-Net's own functions, a brute-force sliding window, and hand numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import (
    GraphSpec,
    ImageSpec,
    LabelsSpec,
    Manifest,
    NormalisationSpec,
    ReferenceSpec,
    TensorSpec,
)
from cldm_runtime.bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.engines import free_memory
from cldm_runtime.engines.choose import Choice
from cldm_runtime.errors import InputError
from cldm_runtime.segmentation.prepare import coarse_axis, prepare, resample
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.segmentation.window import gaussian_weights, mirrored_mean, predict_logits, tile_starts, tiles

PATCH = (4, 6, 8)
SPEC = SegmenterSpec(PATCH, (0, 1, 2), (1.0, 1.0, 1.0), (ChannelNormalisation("ZScoreNormalization"),),
                     axis_order=(0, 1, 2), mirror_axes=(0, 1, 2), kind="nnunet-3d")
DOMAIN = Declaration("organ", 3, {"organ": 1, "tumour": 2}).domain()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bands(image: np.ndarray) -> np.ndarray:
    """Channel c is the more likely the nearer the normalised intensity lies to c - 1."""
    return -((image - np.arange(-1, 2, dtype=np.float32).reshape(1, -1, 1, 1, 1)) ** 2)


def by_place(image: np.ndarray) -> np.ndarray:
    """Answers that depend on the place in the patch, as those of a network do."""
    ramp = np.linspace(0, 1, np.prod(image.shape[2:]), dtype=np.float32).reshape(image.shape[2:])
    return np.concatenate([image * ramp, np.roll(image, 1, 3), image - ramp], axis=1)


class Fake:
    provider = "cpu"

    def __init__(self, function):
        self.function = function

    def run(self, inputs):
        return {"logits": self.function(inputs["image"])}


def segmenter(function, spec: SegmenterSpec = SPEC) -> Segmenter:
    image = TensorSpec("image", "float32", ("N", 1, *spec.patch_size), "image")
    manifest = Manifest(
        "tiny", "1", "segmenter", "organ", "", "", "", labels=LabelsSpec(DOMAIN.labels.names, DOMAIN.labels.regions),
        image=ImageSpec(1, (8, 8, 8), "NCDHW", (0, 1), (1.0, 1.0, 1.0), NormalisationSpec("percentile", 0.5, 99.5)),
        graphs={"segmenter": GraphSpec("segmenter.onnx", "0" * 64, "fp32", (image,), (image,))},
        reference=ReferenceSpec("reference.npz", "0" * 64, 0, {}), segmenter=spec,
        declared_domain=DOMAIN.declaration)
    return Segmenter(Bundle(Path("tiny"), manifest, ""), DOMAIN, spec, Fake(function), Choice("cpu", "cpu"))


def test_the_section_has_no_faults_and_a_bundle_carries_its_domain() -> None:
    assert SPEC.faults() == [] and SPEC.axes == 3
    assert segmenter(bands).bundle.domain().attribute_names == DOMAIN.attribute_names
    assert len(dataclasses.replace(SPEC, axis_order=(0, 1), mirror_axes=(3,), patch_size=(4, 4)).faults()) == 3


def test_tiles_equal_nnunet() -> None:
    theirs = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    for shape in ((4, 6, 8), (9, 6, 21), (13, 17, 30)):
        expected = theirs.compute_steps_for_sliding_window(shape, PATCH, 0.5)
        assert [tile_starts(size, side, 0.5) for size, side in zip(shape, PATCH, strict=True)] == expected
        assert len(tiles(shape, SPEC)) == np.prod([len(starts) for starts in expected])


def test_gaussian_equals_nnunet() -> None:
    theirs = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    torch = pytest.importorskip("torch")
    expected = theirs.compute_gaussian((12, 20, 33), 1 / 8, 1, torch.float32, torch.device("cpu")).numpy()
    assert np.allclose(gaussian_weights((12, 20, 33), 0.125), expected, rtol=1e-6, atol=0)


def test_window_equals_brute_force() -> None:
    image = noise(1, 1, 7, 9, 13)
    total, weight = np.zeros((1, 3, 7, 9, 13)), np.zeros((7, 9, 13))
    gauss = gaussian_weights(PATCH, 0.125)
    for z in (0, 2, 3):  # 3 steps of at most 2, ...
        for y in (0, 3):
            for x in (0, 2, 5):
                box = (slice(z, z + 4), slice(y, y + 6), slice(x, x + 8))
                total[:, :, *box] += by_place(image[:, :, *box]) * gauss
                weight[box] += gauss
    assert np.allclose(predict_logits(by_place, image, SPEC, mirror=False), total / weight, atol=1e-5)


def test_mirroring_averages_all_eight_copies() -> None:
    image, first = noise(1, 1, 2, 2, 2), np.zeros((2, 2, 2), np.float32)
    first[0, 0, 0] = 1  # a network that only keeps the first voxel
    assert np.allclose(mirrored_mean(lambda x: x * first, image, (0, 1, 2)), image / 8)


@pytest.mark.parametrize(("spacing", "target", "axis"), [
    ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0), ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), 1), ((1.0, 3.5, 3.5), (1.0,) * 3, None),
    ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None), ((5.0, 1.0), (1.0, 1.0), None)])
def test_coarse_axis(spacing: tuple[float, ...], target: tuple[float, ...], axis: int | None) -> None:
    assert coarse_axis(spacing, target) == axis


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("spacing", "target", "shape"), [
    ((1.5, 1.0, 0.8), (1.0, 1.0, 1.0), (9, 10, 6)), ((5.0, 1.0, 1.2), (2.5, 1.0, 1.0), (12, 10, 10)),
    ((1.0, 1.2, 6.0), (1.0, 1.0, 4.0), (6, 12, 12)), ((1.0, 5.0, 1.0), (1.0, 5.0, 0.8), (6, 10, 10))])
@pytest.mark.parametrize("order", [1, 3])
def test_resampling_equals_nnunet(spacing, target, shape, order) -> None:
    theirs = pytest.importorskip("nnunetv2.preprocessing.resampling.default_resampling")
    volume = noise(2, 6, 10, 8)
    expected = theirs.resample_data_or_seg_to_shape(volume, shape, spacing, target, False, order, 0, None)
    assert np.allclose(resample(volume, shape, order, coarse_axis(spacing, target)), expected, atol=1e-5)


def test_holes_belong_to_what_is_normalised() -> None:
    volume = np.zeros((1, 7, 7, 7), np.float32)
    volume[0, 1:6, 1:6, 1:6] = noise(5, 5, 5) + 9
    volume[0, 3, 3, 3] = 0
    masked = dataclasses.replace(SPEC, normalisation=(ChannelNormalisation("ZScoreNormalization", use_mask=True),))
    found = prepare(volume, (1.0, 1.0, 1.0), masked)
    assert found.image.shape == (1, 5, 5, 5) and found.image[0, 2, 2, 2] < -5


def test_labels_come_back_in_the_order_of_the_given_axes() -> None:
    def first_axis(batch: np.ndarray) -> np.ndarray:
        return bands(np.zeros_like(batch) + np.linspace(-1, 1, 4, dtype=np.float32)[:, None, None])

    turned = dataclasses.replace(SPEC, axis_order=(2, 0, 1))  # the network's first axis is the third of the image
    labels = segmenter(first_axis, turned).segment(noise(1, 6, 8, 4), mirror=False)
    assert labels.shape == (1, 6, 8, 4)
    assert [np.unique(labels[0, :, :, x]).tolist() for x in (0, 3)] == [[0], [2]]


@pytest.mark.parametrize(("spacing", "voxels"), [((1.0, 1.0, 1.0), 512), ((1.0, 1.0, 2.0), 512 + 1024)])
def test_a_volume_too_large_for_memory_is_refused_before_the_network_runs(
        spacing: tuple[float, ...], voxels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three logits of 4 bytes for each voxel, at both grids where they differ."""
    runs: list[int] = []

    def network(image: np.ndarray) -> np.ndarray:
        runs.append(len(image))
        return bands(image)

    needed = 3 * 4 * voxels
    monkeypatch.setattr(free_memory, "free_bytes", lambda: needed - 1.0)
    with pytest.raises(InputError, match=r"a volume of \[8, 8, 8\] voxels, .* needs at least .* GiB are free. Cut the"):
        segmenter(network).segment(noise(1, 8, 8, 8), spacing, mirror=False)
    assert not runs
    monkeypatch.setattr(free_memory, "free_bytes", lambda: float(needed))
    assert segmenter(network).segment(noise(1, 8, 8, 8), spacing, mirror=False).shape == (1, 8, 8, 8) and runs


def test_free_memory_is_what_linux_says_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  2048 kB\nMemAvailable:  1024 kB\n")
    monkeypatch.setattr(free_memory, "memory_limit_bytes", lambda: float("inf"))
    assert free_memory.free_bytes(tmp_path / "meminfo") == 2**20
    assert free_memory.free_bytes(tmp_path / "nowhere") == float("inf")
    monkeypatch.setattr(free_memory, "memory_limit_bytes", lambda: 1000.0)
    assert free_memory.free_bytes(tmp_path / "meminfo") == 1000.0


def test_slices_are_refused_with_the_shapes_expected() -> None:
    with pytest.raises(InputError, match=r"expected \(N, D, H, W\) or \(N, 1, D, H, W\)"):
        segmenter(bands).segment(noise(2, 8, 8))


@pytest.mark.filterwarnings("ignore")
def test_labels_equal_nnunets_predictor() -> None:
    torch = pytest.importorskip("torch")
    predictor = pytest.importorskip("nnunetv2.inference.predict_from_raw_data").nnUNetPredictor
    plans_module = pytest.importorskip("nnunetv2.utilities.plans_handling.plans_handler")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.LeakyReLU(),
                                  torch.nn.Conv3d(4, 3, 3, padding=1))
    whats = ("data", "seg", "probabilities")
    resampling = {f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in whats}
    kwargs = {f"resampling_fn_{what}_kwargs": {"is_seg": what == "seg", "order": 3 if what == "data" else 1,
                                               "order_z": 0, "force_separate_z": None} for what in whats}
    manager = plans_module.PlansManager({
        "plans_name": "p", "dataset_name": "d", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "image_reader_writer": "NibabelIO", "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": {
            "patch_size": [8, 16, 16], "spacing": [4.0, 1.0, 1.0], "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [True], "preprocessor_name": "DefaultPreprocessor", "architecture": {},
            **resampling, **kwargs}}})
    theirs = predictor(device=torch.device("cpu"), verbose=False, verbose_preprocessing=False, allow_tqdm=False,
                       perform_everything_on_device=False, use_gaussian=False)  # its weights are float16, 0 in corners
    data = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii.gz"}
    theirs.manual_initialization(network, manager, manager.get_configuration("3d_fullres"), [network.state_dict()],
                                 data, "nnUNetTrainer", (0, 1, 2))
    ours = segmenter(lambda x: network(torch.from_numpy(x)).detach().numpy(), dataclasses.replace(
        SPEC, patch_size=(8, 16, 16), spacing_mm=(4.0, 1.0, 1.0), use_gaussian=False,
        normalisation=(ChannelNormalisation("ZScoreNormalization", use_mask=True),)))
    volume, spacing = np.random.default_rng(0).uniform(0.1, 1, (13, 20, 27)).astype(np.float32), (5.0, 1.1, 0.9)
    volume[:2] = volume[6, 9:12, 9:12] = 0
    expected = theirs.predict_single_npy_array(volume[None], {"spacing": list(spacing)})
    assert (ours.segment(volume[None], spacing)[0] != expected).mean() < 1e-3  # nnU-Net sums in float16
