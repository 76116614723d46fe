"""`cldm run`: what concerns runs on many machines."""

import json
from pathlib import Path

import click

from ..errors import InputError
from ..evaluation.run import is_committed as is_evaluated
from ..generation.parts import is_committed as is_generated
from ..runs.folder import PartsFolder, folders_of, read_folder
from ..runs.shards import Shard, as_ranges
from ..store import open_dataset
from .evaluate import evaluate
from .gen import gen
from .numbers import WholeNumber

_COMMANDS = {"gen": gen, "evaluate": evaluate}
_AS_GIVEN = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
_arguments = click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[gen|evaluate] ARGUMENTS...")


@click.group()
def run() -> None:
    """Look at a run that many machines share, merge its parts, and repair its file."""


@run.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--shards", type=WholeNumber(min=1), default=1, show_default=True, metavar="K",
              help="Also name the unfinished shards of K, in the form that Slurm's --array takes.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(out: Path, shards: int, as_json: bool) -> None:
    """Say which parts of the run on the file OUT are missing or damaged. Writes nothing.

    \b
    Examples:
      cldm run status /shared/big.h5
      cldm run status /shared/big.h5 --shards 16
    """
    folders = folders_of(out)
    if not folders:
        with open_dataset(out) as dataset:  # raises where there is neither a run nor a file
            count = len(dataset)
        click.echo(json.dumps({"out": str(out), "samples": count, "runs": []}) if as_json else
                   f"{out}: finished, {count} samples. No run is under way.")
        return
    states = [_state(read_folder(folder), shards) for folder in folders]
    if as_json:
        click.echo(json.dumps({"out": str(out), "runs": states}))
    else:
        for state in states:
            click.echo(_as_text(state))


def _state(folder: PartsFolder, shards: int) -> dict[str, str | int]:
    missing = [part.number for part in folder.parts
               if not (is_generated if part.path.suffix == ".h5" else is_evaluated)(folder.sha256, part)]
    numbers, absent = list(range(len(folder.parts))), set(missing)
    unfinished = [number for number in range(shards) if absent & set(Shard(number, shards).of(numbers))]
    return {"folder": str(folder.path), "parts": len(numbers), "missing_parts": as_ranges(missing),
            "missing": len(missing), "shards": shards, "missing_shards": as_ranges(unfinished)}


def _as_text(state: dict[str, str | int]) -> str:
    if not state["missing"]:
        return f"{state['folder']}: all {state['parts']} parts are there. Merge them with cldm run merge."
    text = f"{state['folder']}: {state['missing']} of {state['parts']} parts are missing: {state['missing_parts']}"
    return text if state["shards"] == 1 else f"{text}\nof {state['shards']} shards: --array={state['missing_shards']}"


@run.command(context_settings=_AS_GIVEN)
@_arguments
@click.pass_context
def merge(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Put the parts of a run together. Refused while parts are missing or damaged.

    ARGUMENTS are those of the command that began the run, without --shard: `cldm gen`, or after the word "evaluate"
    those of `cldm evaluate`, whose merge also writes the report.

    \b
    Examples:
      cldm run merge --n 100000 --attributes grid.csv --out /shared/big.h5
      cldm run merge evaluate /shared/big.h5 --segmenter exported/lge-segmenter
    """
    _carry_out(context, arguments, "--merge")


@run.command(context_settings=_AS_GIVEN)
@_arguments
@click.pass_context
def repair(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Compute the samples of a generated file again that `cldm verify` finds missing or damaged.

    ARGUMENTS are those of the `cldm gen` command that made the file. The others stay as they are. Segmentations are
    removed: run `cldm evaluate` again afterwards.

    \b
    Example:
      cldm run repair --n 100000 --attributes grid.csv --out big.h5
    """
    if arguments[:1] == ("evaluate",):
        raise InputError("an evaluation has nothing to repair. Run cldm evaluate ... --overwrite instead.")
    _carry_out(context, arguments, "--repair")


def _carry_out(context: click.Context, arguments: tuple[str, ...], flag: str) -> None:
    """Runs gen or evaluate with one more flag, under the name of this command."""
    if not arguments:
        raise InputError(f"{context.command_path}: expected the arguments of the command that began the run. See its "
                         "--help.")
    name = arguments[0] if arguments[0] in _COMMANDS else ""
    command = _COMMANDS[name or "gen"]
    passed_on = list(arguments[1:] if name else arguments)
    with command.make_context(context.info_name or "", [*passed_on, flag], parent=context.parent) as inner:
        command.invoke(inner)
