"""The same 64 samples from Python and from C++: the images, and what the segmenter makes of them."""

from pathlib import Path

import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime import Generator, Segmenter, measure
from cpp_program import BUNDLE, SEGMENTER, cpp, needs_program
from onnx_fixtures import make_generator

pytestmark = needs_program

ASKED = {"infarct_size": [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4], "slice_position": [0.1, 0.3, 0.5, 0.7] * 2}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Images of Python and of C++ for the same label maps, seed and indices."""
    folder, generator = tmp_path_factory.mktemp("samples"), Generator.load(BUNDLE)
    images, masks = generator.sample(ASKED, seed=11, n=64)
    assert masks is not None and len(np.unique(masks.reshape(64, -1), axis=0)) == 64
    np.save(folder / "masks.npy", masks)
    done = cpp("generate", BUNDLE, "--masks", folder / "masks.npy", "--out", folder / "images.npy", "--seed", 11)
    assert done.returncode == 0, done.stderr
    return images, np.load(folder / "images.npy")


def test_images_are_within_the_tolerance_of_the_loop(samples: tuple[np.ndarray, np.ndarray]) -> None:
    python, other = samples
    tolerance = Generator.load(BUNDLE).manifest.reference.tolerances["loop/image"]
    assert python.shape == other.shape == (64, 1, 128, 128)
    assert np.abs(python - other).max() <= tolerance


def test_the_segmenter_measures_the_same_attributes(samples: tuple[np.ndarray, np.ndarray]) -> None:
    segmenter = Segmenter.load(SEGMENTER)
    python, other = (measure(segmenter.segment(images)) for images in samples)
    assert {"infarct_size", "transmurality", "endocardial_surface_length"} <= set(python.names)
    np.testing.assert_allclose(other.values, python.values, atol=0.01, rtol=0)  # NaN only where both are
    sizes = python["infarct_size"]
    assert np.isfinite(sizes).sum() > 60 and sizes[np.isfinite(sizes)].max() > 0.3


def test_a_last_graph_is_run_with_the_same_noise(tmp_path: Path) -> None:
    bundle = make_generator(tmp_path / "tiny", acquisition=acquisition_spec())
    generator = Generator.load(bundle)
    images, masks = generator.sample({"infarct_size": [0.1, 0.2]}, seed=5, n=3)
    np.save(tmp_path / "masks.npy", masks)
    done = cpp("generate", bundle, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "images.npy", "--seed", 5)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "images.npy") - images).max() <= 1e-5


def test_all_classes_count_for_a_bundle_that_can_leave_some_free(tmp_path: Path, tiny_partly: Path) -> None:
    masks = np.zeros((2, 128, 128), np.uint8)
    masks[:, 32:96, 32:96], masks[1, 48:80, 48:80] = 2, 3
    images, _ = Generator.load(tiny_partly).sample(masks=masks, seed=5)
    np.save(tmp_path / "masks.npy", masks)
    out = tmp_path / "images.npy"
    done = cpp("generate", tiny_partly, "--masks", tmp_path / "masks.npy", "--out", out, "--seed", 5)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(out) - images).max() <= 1e-5
