"""Segmentation by the C++ program beside the Python Segmenter, on generated images.

Where this was written no pixel differs. That every pixel agrees is no promise, hence the 99.9 %: a pixel where two
classes are level to within rounding may go either way, and mean, deviation and splines round otherwise than in numpy.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator, Segmenter
from cpp_program import BUNDLE, SEGMENTER, copied, cpp, needs_program

pytestmark = needs_program


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return Generator.load(BUNDLE).sample({"infarct_size": [0.05, 0.2, 0.35]}, seed=3, n=5)[0]


def segmented(folder: Path, bundle: Path, images: np.ndarray, *options: object) -> np.ndarray:
    np.save(folder / "images.npy", images)
    done = cpp("segment", bundle, "--images", folder / "images.npy", "--out", folder / "labels.npy", *options)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "labels.npy")


def agreement(folder: Path, bundle: Path, images: np.ndarray, spacing_mm: tuple[float, float], mirror: bool) -> float:
    found = segmented(folder, bundle, images, "--spacing-mm", ",".join(map(str, spacing_mm)),
                      "--mirror", "yes" if mirror else "no")
    expected = Segmenter.load(bundle).segment(images, spacing_mm, mirror=mirror)
    assert found.shape == expected.shape and found.dtype == np.uint8 and len(np.unique(expected)) >= 4
    return float((found == expected).mean())


@pytest.mark.parametrize(("spacing_mm", "mirror"), [((1.0, 1.0), True), ((1.0, 1.0), False), ((1.25, 1.25), False),
                                                    ((0.8, 1.4), True), ((1.6, 0.7), False)])
def test_labels_are_those_of_python(tmp_path: Path, images: np.ndarray, spacing_mm: tuple[float, float],
                                    mirror: bool) -> None:
    assert agreement(tmp_path, SEGMENTER, images, spacing_mm, mirror) >= 0.999


@pytest.mark.parametrize("changes", [
    {"axis_order": [1, 0], "mirror_axes": [1]},
    {"decision": "regions", "image_order": 5, "logits_order": 3},
    {"image_order": 2, "logits_order": 0, "crop_to_nonzero": False},
    {"image_order": 4, "gaussian_sigma_scale": 0.05, "tile_step_size": 0.4},
    {"use_gaussian": False, "normalisation": [{"scheme": "ZScoreNormalization", "use_mask": True}]},
    {"normalisation": [{"scheme": "CTNormalization", "mean": 0.3, "std": 0.2, "percentile_00_5": 0.01,
                        "percentile_99_5": 0.9}]},
    {"normalisation": [{"scheme": "RescaleTo01Normalization"}]},
])
def test_every_constant_is_that_of_the_manifest(tmp_path: Path, images: np.ndarray, changes: dict[str, object]) -> None:
    file = copied(SEGMENTER, tmp_path) / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["segmenter"] |= changes
    file.write_text(json.dumps(manifest))
    partly = images[:2].copy()
    partly[:, :, :20], partly[1, :, :, 100:] = 0.0, 0.0  # something to crop
    assert agreement(tmp_path, tmp_path, partly, (1.5, 0.8), True) >= 0.999


def test_the_spacing_and_the_mirroring_are_the_bundles_unless_given(tmp_path: Path, images: np.ndarray) -> None:
    found = segmented(tmp_path, SEGMENTER, images[:, 0], "--batch", 3)
    assert (found == Segmenter.load(SEGMENTER).segment(images)).mean() >= 0.999


@pytest.mark.parametrize(("options", "message"), [
    (["--spacing-mm", "1.0"], "expected two numbers"), (["--spacing-mm", "0,1"], "two positive numbers"),
    (["--mirror", "perhaps"], "expected yes or no")])
def test_bad_options_are_refused(tmp_path: Path, options: list[str], message: str) -> None:
    np.save(tmp_path / "images.npy", np.ones((1, 128, 128), np.float32))
    done = cpp("segment", SEGMENTER, "--images", tmp_path / "images.npy", "--out", tmp_path / "l.npy", *options)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize(("shape", "value", "message"), [
    ((128, 128), 1.0, "expected images (N, H, W)"), ((1, 2, 8, 8), 1.0, "or (N, 1, H, W)"),
    ((1, 8, 8), np.nan, "NaN or infinite")])
def test_images_that_cannot_be_taken_are_refused(tmp_path: Path, shape: tuple[int, ...], value: float,
                                                 message: str) -> None:
    np.save(tmp_path / "images.npy", np.full(shape, value, np.float32))
    done = cpp("segment", SEGMENTER, "--images", tmp_path / "images.npy", "--out", tmp_path / "l.npy")
    assert done.returncode == 2 and message in done.stderr
