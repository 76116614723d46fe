"""Feature networks: resizing by hand, conventions, and ONNX files that fit and that do not."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx.helper import make_node

from cldm_runtime.bundle.manifest import TensorSpec
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.evaluation.features import (
    INCEPTION,
    Convention,
    graph_features,
    open_extractor,
    resized,
    segmenter_features,
)
from cldm_runtime.segmentation.segmenter import Segmenter
from onnx_fixtures import model

ONE_MM = (1.0, 1.0)


def images(count: int = 5, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, side, side)).astype(np.float32)


def network(path: Path, *shape: int | str, batch: int | str = "N", pooled: bool = True) -> Path:
    """An ONNX file that gives the mean and twice the mean of each channel, or the pixels of both as a map."""
    nodes = [make_node("Mul", ["image", "two"], ["double"]), make_node("Concat", ["image", "double"], ["both"], axis=1)]
    nodes += [make_node("ReduceMean", ["both", "axes"], ["found"], keepdims=0)] if pooled else []
    channels = int(shape[0]) * 2
    output = TensorSpec("found" if pooled else "both", "float32",
                        (batch, channels) if pooled else (batch, channels, *shape[1:]), "")
    inputs = [TensorSpec("image", "float32", (batch, *shape), "")]
    constants = {"two": np.float32(2)} | ({"axes": np.array([2, 3])} if pooled else {})
    path.write_bytes(model(nodes, inputs, [output], constants))
    return path


def test_halving_a_line_widens_the_triangle() -> None:
    # Step 2, so weights 1 3 3 1 over 8 inside, and 3 3 1 over 7 at the border.
    line = np.array([[1.0, 2.0, 4.0, 8.0]])
    assert resized(line, (1, 2))[0] == pytest.approx([(3 + 6 + 4) / 7, (2 + 12 + 24) / 7])


def test_doubling_a_line_interpolates_between_pixel_centres() -> None:
    assert resized(np.array([[0.0, 4.0]]), (1, 4))[0] == pytest.approx([0, 1, 3, 4])


def test_resizing_agrees_with_pillow() -> None:
    pillow = pytest.importorskip("PIL.Image")
    image = images(1, 16)[0, 0]
    for size in ((7, 5), (29, 40)):
        expected = np.asarray(pillow.fromarray(image).resize(size[::-1], pillow.Resampling.BILINEAR))
        assert resized(image, size) == pytest.approx(expected, abs=1e-5)


def test_inception_sees_299_pixels_three_times_between_minus_1_and_1() -> None:
    seen = INCEPTION.apply(np.full((2, 1, 8, 8), 0.75))
    assert seen.shape == (2, 3, 299, 299) and seen.dtype == np.float32
    assert np.unique(seen) == pytest.approx([0.5])


def test_mean_and_deviation_are_those_of_each_channel() -> None:
    convention = Convention(3, None, (0.0, 1.0), (0.5, 0.4, 0.3), (0.5, 0.2, 0.1))
    assert convention.apply(np.full((1, 1, 1, 1), 0.6)).ravel() == pytest.approx([0.2, 1.0, 3.0])


def test_a_graph_of_open_size_sees_the_pixels_as_they_are(tmp_path: Path) -> None:
    extractor = graph_features(network(tmp_path / "net.onnx", 1, "H", "W"))
    mean = images().mean(axis=(1, 2, 3))
    assert extractor(images(), ONE_MM) == pytest.approx(np.stack([mean, 2 * mean], axis=1), abs=1e-6)
    assert extractor.name.startswith("net.onnx (sha256 ") and extractor.sha256[:12] in extractor.name


def test_a_graph_of_three_channels_and_fixed_size_sees_inceptions_range(tmp_path: Path) -> None:
    extractor = graph_features(network(tmp_path / "net.onnx", 3, 16, 16))
    grey = extractor(np.full((1, 1, 8, 8), 0.75, dtype=np.float32), ONE_MM)
    assert grey[0] == pytest.approx([0.5] * 3 + [1.0] * 3)


def test_a_map_is_averaged_and_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    extractor = graph_features(network(tmp_path / "net.onnx", 1, 8, 8, batch=2, pooled=False))
    mean = images().mean(axis=(1, 2, 3))
    assert extractor(images(), ONE_MM) == pytest.approx(np.stack([mean, 2 * mean], axis=1), abs=1e-6)


def test_the_file_beside_it_states_the_convention(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", 1, "H", "W")
    stated = {"channels": 1, "size": [4, 4], "range": [0, 255], "mean": [0], "std": [1]}
    (tmp_path / "net.onnx.json").write_text(json.dumps(stated))
    assert open_extractor(path)(np.ones((1, 1, 8, 8), np.float32), ONE_MM)[0] == pytest.approx([255, 510])


@pytest.mark.parametrize(("stated", "fault"), [
    ({"channels": 3}, "channels: 3 stated, the graph takes 1"),
    ({"channels": 1, "size": [9, 9], "mean": [0], "std": [1]}, "the graph takes \\(8, 8\\)"),
    ({"channels": 1, "size": [8, 8], "mean": [0], "std": [0]}, "std must be above 0"),
    ({"chanels": 1}, "unknown key"), ("not an object", "expected an object")])
def test_a_convention_that_does_not_fit_is_refused(tmp_path: Path, stated: object, fault: str) -> None:
    path = network(tmp_path / "net.onnx", 1, 8, 8)
    (tmp_path / "net.onnx.json").write_text(json.dumps(stated))
    with pytest.raises(InputError, match=fault):
        graph_features(path)


def test_files_that_cannot_be_used_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: No such file"):
        graph_features(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(InputError, match="is refused"):
        graph_features(tmp_path / "text.onnx")
    inputs, outputs = [TensorSpec("flat", "float32", ("N", 9), "")], [TensorSpec("out", "float32", ("N", 9), "")]
    (tmp_path / "flat.onnx").write_bytes(model([make_node("Neg", ["flat"], ["out"])], inputs, outputs))
    with pytest.raises(InputError, match="expected one float32 image"):
        graph_features(tmp_path / "flat.onnx")


def test_what_a_bundle_must_not_hold_an_extractor_must_not_either(tmp_path: Path) -> None:
    tensors = [TensorSpec(name, "float32", ("N", 1, 8, 8), "") for name in ("image", "noise")]
    (tmp_path / "net.onnx").write_bytes(model([make_node("RandomNormalLike", ["image"], ["noise"])], tensors[:1],
                                              tensors[1:]))
    with pytest.raises(InputError, match="draws random numbers"):
        graph_features(tmp_path / "net.onnx")


def test_images_of_two_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected \(N, 1, H, W\)"):
        graph_features(network(tmp_path / "net.onnx", 1, "H", "W"))(np.zeros((1, 2, 8, 8)), ONE_MM)


def test_the_segmenters_encoder_is_the_default_kind(tiny_segmenter: Path) -> None:
    segmenter = Segmenter.load(tiny_segmenter)
    extractor = open_extractor(None, tiny_segmenter)
    assert extractor.sha256 == segmenter.bundle.manifest.graphs["features"].sha256
    assert "tiny-segmenter" in extractor.name
    assert np.array_equal(extractor(images(2, 128), ONE_MM), segmenter.features(images(2, 128)))
    with pytest.raises(BundleError, match="no such folder"):
        open_extractor(None, tiny_segmenter / "none")
    assert segmenter_features(segmenter).name == extractor.name
