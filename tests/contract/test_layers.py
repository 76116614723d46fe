"""A room imports the rooms on lower lines of `LINES`, never one on its own line or above."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"cldm_runtime": ROOT / "runtime" / "src" / "cldm_runtime",
           "cldm_trainer": ROOT / "trainer" / "src" / "cldm_trainer"}
LINES = {
    "cldm_runtime": (
        "errors version noise",
        "files diffusion domains",
        "metrics bundle",
        "store engines runs",
        "scans requests segmentation words",
        "generation evaluation",
        "verification report",
        "bench",
        "cli __init__",
        "__main__",
    ),
    "cldm_trainer": (
        "tables",
        "config",
        "networks graphs training",
        "conditions nnunet audit",
        "stages",
        "export words",
        "adopt",
        "results",
        "bench",
        "cli __init__",
    ),
}


def levels(package: str) -> dict[str, int]:
    return {room: number for number, line in enumerate(LINES[package]) for room in line.split()}


def room(package: str, path: Path) -> str:
    return path.relative_to(SOURCES[package]).parts[0].removesuffix(".py")


def imported_files(package: str, path: Path) -> Iterator[Path]:
    """Files of the package that `path` imports, wherever in it the import stands: in a function, for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from _files_of(package, path, node)
        elif isinstance(node, ast.Import):
            yield from (file for alias in node.names for file in _module(SOURCES[package].parent, alias.name))


def _files_of(package: str, path: Path, node: ast.ImportFrom) -> Iterator[Path]:
    if node.level:
        folder = path.parents[node.level - 1] / (node.module or "").replace(".", "/")
    elif (node.module or "").split(".")[0] == package:
        folder = SOURCES[package].parent / str(node.module).replace(".", "/")
    else:
        return
    for alias in node.names:
        places = (folder / f"{alias.name}.py", folder / alias.name / "__init__.py", folder.with_suffix(".py"),
                  folder / "__init__.py")
        yield from [place for place in places if place.exists()][:1]


def _module(source: Path, name: str) -> list[Path]:
    folder = source / name.replace(".", "/")
    return [place for place in (folder.with_suffix(".py"), folder / "__init__.py") if place.exists()]


def arrows(package: str) -> dict[Path, set[Path]]:
    return {path: set(imported_files(package, path)) - {path} for path in sorted(SOURCES[package].rglob("*.py"))}


def upward(package: str, imports: Mapping[Path, set[Path]]) -> list[str]:
    level, root = levels(package), SOURCES[package]
    return [f"{path.relative_to(root)} imports {other.relative_to(root)}" for path, others in imports.items()
            for other in sorted(others) if room(package, other) != room(package, path)
            and level[room(package, other)] >= level[room(package, path)]]


@pytest.mark.parametrize("package", SOURCES)
def test_a_room_imports_only_those_below_it(package: str) -> None:
    assert not upward(package, arrows(package))


@pytest.mark.parametrize("package", SOURCES)
def test_no_file_imports_itself_in_a_circle(package: str) -> None:
    try:
        TopologicalSorter(arrows(package)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(str(path.relative_to(SOURCES[package])) for path in error.args[1]))


@pytest.mark.parametrize("package", SOURCES)
def test_every_file_stands_in_a_room(package: str) -> None:
    assert {room(package, path) for path in SOURCES[package].rglob("*.py")} <= levels(package).keys()


def test_contributing_shows_the_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    drawn = text.split("```\nruntime/src/cldm_runtime/")[1].split("```")[0].splitlines()[1:]
    columns = [[line[:51].split(), line[51:].split()] for line in drawn]
    for side, package in enumerate(LINES):
        lines = [[room for room in line.split() if room[0] != "_"] for line in LINES[package]]
        assert [column[side] for column in columns if column[side]] == [line for line in lines if line]


def test_an_import_upward_is_found_wherever_it_stands(tmp_path: Path) -> None:
    source = SOURCES["cldm_runtime"] / "noise.py"
    for text in ("from .cli import gen", "def f():\n    from .cli.gen import gen", "import cldm_runtime.cli.gen",
                 "from cldm_runtime.cli import gen", "if TYPE_CHECKING:\n    from .cli.gen import gen"):
        (tmp_path / "planted.py").write_text(text)
        tree = ast.parse(text)
        found = [file for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                 for file in _files_of("cldm_runtime", source, node)]
        found += [file for node in ast.walk(tree) if isinstance(node, ast.Import)
                  for alias in node.names for file in _module(SOURCES["cldm_runtime"].parent, alias.name)]
        assert upward("cldm_runtime", {source: set(found)}), text


def test_the_top_floor_holds_six_files_at_most() -> None:
    assert len(list(SOURCES["cldm_runtime"].glob("*.py"))) <= 6
