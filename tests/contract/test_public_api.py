"""The names that users import, and what importing them costs."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

import cldm_runtime


def test_the_public_names_are_these() -> None:
    assert cldm_runtime.__all__ == [
        "CldmError", "Generator", "Segmenter", "__version__", "create_dataset", "describe", "edit_dataset",
        "evaluate_dataset", "generate_dataset", "load_segmenter", "measure", "measure_dataset", "open_dataset",
        "write_comparison", "write_report"]
    assert all(callable(getattr(cldm_runtime, name)) for name in cldm_runtime.__all__ if name != "__version__")


@pytest.mark.parametrize("name", sorted(cldm_runtime._MOVED))
def test_a_module_that_moved_is_the_same_one_by_its_former_path(name: str) -> None:
    now = import_module(f"cldm_runtime.{cldm_runtime._MOVED[name]}")
    sys.modules.pop(f"cldm_runtime.{name}", None)
    with pytest.warns(DeprecationWarning, match=re.escape(f"cldm_runtime.{name} is now {now.__name__}. Import that.")):
        assert import_module(f"cldm_runtime.{name}") is now
    assert now.__spec__ is not None and now.__spec__.name == now.__name__


def test_public_functions_are_found_where_they_were_before_their_module_became_a_folder() -> None:
    from cldm_runtime import bundle, metrics, report

    assert report.write_report is cldm_runtime.write_report
    assert bundle.Bundle.__module__ == "cldm_runtime.bundle.bundle"
    assert metrics.score.__module__ == metrics.summarise.__module__ == "cldm_runtime.metrics.overlap"


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, cldm_runtime; print([m for m in ('numpy', 'h5py', 'onnxruntime') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(cldm_runtime, "Discriminator")
