"""Fixtures that every test may use."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Files that share a trained run: one process takes them all.
SHORT_RUN = ("trainer/stages/test_few_steps.py", "trainer/export/test_checkpoints.py", "trainer/export/test_fp16.py")
# What takes longest comes first, so that no process waits for another at the end.
FIRST = (*SHORT_RUN, "trainer/test_declared_path.py", "trainer/training/test_ddp.py", "trainer/export/test_export.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.split("::")[0].endswith(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file share a process, so that its fixtures are made once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return SHORT_RUN[0] if file.endswith(SHORT_RUN) else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def _bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles written once; tests get them by name and must not change them."""
    pytest.importorskip("onnx")
    import anatomy_fixtures
    import onnx_fixtures

    folder = tmp_path_factory.mktemp("bundles")
    onnx_fixtures.make_generator(folder / "generator")
    onnx_fixtures.make_generator(folder / "guided", null=0.0, guidance=2.0, name="tiny-guided")
    for name, conditions in {"attributes": ("attributes",), "shares": ("shares",), "both": ("mask", "attributes"),
                             "partly": ("partly",), "free": ()}.items():
        onnx_fixtures.make_generator(folder / name, conditions=conditions, null=0.0, name=f"tiny-{name}")
    onnx_fixtures.make_segmenter(folder / "segmenter")
    anatomy_fixtures.make_anatomy(folder / "lge-anatomy")
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
def tiny_attributes(_bundles: Path) -> Path:
    """Folder of a bundle conditioned on attributes as tokens, with nulls: the grey of the whole image is
    0.4 + 0.5 infarct_size + 0.2 where transmurality is defined. Read only."""
    return _bundles / "attributes"


@pytest.fixture
def tiny_shares(_bundles: Path) -> Path:
    """Folder of a bundle conditioned on tokens made from masks, with nulls: each image has its map's mean grey. Read
    only."""
    return _bundles / "shares"


@pytest.fixture
def tiny_both(_bundles: Path) -> Path:
    """Folder of a bundle conditioned on masks, as `tiny_generator`, and on attributes, as `tiny_attributes`: what both
    add to the grey 0.4 adds up. Read only."""
    return _bundles / "both"


@pytest.fixture
def tiny_partly(_bundles: Path) -> Path:
    """Folder of a bundle as `tiny_generator` that may leave classes free: each one adds `FREE` to the grey. Read only.
    """
    return _bundles / "partly"


@pytest.fixture
def tiny_free(_bundles: Path) -> Path:
    """Folder of a bundle without conditions: grey 0.4 throughout. Read only."""
    return _bundles / "free"


@pytest.fixture
def tiny_segmenter(_bundles: Path) -> Path:
    """Folder of a segmenter bundle that reads the greys of `tiny_generator` back. Read only."""
    return _bundles / "segmenter"


@pytest.fixture
def tiny_anatomy(_bundles: Path) -> Path:
    """Folder of an anatomy bundle, 128x128, beside the generators: rings with an infarct. Read only."""
    return _bundles / "lge-anatomy"


@pytest.fixture(params=["phantom", "patients", ""])
def nature(request: pytest.FixtureRequest) -> str:
    """What a bundle was trained on; "": not stated."""
    return str(request.param)


@pytest.fixture
def stating(tmp_path: Path) -> Callable[[Path, str], Path]:
    """Copies a bundle folder; the copy's manifest states the nature, or nothing for ""."""
    def copied(folder: Path, nature: str) -> Path:
        target = Path(shutil.copytree(folder, tmp_path / f"{folder.name}-{nature}"))
        manifest = json.loads((folder / "manifest.json").read_text())
        (target / "manifest.json").write_text(json.dumps(manifest | ({"nature": nature} if nature else {})))
        return target

    return copied
