"""Every option, command and setting that a text of both packages names exists."""

import ast
import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import click

from cldm_runtime.cli.main import COMMANDS, cldm
from cldm_runtime.evaluation.segmenters.description import SegmenterDescription
from cldm_runtime.scans.settings import ScanSettings
from cldm_trainer.adopt.description import Description
from cldm_trainer.cli import cli
from cldm_trainer.config import Config

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "runtime/src").rglob("*.py"), *(ROOT / "trainer/src").rglob("*.py")])
# Options of sbatch, srun, torchrun, pip, nvidia-smi and of the C++ program.
FOREIGN = {
    "--array", "--chdir", "--cpus-per-task", "--dependency", "--gres", "--job-name", "--kill-on-bad-exit",
    "--kill-on-invalid-dep", "--nnodes", "--nproc-per-node", "--ntasks", "--ntasks-per-node", "--output", "--parsable",
    "--query-gpu", "--rdzv-backend", "--rdzv-endpoint", "--requeue", "--upgrade", "--format", "--images",
    "--config_file", "--bundle_root", "--raw"}
PROSE = {"bundle", "engine"}  # "a cldm bundle"
# Sections of descriptions of segmenters and of networks from elsewhere.
OF_DESCRIPTIONS = {field.name for record in (SegmenterDescription, Description) for field in dataclasses.fields(record)}
LISTS = {"cases", "labels"}  # {train: [cases]}
NO_SETTINGS = {"kind", "label_values", "normalisation",  # of a manifest's section `segmenter`
               "json", "jsonl", "md", "npy", "safetensors", "svg", "toml", "h5"}  # of files


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


SECTIONS = "|".join(field.name for field in dataclasses.fields(Config))
OF_PREPARE = {field.name for field in dataclasses.fields(ScanSettings)}  # the sections that the runtime reads


def is_module(name: str) -> bool:
    return (ROOT / "runtime/src/cldm_runtime" / name.replace(".", "/")).with_suffix(".py").is_file()


def named_settings() -> dict[str, set[str]]:
    """The settings that texts name: section.key, [section.table], [section] key."""
    dotted = named(rf"(?<![\w./-])((?:{SECTIONS})(?:\.[a-z_0-9]+)+)\b(?![(/])")
    tables = named(r"\[\[?([a-z_]+\.[a-z_.]+)\]")
    keys = {".".join(pair): where for pair, where in named(rf"\[({SECTIONS})\] ([a-z]+_[a-z_]+|[a-z_]+(?= =))").items()}
    return {name: where for name, where in {**dotted, **tables, **keys}.items()
            if name.rpartition(".")[2] not in NO_SETTINGS and not is_module(name)}


def test_settings_exist() -> None:
    known, in_texts = settings(Config, ""), named_settings()
    assert "run.accelerator" in in_texts and "image_codec.optimiser.learning_rate" in known
    assert not {name: where for name, where in in_texts.items() if name not in known}


def test_the_runtime_names_settings_that_it_reads() -> None:
    of_runtime = {file.name for file in FILES if file.is_relative_to(ROOT / "runtime")} - {
        file.name for file in FILES if file.is_relative_to(ROOT / "trainer")}
    assert not {name: where & of_runtime for name, where in named_settings().items()
                if where & of_runtime and name.partition(".")[0] not in OF_PREPARE}


def test_sections_exist() -> None:
    in_texts, known = named(r"(?<![\w\]])\[\[?([a-z]+_?[a-z_]+)\](?= |\.|,|;|:|$)"), {*SECTIONS.split("|"), *LISTS}
    assert "prepare" in in_texts
    assert not {name: where for name, where in in_texts.items() if name not in known | OF_DESCRIPTIONS}
