"""Bundles of volumes in C++: label maps are drawn of nothing and of images, as by Python."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.generation.ensemble import EnsembleSegmenter
from cldm_runtime.generation.generator import Generator
from cpp_program import ROOT, cpp, needs_program

pytestmark = needs_program
LABELS, SEGMENTS = ROOT / "exported" / "brain-labels", ROOT / "exported" / "ldm-seg"


@pytest.mark.parametrize("bundle", [LABELS, SEGMENTS])
def test_the_reference_is_reproduced(bundle: Path) -> None:
    done = cpp("verify", bundle, "--threads", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout and "loop/label_channels" in done.stdout


def test_label_maps_drawn_of_nothing_are_those_of_python(tmp_path: Path) -> None:
    done = cpp("generate", LABELS, "--n", 3, "--batch", 2, "--steps", 3, "--seed", 5, "--out", tmp_path / "drawn.npy")
    assert done.returncode == 0, done.stderr
    expected = Generator.load(LABELS).sample(n=3, steps=3, seed=5)[0]
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), expected, atol=1e-3)


def test_label_maps_drawn_of_images_are_those_of_python(tmp_path: Path) -> None:
    image = Bundle.load(SEGMENTS).manifest.image
    given = np.random.default_rng(0).random((1, image.channels, *image.shape)).astype(np.float32)
    np.save(tmp_path / "images.npy", given)
    done = cpp("generate", SEGMENTS, "--images", tmp_path / "images.npy", "--steps", 2, "--seed", 5,
               "--first", 7 * 2**16, "--out", tmp_path / "drawn.npy")
    assert done.returncode == 0, done.stderr
    segmenter = EnsembleSegmenter.load(SEGMENTS, samples=1, steps=2, seed=5)
    drawn = segmenter._drawn(segmenter.pipeline.encode({"image": given}), 7, range(1), 1)
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), drawn, atol=1e-3)


@pytest.mark.parametrize(("bundle", "option", "takes"), [(LABELS, "--images", "--n"), (SEGMENTS, "--n", "--images")])
def test_what_a_bundle_does_not_take_is_refused(bundle: Path, option: str, takes: str, tmp_path: Path) -> None:
    done = cpp("generate", bundle, option, "1", "--out", tmp_path / "drawn.npy")
    assert done.returncode == 2 and f"takes {takes}" in done.stderr and not list(tmp_path.iterdir())
