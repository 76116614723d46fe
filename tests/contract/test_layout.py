"""The rules of CONTRIBUTING.md that a machine can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "src" / "cldm_runtime"
TRAINER = ROOT / "trainer" / "src" / "cldm_trainer"
SOURCES = sorted([*RUNTIME.rglob("*.py"), *TRAINER.rglob("*.py")])
RUNTIME_MODULES = sorted(path for path in RUNTIME.rglob("*.py") if path.name != "__init__.py")
VAGUE_NAMES = {"utils", "common", "misc", "helpers", "util", "helper"}
TRAINING_PACKAGES = {"torch", "torchvision", "monai", "lightning", "lightning_fabric", "nnunetv2", "cldm_trainer"}
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MAX_LINES = 300


def imported_packages(path: Path) -> Iterator[str]:
    """Top-level names of every absolute import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_runtime_does_not_import_the_training_stack() -> None:
    allowed = {RUNTIME / "engines" / "torch_device.py": {"torch"}}
    assert not [identify(path) for path in RUNTIME.rglob("*.py")
                if set(imported_packages(path)) & TRAINING_PACKAGES - allowed.get(path, set())]


def test_torch_is_imported_only_when_asked_for() -> None:
    module = ast.parse((RUNTIME / "engines" / "torch_device.py").read_text())
    at_import = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "torch" not in ast.unparse(ast.Module(at_import, []))


def test_nobody_imports_torchvision() -> None:
    assert not [identify(path) for path in SOURCES if "torchvision" in set(imported_packages(path))]


def test_the_runtime_has_no_pickle() -> None:
    assert not [identify(path) for path in RUNTIME.rglob("*.py") if set(imported_packages(path)) & PICKLERS]
    assert not [identify(path) for path in RUNTIME.rglob("*.py") if "allow_pickle=True" in path.read_text()]


def test_files_stay_short_and_are_named_after_their_content() -> None:
    """A file that is longer says why in its first paragraph."""
    long = [path for path in SOURCES if len(path.read_text().splitlines()) > MAX_LINES]
    assert not [identify(path) for path in long
                if "Longer than other files, because" not in " ".join(path.read_text().partition("\n\n")[0].split())]
    assert not [identify(path) for path in SOURCES if path.stem in VAGUE_NAMES]


def test_a_class_name_means_one_thing() -> None:
    """In both packages together, private classes too; and no alias of a type has the name of a class."""
    classes: dict[str, list[str]] = {}
    aliases: dict[str, list[str]] = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(f"{identify(path)}:{node.lineno}")
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                aliases.setdefault(node.targets[0].id, []).append(f"{identify(path)}:{node.lineno}")
    assert not {name: places for name, places in classes.items() if len(places) > 1}
    assert not {name: aliases[name] for name in aliases.keys() & classes.keys()}


def imported_modules(path: Path) -> Iterator[str]:
    """Dotted names of the runtime's modules that a test file imports or names in a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_runtime_module_is_tested_by_name() -> None:
    """By a file test_<module>.py, or test_<package>_<module>.py, or by a test that imports it; parts of a package that
    is used through its __init__ by a test that imports the package."""
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    files = {path.stem.removeprefix("test_") for path in tests}
    imported = {name for path in tests for name in imported_modules(path)}
    untested = []
    for path in RUNTIME_MODULES:
        parts = path.relative_to(RUNTIME).with_suffix("").parts
        package = ".".join(("cldm_runtime", *parts[:-1]))
        by_file = parts[-1] in files or "_".join(parts[-2:]) in files
        by_import = ".".join(("cldm_runtime", *parts)) in imported or (len(parts) > 1 and package in imported)
        if not (by_file or by_import or parts[-1] in ("__main__", "version")):
            untested.append(identify(path))
    assert not untested
