"""What the README promises exists: commands, options, files and make targets."""

import re
import subprocess
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHELL_LINES = [
    line.split("#")[0].strip()
    for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith(("cldm", "make"))
]


def find_command(words: list[str]) -> click.Command:
    """The click command that a shell line starts."""
    if words[0] == "cldm-train":
        from cldm_trainer.cli import cli as group
    else:
        from cldm_runtime.cli.main import cldm as group
    name = "gen" if words[0] == "cldm-gen" else words[1]
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), name)
    assert command is not None, f"{words[0]} has no command {name}"
    return command


@pytest.mark.parametrize("line", [line for line in SHELL_LINES if line.startswith("cldm")])
def test_commands_and_options_exist(line: str) -> None:
    words = line.split()
    command = find_command(words)
    known = {option for parameter in command.get_params(click.Context(command)) for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_make_targets_exist_and_are_listed(target: str) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"make {target}" in listed


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_linked_files_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", ["examples/grid.csv", "trainer/configs/phantom-tiny.toml", "exported/README.md"])
def test_named_files_exist(path: str) -> None:
    assert path.split("/")[0] in README
    assert (ROOT / path).exists()


def test_the_python_example_names_what_the_runtime_exports() -> None:
    import cldm_runtime

    (names,) = re.findall(r"from cldm_runtime import (.*)", README)
    assert {name.strip() for name in names.split(",")} <= set(dir(cldm_runtime)) | set(cldm_runtime.__all__)


def test_the_python_example_is_valid() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(code, "README.md", "exec")
