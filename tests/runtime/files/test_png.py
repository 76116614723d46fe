"""PNG files, as SimpleITK reads them."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.files.png import png_bytes


@pytest.mark.parametrize(("kind", "shape"), [(np.uint8, (3, 5)), (np.uint16, (3, 5)), (np.uint8, (3, 5, 3))])
def test_another_reader_sees_the_pixels(tmp_path: Path, kind: type, shape: tuple[int, ...]) -> None:
    itk = pytest.importorskip("SimpleITK")
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)
    (tmp_path / "a.png").write_bytes(png_bytes(pixels))
    assert np.array_equal(itk.GetArrayFromImage(itk.ReadImage(str(tmp_path / "a.png"))), pixels)


def test_other_pixels_are_refused() -> None:
    with pytest.raises(InputError, match="found float64"):
        png_bytes(np.zeros((3, 5)))  # type: ignore[arg-type]
