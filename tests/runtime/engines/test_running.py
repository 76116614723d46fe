"""What onnxruntime says while it runs a graph becomes a message."""

import pytest

from cldm_runtime.bundle.manifest import GraphSpec
from cldm_runtime.engines.onnx import _not_run


@pytest.mark.parametrize(("text", "code"), [
    ("std::bad_alloc", 6), ("Failed to allocate memory for requested buffer of size 1073741824", 6),
    ("Non-zero status code returned while running Conv node", 3)])
def test_a_graph_that_fails_while_it_runs(text: str, code: int) -> None:
    error = _not_run(GraphSpec("decoder.onnx", "", "fp32", (), ()), RuntimeError(text))
    assert error.exit_code == code and str(error).startswith("graph decoder.onnx") and text in str(error)
