"""Fixtures that every test may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles written once; tests get them by name and must not change them."""
    pytest.importorskip("onnx")
    import onnx_fixtures

    folder = tmp_path_factory.mktemp("bundles")
    onnx_fixtures.make_generator(folder / "generator")
    onnx_fixtures.make_generator(folder / "guided", null=0.0, guidance=2.0, name="tiny-guided")
    onnx_fixtures.make_segmenter(folder / "segmenter")
    return folder


@pytest.fixture
def tiny_generator(_bundles: Path) -> Path:
    """Folder of a generator bundle, 128x128, 4 DDIM steps, batches of 4: each label in its own grey. Read only."""
    return _bundles / "generator"


@pytest.fixture
def tiny_guided(_bundles: Path) -> Path:
    """Folder of `tiny_generator` with a null, which is the grey 0.4, and guidance 2 by default. Read only."""
    return _bundles / "guided"


@pytest.fixture
def tiny_segmenter(_bundles: Path) -> Path:
    """Folder of a segmenter bundle that reads the greys of `tiny_generator` back. Read only."""
    return _bundles / "segmenter"
