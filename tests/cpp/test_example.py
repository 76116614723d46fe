"""examples/cpp, as `make cpp` builds it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator, Segmenter, measure
from cpp_program import BUILD, BUNDLE, SEGMENTER, needs_program

EXAMPLE = BUILD / "examples" / "generate_and_segment"

pytestmark = needs_program


def example(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(EXAMPLE), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_images_labels_and_infarct_sizes_are_those_of_python(tmp_path: Path) -> None:
    masks = Generator.load(BUNDLE).sample({"infarct_size": [0.1, 0.3]}, seed=2)[1]
    np.save(tmp_path / "masks.npy", masks)
    done = example(BUNDLE, SEGMENTER, tmp_path / "masks.npy", tmp_path / "new" / "out")
    assert done.returncode == 0, done.stderr
    images, labels = (np.load(tmp_path / "new" / "out" / f"{name}.npy") for name in ("images", "labels"))
    np.testing.assert_allclose(images, Generator.load(BUNDLE).sample(masks=masks)[0], atol=1e-4)
    assert (labels == Segmenter.load(SEGMENTER).segment(images)).mean() >= 0.999
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [int(row[0]) for row in printed] == [0, 1]
    assert [float(row[1]) for row in printed] == pytest.approx(list(measure(labels)["infarct_size"]), abs=1e-4)


def test_errors_have_the_exit_codes_of_the_runtime(tmp_path: Path) -> None:
    assert example().returncode == 2
    assert example(BUNDLE, SEGMENTER, tmp_path / "none.npy", tmp_path).returncode == 2
    assert example(SEGMENTER, SEGMENTER, tmp_path / "none.npy", tmp_path).returncode == 3
