"""The predictor against nnU-Net's own, and its parts against nnU-Net's functions and hand numbers."""

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
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.engines.choose import Choice
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.segmentation.prepare import normalise, prepare, resample, resampled_shape
from cldm_runtime.segmentation.segmenter import Segmenter, decide
from cldm_runtime.segmentation.window import gaussian_weights, mirrored_mean, pad_to_patch, predict_logits, tile_starts

Z_SCORE = ChannelNormalisation("ZScoreNormalization")
SPEC = SegmenterSpec((16, 16), (0, 1, 2, 3, 4), (1.0, 1.0), (Z_SCORE,))


def spec(**changes):
    return dataclasses.replace(SPEC, **changes)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bundle_of(chosen):
    """A bundle in memory: nothing but its manifest is used once a segmenter is loaded."""
    rows, columns = chosen.patch_size
    image = TensorSpec("image", "float32", ("N", len(chosen.normalisation), rows, columns), "image")
    logits = TensorSpec("logits", "float32", ("N", len(chosen.label_values), rows, columns), "logits")
    domain = get_domain("lge")
    manifest = Manifest(
        "tiny", "1", "segmenter", "lge", "", "", "", labels=LabelsSpec(domain.labels.names, domain.labels.regions),
        image=ImageSpec(1, (16, 16), "NCHW", (0, 1), (1.0, 1.0), NormalisationSpec("percentile", 0.5, 99.5)),
        graphs={"segmenter": GraphSpec("segmenter.onnx", "0" * 64, "fp32", (image,), (logits,))},
        reference=ReferenceSpec("reference.npz", "0" * 64, 0, {}), segmenter=chosen)
    return Bundle(Path("tiny"), manifest, "")


class Fake:
    """An engine made of a function, which counts its calls."""

    provider = "cpu"

    def __init__(self, function):
        self.function, self.batches = function, []

    def run(self, inputs):
        self.batches.append(inputs["image"].shape)
        return {"logits": self.function(inputs["image"])}


def segmenter(function, chosen=SPEC, provider="cpu", workers=1):
    return Segmenter(bundle_of(chosen), get_domain("lge"), chosen, Fake(function), Choice(provider, provider),
                     workers=workers)


def bands(image):
    """Channel c is the more likely the nearer the normalised intensity lies to c - 2."""
    centres = np.arange(-2, 3, dtype=np.float32).reshape(1, -1, 1, 1)
    return -((image - centres) ** 2)


@pytest.mark.parametrize(("size", "expected"), [(16, [0]), (17, [0, 1]), (24, [0, 8]), (30, [0, 7, 14])])
def test_tile_starts_by_hand(size, expected):
    assert tile_starts(size, 16, 0.5) == expected


def test_tile_starts_equal_nnunet():
    theirs = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    for size in range(32, 200, 7):
        for step in (0.3, 0.5, 0.75, 1.0):
            assert tile_starts(size, 32, step) == theirs.compute_steps_for_sliding_window((size,), (32,), step)[0]


@pytest.mark.parametrize("patch", [(16, 16), (96, 160), (33, 20)])
def test_gaussian_equals_nnunet(patch):
    theirs = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    torch = pytest.importorskip("torch")
    expected = theirs.compute_gaussian(patch, 1 / 8, 1, torch.float32, torch.device("cpu")).numpy()
    assert np.allclose(gaussian_weights(patch, 0.125), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(7, 9), (20, 13), (31, 40)])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_resampling_equals_skimage(shape, order):
    resize = pytest.importorskip("skimage.transform").resize
    planes = noise(2, 20, 25)
    expected = [resize(plane.astype(float), shape, order, mode="edge", anti_aliasing=False) for plane in planes]
    assert np.allclose(resample(planes, shape, order), expected, atol=1e-6)


def test_resampled_shape_rounds_halves_to_even():
    assert resampled_shape((5, 7), (1.0, 1.0), (2.0, 2.0)) == (2, 4)  # 2.5 and 3.5
    assert resampled_shape((10, 10), (1.5, 1.0), (1.0, 1.25)) == (15, 8)


@pytest.mark.parametrize("scheme", ["ZScoreNormalization", "CTNormalization", "NoNormalization",
                                    "RescaleTo01Normalization", "RGBTo01Normalization"])
@pytest.mark.parametrize("use_mask", [False, True])
def test_normalisation_equals_nnunet(scheme, use_mask):
    theirs = pytest.importorskip("nnunetv2.preprocessing.normalization.default_normalization_schemes")
    image = np.abs(noise(12, 10)) * 50
    image[:3] = 0
    numbers = {"mean": 40.0, "std": 25.0, "percentile_00_5": 5.0, "percentile_99_5": 90.0}
    mask = np.where(image != 0, 0, -1)
    expected = getattr(theirs, scheme)(use_mask, numbers).run(image.copy()[None], mask[None])[0]
    found = normalise(image, image != 0, ChannelNormalisation(scheme, use_mask, **numbers))
    assert np.allclose(found, expected, atol=1e-6)


def test_slices_are_cropped_to_what_is_not_zero():
    image = np.zeros((1, 10, 12), np.float32)
    image[0, 2:7, 3:11] = noise(5, 8) + 5
    found = prepare(image, (1.0, 1.0), SPEC)
    assert (found.box, found.cropped_shape) == ((slice(2, 7), slice(3, 11)), (5, 8))
    assert found.image.mean() == pytest.approx(0, abs=1e-6)
    assert prepare(np.zeros((1, 4, 5), np.float32), (1.0, 1.0), SPEC).image.shape == (1, 4, 5)


def test_padding_puts_the_odd_pixel_last():
    padded, content = pad_to_patch(np.ones((1, 1, 5, 20), np.float32), (16, 16))
    assert padded.shape == (1, 1, 16, 20)
    assert content == (slice(5, 10), slice(0, 20))


def test_mirroring_averages_every_combination():
    ramp = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    weigh = np.array([[1, 0], [0, 0]], np.float32)  # a network that only keeps the first pixel
    found = mirrored_mean(lambda x: x * weigh, ramp, (0, 1))
    assert np.array_equal(found, ramp / 4)
    assert np.array_equal(mirrored_mean(lambda x: x * weigh, ramp, ()), ramp * weigh)


def test_tiles_of_a_pixelwise_network_make_a_seamless_whole():
    image = noise(2, 1, 37, 50)
    found = predict_logits(bands, image, spec(mirror_axes=(0, 1)), mirror=True)
    assert np.allclose(found, bands(image), atol=1e-4)


@pytest.mark.parametrize(("provider", "batches"), [("cuda", [(8, 1, 16, 16)]), ("cpu", [(2, 1, 16, 16)] * 4)])
def test_equal_slices_go_through_the_network_in_one_batch_and_a_few_at_a_time_on_the_cpu(provider, batches):
    network = segmenter(bands, provider=provider)
    network.segment(noise(8, 16, 16), mirror=False)
    assert network.engine.batches == batches


def test_any_number_of_workers_says_the_same():
    images = noise(7, 16, 20)
    expected = segmenter(bands).segment(images)
    assert np.array_equal(segmenter(bands, workers=3).segment(images), expected)
    with pytest.raises(ZeroDivisionError):
        segmenter(lambda image: 1 // 0, workers=3).segment(images)


def test_labels_are_mapped_and_pasted_back():
    image = np.zeros((1, 20, 20), np.float32)
    image[0, 5:15, 5:15] = np.where(np.arange(10) < 5, 1, 3)
    labels = segmenter(bands, spec(label_values=(0, 0, 0, 2, 1))).segment(image, mirror=False)
    assert set(np.unique(labels[0, 5:15, 10:15])) == {2}  # z-score 1 is channel 3
    assert labels[0, :5].max() == 0 and labels.dtype == np.uint8


def test_regions_paint_over_each_other():
    logits = np.array([[[1, 1, -1]], [[-1, 1, -1]]], np.float32)
    assert decide(logits, spec(decision="regions", label_values=(2, 3))).tolist() == [[2, 3, 0]]


def test_transposed_plans_see_transposed_slices():
    def by_row(batch):
        return bands(np.zeros_like(batch) + np.linspace(-2, 2, 16, dtype=np.float32)[:, None])

    plain = segmenter(by_row).segment(noise(1, 16, 16), mirror=False)[0]
    turned = segmenter(by_row, spec(axis_order=(1, 0))).segment(noise(1, 16, 16), mirror=False)[0]
    assert plain[0, 0] != plain[-1, 0] and np.array_equal(turned, plain.T)


@pytest.mark.parametrize(("images", "message"), [
    (np.zeros((4, 4)), "expected"), (np.zeros((1, 2, 4, 4)), "expected"), (np.full((1, 4, 4), np.nan), "NaN"),
    ("image.png", "expected an array of numbers")])
def test_images_that_cannot_be_segmented_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        segmenter(bands).segment(images)


def test_a_wrong_spacing_is_refused():
    with pytest.raises(InputError, match="spacing_mm"):
        segmenter(bands).segment(noise(1, 16, 16), spacing_mm=(0.0, 1.0))


def test_every_fault_of_the_section_is_told():
    faults = spec(patch_size=(0, 4), spacing_mm=(1.0, -1.0), mirror_axes=(2,), decision="vote", kind="other",
                  normalisation=(ChannelNormalisation("CTNormalization"), ChannelNormalisation("Other"))).faults()
    assert len(faults) == 10
    assert SPEC.faults() == []


def nnunet_predictor(network, *, spacing, scheme, use_mask):
    """nnU-Net's predictor around a network, without any of its folders."""
    predictor = pytest.importorskip("nnunetv2.inference.predict_from_raw_data").nnUNetPredictor
    plans_module = pytest.importorskip("nnunetv2.utilities.plans_handling.plans_handler")
    torch = pytest.importorskip("torch")
    resampling = {f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in ("data", "seg", "probabilities")}
    kwargs = {f"resampling_fn_{what}_kwargs": {"is_seg": what == "seg", "order": order, "order_z": 0,
                                               "force_separate_z": None}
              for what, order in (("data", 3), ("seg", 1), ("probabilities", 1))}
    plans = {
        "plans_name": "p", "dataset_name": "d", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "image_reader_writer": "NibabelIO",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 0.5, "std": 0.2, "percentile_00_5": 0.05,
                                                              "percentile_99_5": 0.95}},
        "configurations": {"2d": {"patch_size": [32, 32], "spacing": list(spacing), "normalization_schemes": [scheme],
                                  "use_mask_for_norm": [use_mask], "preprocessor_name": "DefaultPreprocessor",
                                  "architecture": {},
                                  **resampling, **kwargs}}}
    manager = plans_module.PlansManager(plans)
    data = {"channel_names": {"0": "LGE"}, "labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii.gz"}
    found = predictor(device=torch.device("cpu"), verbose=False, verbose_preprocessing=False, allow_tqdm=False,
                      perform_everything_on_device=False)
    found.manual_initialization(network, manager, manager.get_configuration("2d"), [network.state_dict()], data,
                                "nnUNetTrainer", (0, 1))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("shape", "spacing", "scheme", "use_mask"), [
    ((32, 32), (1.0, 1.0), "ZScoreNormalization", False), ((50, 41), (1.0, 1.0), "ZScoreNormalization", True),
    ((40, 37), (1.4, 0.8), "CTNormalization", False), ((20, 23), (0.9, 1.1), "RescaleTo01Normalization", False)])
def test_labels_equal_nnunets_predictor(shape, spacing, scheme, use_mask):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 5, padding=2), torch.nn.LeakyReLU(),
                                  torch.nn.Conv2d(8, 3, 5, padding=2))
    theirs = nnunet_predictor(network, spacing=(1.0, 1.0), scheme=scheme, use_mask=use_mask)
    rule = ChannelNormalisation(scheme, use_mask, 0.5, 0.2, 0.05, 0.95)
    ours = segmenter(lambda x: network(torch.from_numpy(x)).detach().numpy(),
                     spec(patch_size=(32, 32), label_values=(0, 1, 2), normalisation=(rule,)))
    images = np.random.default_rng(0).uniform(0, 1, (3, *shape)).astype(np.float32)
    images[:, :4] = 0
    expected = np.stack([theirs.predict_single_npy_array(image[None, None], {"spacing": [999.0, *spacing]})[0]
                         for image in images])
    assert (ours.segment(images, spacing_mm=spacing) != expected).mean() < 1e-3  # nnU-Net sums in float16


def test_a_generator_is_not_a_segmenter(monkeypatch):
    wrong = bundle_of(SPEC)
    manifest = dataclasses.replace(wrong.manifest, kind="generator", segmenter=None)
    monkeypatch.setattr(Bundle, "load", lambda path: dataclasses.replace(wrong, manifest=manifest))
    with pytest.raises(BundleError, match="expected a segmenter"):
        Segmenter.load("exported/lge")
