"""Every option, command and setting that a text of both packages names exists."""

import ast
import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import click

from cldm_runtime.cli.main import COMMANDS, cldm
from cldm_trainer.cli import cli
from cldm_trainer.config import Config

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "runtime/src").rglob("*.py"), *(ROOT / "trainer/src").rglob("*.py")])
# Options of sbatch, srun, torchrun, pip, nvidia-smi and of the C++ program.
FOREIGN = {
    "--array", "--chdir", "--cpus-per-task", "--dependency", "--gres", "--job-name", "--kill-on-bad-exit",
    "--kill-on-invalid-dep", "--nnodes", "--nproc-per-node", "--ntasks", "--ntasks-per-node", "--output", "--parsable",
    "--query-gpu", "--rdzv-backend", "--rdzv-endpoint", "--requeue", "--upgrade", "--format", "--images"}
PROSE = {"bundle", "engine"}  # "a cldm bundle"
NO_SETTINGS = {"kind", "label_values", "normalisation",  # of a manifest's section `segmenter`
               "json", "jsonl", "md", "npy", "safetensors", "toml", "h5"}  # of files


def texts(file: Path) -> Iterator[str]:
    """The string literals of a file, each part of an f-string for itself, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def named(pattern: str) -> dict[str, set[str]]:
    """What the pattern matches in all texts, and the files that hold it."""
    matches: dict[str, set[str]] = {}
    for file in FILES:
        for text in texts(file):
            for match in re.findall(pattern, text):
                matches.setdefault(match, set()).add(file.name)
    return matches


def options(command: click.Command) -> set[str]:
    parameters = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if not isinstance(command, click.Group):
        return parameters
    context = click.Context(command)
    children = [command.get_command(context, name) for name in command.list_commands(context)]
    return parameters.union(*(options(child) for child in children if child is not None))


def settings(section: type, prefix: str) -> set[str]:
    """The dotted names of all keys of a section."""
    keys = set()
    for name, kind in typing.get_type_hints(section).items():
        keys.add(f"{prefix}{name}")
        for inner in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(inner):
                keys |= settings(inner, f"{prefix}{name}.")
    return keys


def test_options_exist() -> None:
    known = options(cldm) | options(cli) | {"--help", "--version"} | FOREIGN
    in_texts = named(r"(?<![\w-])--[a-z][a-z0-9-]+")
    assert "--overwrite" in in_texts
    assert not {name: where for name, where in in_texts.items() if name not in known}


def test_commands_exist() -> None:
    runtime, trainer = named(r"\bcldm ([a-z][a-z-]+)"), named(r"\bcldm-train ([a-z][a-z-]+)")
    assert "segment" in runtime and "results" in trainer
    assert not {name: where for name, where in runtime.items() if name not in {*COMMANDS, *PROSE}}
    assert not {name: where for name, where in trainer.items() if name not in cli.commands}


def test_settings_exist() -> None:
    known = settings(Config, "")
    sections = "|".join(field.name for field in dataclasses.fields(Config))
    dotted = named(rf"(?<![\w./-])((?:{sections})(?:\.[a-z_0-9]+)+)\b(?![(/])")
    tables = named(r"\[\[?([a-z_]+\.[a-z_.]+)\]")
    unknown = {name: where for name, where in {**dotted, **tables}.items()
               if name not in known and name.rpartition(".")[2] not in NO_SETTINGS}
    assert "run.accelerator" in dotted and "image_codec.optimiser.learning_rate" in known
    assert not {name for name in unknown if not (ROOT / "runtime/src/cldm_runtime" / name.replace(".", "/")).with_suffix(
        ".py").is_file()}  # a module of that name
