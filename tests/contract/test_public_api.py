"""The names that users import, and what importing them costs."""

import subprocess
import sys

import cldm_runtime


def test_the_public_names_are_these() -> None:
    assert cldm_runtime.__all__ == ["Generator", "Segmenter", "__version__", "measure", "open_dataset"]
    assert all(callable(getattr(cldm_runtime, name)) for name in cldm_runtime.__all__ if name != "__version__")


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, cldm_runtime; print([m for m in ('numpy', 'h5py', 'onnxruntime') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(cldm_runtime, "Discriminator")
