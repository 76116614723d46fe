"""Every option that a message advises exists on the command that shows the message, or on the one that it names.

A command can show the messages of every file that its own file imports, directly or through others.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from cldm_runtime.cli.main import cldm
from cldm_trainer.cli import cli
from contract.test_layers import SOURCES, _files_of, arrows
from contract.test_named_in_messages import FILES, FOREIGN, options

RUNTIME, TRAINER = SOURCES["cldm_runtime"], SOURCES["cldm_trainer"]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9_-]+")
REPEATING = ("cldm run merge", "cldm run repair", "cldm run status")  # take the arguments of gen and evaluate
# What a command imports of a file, but never calls where such a message arises.
NEVER = {
    "cldm doctor": ("engines/choose.py", "engines/open.py"),  # chooses no provider, opens no bundle
    "cldm grid": ("requests/grid.py", "requests/grid_table.py"),  # writes grids and reads none
    "cldm measure": ("engines/", "runs/", "evaluation/steps.py"),  # runs no network
    "cldm verify": ("requests/", "runs/"),  # draws no sample of its own
    "cldm distance": ("runs/",),
    "cldm evaluate": ("cli/report.py", "requests/"),  # of a segmentation that it has just made
    "cldm segment": ("requests/",),  # draws label maps of images, not of a grid
    "cldm segmenter check": ("requests/",),
}
# Command, files and an option that it lacks, and that they may advise.
OTHERWISE = {
    ("cldm doctor", "engines/", "--provider"),  # cut off by engines/probe.py
    ("cldm engine build", "engines/", "--provider"),  # of the commands that are to use the engine
    ("cldm words", "engines/", "--provider"),  # it always computes in fp32 on provider cpu
    ("cldm evaluate", "runs/execute.py", "--resume"),  # it always goes on: nothing says that a run is unfinished
    ("cldm-train export", "export/bundle_writer.py", "--out"),  # of cldm-train import, which writes bundles too
}
CHOSEN = RUNTIME / "cli/machine_errors.py"  # advises what the command has: tests/cli/test_machine_errors.py
# Options that are named only where they were given: "leave --precision out".
GIVEN = {"--precision"}
# Rooms and files of the trainer, whose command line imports them when they are used.
COMMANDS_OF = {"export/": ("export",), "results/": ("results",), "audit/": ("audit",), "bench/": ("bench",),
               "bench/growth.py": ("growth",), "adopt/": ("adopt",), "words/": ("words",),
               "training/launch.py": ("all", "texture", "diffusion")}


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for child in command.list_commands(context):
        found = command.get_command(context, child)
        assert found is not None
        yield from leaves(found, f"{name} {child}")


COMMANDS = dict([*leaves(cldm, "cldm"), *leaves(cli, "cldm-train")])
OPTIONS = {name: options(command) | {"--help", "--version"} for name, command in COMMANDS.items()}


@cache
def imports() -> dict[Path, set[Path]]:
    """All imports, those of the runtime by the trainer too."""
    found = {**arrows("cldm_runtime"), **arrows("cldm_trainer")}
    for path in arrows("cldm_trainer"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found[path] |= set(_files_of("cldm_runtime", path, node))
    return found


def reached(start: Path) -> set[Path]:
    seen, waiting = {start}, [start]
    while waiting:
        new = imports()[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


@cache
def users() -> dict[Path, list[str]]:
    """The commands that can show the messages of each file."""
    found: dict[Path, list[str]] = {file: [] for file in FILES}
    for name, command in COMMANDS.items():
        if name in REPEATING:
            continue
        callback = command.callback
        while hasattr(callback, "__wrapped__"):
            callback = callback.__wrapped__
        home = Path(str(sys.modules[callback.__module__].__file__))
        for file in reached(home) - {CHOSEN}:
            if not str(file.relative_to(SOURCES[file.parts[file.parts.index("src") + 1]])).startswith(
                    NEVER.get(name, ("-",))):
                found[file].append(name)
    return found


def messages(file: Path) -> Iterator[str]:
    """The texts of a file, f-strings as one with {} for values, without docstrings and the names of options."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
                and id(node) not in skipped and not re.fullmatch(r"--[a-z-]+(/--[a-z-]+)?", node.value))


def named_commands(text: str) -> list[str]:
    """The commands that a text names: `cldm gen`, cldm-gen, cldm-train export."""
    plain = text.replace("cldm-gen", "cldm gen")
    return [name for name in COMMANDS if re.search(rf"(?<![\w-]){name}(?![\w-])", plain)]


def fault(file: Path, text: str, option: str) -> str | None:
    """Why the option cannot be meant, or None."""
    path = str(file.relative_to(SOURCES[file.parts[file.parts.index("src") + 1]]))
    if file == CHOSEN or any(option in OPTIONS[name] for name in named_commands(text)):
        return None
    showing = users()[file]
    for start, names in COMMANDS_OF.items():
        if file.is_relative_to(TRAINER) and path.startswith(start):
            showing = [f"cldm-train {name}" for name in names]
    lacking = [name for name in showing if option not in OPTIONS[name] and not any(
        (name, option) == (other, given) and path.startswith(start) for other, start, given in OTHERWISE)]
    some = option in GIVEN or file.parent == TRAINER / "cli"  # a file of many commands: one of them is enough
    if showing and (not lacking or (some and len(lacking) < len(showing))):
        return None
    return f"{path}: {option} in {text[:90]!r}, which {lacking or 'no command'} lacks"


def faults() -> Iterator[str]:
    for file in FILES:
        for text in messages(file):
            for option in sorted(set(OPTION.findall(text)) - FOREIGN - {"--help", "--version"}):
                if found := fault(file, text, option):
                    yield found


def test_every_advised_option_is_one_of_the_command_that_advises_it() -> None:
    assert not list(faults())


@pytest.mark.parametrize(("file", "text"), [
    ("scans/prepare.py", "Pass --resume to go on."), ("generation/run.py", "Pass --mirror."),
    ("runs/workers.py", "Pass --resume."), ("engines/onnx.py", "Pass fewer --workers."),
    ("scans/origin.py", "Run `cldm prepare --resume`."), ("report/page.py", "Pass --overwrite.")])
def test_an_option_of_another_command_is_found(file: str, text: str) -> None:
    option = OPTION.findall(text)[0]
    assert any(option in known for known in OPTIONS.values())
    assert fault(RUNTIME / file, text, option)
