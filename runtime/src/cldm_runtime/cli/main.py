"""The `cldm` group. Every command lives in its own module, which is imported when it is called."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from ..errors import CldmError
from ..version import __version__
from .machine_errors import as_message
from .streams import reason_of_loss, unfailing_streams

# name -> (module in this package, one line for the list of commands); the function has the command's name, - being _
COMMANDS = {
    "gen": ("gen", "Generate labelled images from a bundle."),
    "grid": ("grid", "Write a grid of attributes by design."),
    "prepare": ("prepare", "Make a cohort from scans: crop, resample, normalise, measure."),
    "convert": ("convert", "Datasets to nnU-Net raw, NIfTI, PNG and npz, and back."),
    "segment": ("segment", "Segment the images of a dataset."),
    "measure": ("measure", "Measure attributes and scores of masks and segmentations."),
    "describe": ("describe", "Say in words what label maps show."),
    "words": ("words", "Say what prompts ask for."),
    "report": ("report", "Write report.html, scores.csv and scores.json."),
    "evaluate": ("evaluate", "Segment, measure and report in one go."),
    "segmenter": ("segmenter", "Look at a segmenter of your own before you evaluate it."),
    "distance": ("distance", "Frechet and kernel distance of two datasets."),
    "appearance": ("appearance", "What images look like, beside patients' images."),
    "inspect": ("inspect", "Say what a bundle or a dataset is."),
    "run": ("run", "Look at, merge and repair a run on many machines."),
    "engine": ("engine", "Build TensorRT engines on this machine."),
    "bench": ("bench", "Time a bundle on this machine."),
    "verify": ("verify", "Replay a bundle's reference on this machine."),
    "doctor": ("doctor", "Say what is installed, what starts, and what is missing."),
    "completion": ("completion", "Let a shell complete commands and options."),
    "keygen": ("keygen", "Make a pair of keys to sign bundles with."),
    "sign": ("sign", "Sign a bundle."),
    "audit-log": ("audit_log", "Check the log of runs."),
}
PRINT = ("inspect", "describe", "words", "appearance", "distance", "verify", "bench", "audit-log", "run", "doctor",
         "completion")  # they write no file
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f".{COMMANDS[name][0]}", __package__), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, context: click.Context, arguments: list[str]
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            close = get_close_matches(name, self.list_commands(context), 1)
            context.fail(f"No such command {name!r}." + (f" Did you mean {close[0]}?" if close else ""))
        return super().resolve_command(context, arguments)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so; none is imported for that."""
        named = [CompletionItem(name, help=summary) for name, (_, summary) in COMMANDS.items()
                 if name.startswith(incomplete)]
        return named or click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="cldm-runtime")
def cldm() -> None:
    """Generate medical images with controlled lesions and exact labels, and measure segmenters on them.

    Exit codes: 0 done, 2 usage or input, 3 bundle, 4 dataset, 5 provider, 130 interrupted; --resume or the same
    command continues.
    """


def run(command: click.Command, arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run a command and return its exit code. The one place where errors become messages; where nothing can be
    printed, the command goes on all the same."""
    with unfailing_streams():
        code = _run(command, None if arguments is None else list(arguments), name)
        sys.stdout.flush()
        reason = reason_of_loss(sys.stdout)
        if reason:
            click.echo(f"error: standard output cannot be written ({reason}); what was printed is lost.", err=True)
        return 1 if reason is not None and code == 0 and _prints_its_result(command, arguments) else code


def _run(command: click.Command, arguments: list[str] | None, name: str | None) -> int:
    try:
        result = command.main(arguments, name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except CldmError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (OSError, MemoryError) as error:
        message = as_message(error, _options(command, sys.argv[1:] if arguments is None else arguments))
        if message is None:
            raise
        click.echo(f"error: {message}", err=True)
        return message.exit_code
    except click.Abort:  # how click reports Ctrl-C
        click.echo("error: interrupted.", err=True)
        return INTERRUPTED


def _options(command: click.Command, arguments: Sequence[str]) -> set[str]:
    """The options of the command that the arguments name."""
    for name in arguments:
        if not isinstance(command, click.Group) or (child := command.get_command(click.Context(command), name)) is None:
            break
        command = child
    return {option for parameter in command.params for option in parameter.opts}


def _prints_its_result(command: click.Command, arguments: Sequence[str] | None) -> bool:
    """Whether what was asked for is on standard output rather than in a file."""
    given = sys.argv[1:] if arguments is None else arguments
    return command.name in PRINT or (isinstance(command, LazyGroup) and not {*given[:1]}.isdisjoint(PRINT))


def main() -> NoReturn:
    """Entry point of `cldm`."""
    sys.exit(run(cldm, name="cldm"))


def main_gen() -> NoReturn:
    """Entry point of `cldm-gen`, which is `cldm gen`."""
    from .gen import gen  # here, so that `cldm --help` stays fast

    sys.exit(run(gen, name="cldm-gen"))
