"""The rules of CONTRIBUTING.md that a machine can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "src" / "cldm_runtime"
TRAINER = ROOT / "trainer" / "src" / "cldm_trainer"
SOURCES = sorted([*RUNTIME.rglob("*.py"), *TRAINER.rglob("*.py")])
RUNTIME_MODULES = sorted(path for path in RUNTIME.rglob("*.py") if path.name != "__init__.py")
VAGUE_NAMES = {"utils", "common", "misc", "helpers", "util", "helper"}
TRAINING_PACKAGES = {"torch", "torchvision", "monai", "lightning", "lightning_fabric", "nnunetv2", "cldm_trainer"}
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MAX_LINES = 450


def imported_packages(path: Path) -> Iterator[str]:
    """Top-level names of every absolute import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=identify)
def test_the_runtime_does_not_import_the_training_stack(path: Path) -> None:
    allowed = {"torch"} if path == RUNTIME / "engines" / "torchscript.py" else set()
    assert set(imported_packages(path)) & TRAINING_PACKAGES <= allowed


def test_the_torchscript_engine_imports_torch_only_when_asked() -> None:
    module = ast.parse((RUNTIME / "engines" / "torchscript.py").read_text())
    at_import = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "torch" not in ast.unparse(ast.Module(at_import, [])).replace("torchscript", "")


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_nobody_imports_torchvision(path: Path) -> None:
    assert "torchvision" not in set(imported_packages(path))


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=identify)
def test_the_runtime_has_no_pickle(path: Path) -> None:
    assert not set(imported_packages(path)) & PICKLERS
    assert "allow_pickle=True" not in path.read_text()


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_files_stay_short_and_are_named_after_their_content(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", RUNTIME_MODULES, ids=identify)
def test_every_runtime_module_has_a_test_file(path: Path) -> None:
    name = f"test_{path.stem}.py"
    in_package = f"test_{path.parent.name}_{path.stem}.py"
    folders = [ROOT / "tests" / "runtime", ROOT / "tests" / "cli", ROOT / "tests" / "contract"]
    found = [candidate for folder in folders for n in (name, in_package) for candidate in folder.rglob(n)]
    assert found, f"{identify(path)} needs tests/runtime/{name} (or {in_package})"
