"""Bundles of volumes in C++: label maps are drawn of nothing and of images, as by Python."""

from pathlib import Path

import numpy as np
import pytest

import brain_run
from cldm_runtime.generation.ensemble import EnsembleSegmenter
from cldm_runtime.generation.generator import Generator
from cldm_trainer.export import run as export
from cpp_program import cpp, needs_program

pytestmark = needs_program


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that draws label maps of nothing, and one that draws them of images."""
    both = brain_run.make_runs(tmp_path_factory.mktemp("brain"))
    brain_run.train(*both)
    labels, segments = (export(config, torchscript=False, what="generator")[0] for config in both)
    return labels, segments


@pytest.mark.parametrize("which", [0, 1])
def test_the_reference_is_reproduced(bundles: tuple[Path, Path], which: int) -> None:
    done = cpp("verify", bundles[which], "--threads", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout and "loop/label_channels" in done.stdout


def test_label_maps_drawn_of_nothing_are_those_of_python(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    done = cpp("generate", bundles[0], "--n", 3, "--batch", 2, "--seed", 5, "--out", tmp_path / "drawn.npy")
    assert done.returncode == 0, done.stderr
    expected = Generator.load(bundles[0]).sample(n=3, seed=5)[0]
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), expected, atol=1e-3)


def test_label_maps_drawn_of_images_are_those_of_python(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    image = brain_run.draw(3)[0][:1]
    np.save(tmp_path / "images.npy", np.repeat(image, 3, axis=0))
    done = cpp("generate", bundles[1], "--images", tmp_path / "images.npy", "--seed", 5, "--first", 7 * 2**16,
               "--batch", 2, "--out", tmp_path / "drawn.npy")
    assert done.returncode == 0, done.stderr
    segmenter = EnsembleSegmenter.load(bundles[1], samples=3, seed=5)  # of row 7: three draws of one image
    expected = segmenter._drawn(segmenter.pipeline.encode({"image": image}), 7, range(3), 3)
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), expected, atol=1e-3)


@pytest.mark.parametrize(("which", "option", "takes"), [(0, "--images", "--n"), (1, "--n", "--images")])
def test_what_a_bundle_does_not_take_is_refused(bundles: tuple[Path, Path], which: int, option: str, takes: str,
                                                tmp_path: Path) -> None:
    done = cpp("generate", bundles[which], option, "1", "--out", tmp_path / "drawn.npy")
    assert done.returncode == 2 and f"takes {takes}" in done.stderr and not list(tmp_path.iterdir())


def test_images_of_another_size_are_refused(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((1, 4, 4, 4, 4), np.float32))
    done = cpp("generate", bundles[1], "--images", tmp_path / "images.npy", "--out", tmp_path / "drawn.npy")
    assert done.returncode == 2 and "of the bundle's images" in done.stderr
