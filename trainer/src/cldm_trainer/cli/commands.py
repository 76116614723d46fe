"""`cldm-train`: one subcommand for each stage."""

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from cldm_runtime.cli.machine_errors import as_message
from cldm_runtime.cli.numbers import WholeNumber
from cldm_runtime.cli.progress import BusyLines
from cldm_runtime.cli.streams import unfailing_streams
from cldm_runtime.errors import CldmError, WorkerError

from ..config import Config
from ..stages.config_file import load_config
from ..stages.needed import is_needed
from ..stages.table import SHARED, STAGES, arguments, run_stage
from ..training import launch
from ..training.faults import explain
from .importing import MONAI_COMPAT, describe_to_monai, import_command
from .measuring import audit, faithfulness, growth, judge, spread, tell, utility
from .settings import settings
from .words import words

__all__ = ["STAGES", "arguments", "cli", "main", "run_stage"]

_CONFIG = click.option("--config", "config_path", required=True, type=click.Path(), metavar="FILE",
                       help="TOML file, such as trainer/configs/phantom-tiny.toml.")
_DEVICES = click.option("--devices", default=None, type=WholeNumber(min=1), metavar="N",
                        help="Devices of each node, a process for each; they share every batch. [default: run.devices]")
_NODES = click.option("--nodes", default=None, type=WholeNumber(min=1), metavar="M",
                      help="Machines, which share the folders of cohort and run. [default: run.nodes]")
_EXAMPLES = """\b
  cldm-train {0} --config run.toml --devices 4
  srun --nodes 2 --ntasks-per-node 4 --gres gpu:4 --kill-on-bad-exit \\
       cldm-train {0} --config run.toml --devices 4 --nodes 2
  torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
       -m cldm_trainer.cli {0} --config run.toml --devices 4 --nodes 2
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cldm-trainer")
def cli() -> None:
    """Train every part of cldm, from cohort to bundle. Repeat a command to continue it after it was stopped.

    \b
    cldm-train all    --config trainer/configs/phantom-tiny.toml
    cldm-train export --config trainer/configs/phantom-tiny.toml
    """


def _add_stage(name: str) -> None:
    @cli.command(name, help=STAGES[name][3])
    @_CONFIG
    def command(config_path: str) -> None:
        run_stage(name, load_config(config_path))


def _add_shared(name: str, text: str, work: Callable[[Config], None]) -> None:
    """A command that several processes may carry out together."""
    @cli.command(name, help=text, epilog=_EXAMPLES.format(name))
    @_CONFIG
    @_DEVICES
    @_NODES
    def command(config_path: str, devices: int | None, nodes: int | None) -> None:
        config = load_config(config_path)
        run = replace(config.run, devices=devices or config.run.devices, nodes=nodes or config.run.nodes)
        if launch.must_start(run):
            again = [name, "--config", config_path, "--devices", str(run.devices), "--nodes", str(run.nodes)]
            sys.exit(launch.run_together(again, run))
        if launch.several(run):
            import_module("cldm_trainer.training.processes").join(run)
        work(replace(config, run=run))


def _run_all(config: Config) -> None:
    _run_stages(config, *STAGES)


for _name in STAGES:
    if _name in SHARED:
        _add_shared(_name, STAGES[_name][3], partial(run_stage, _name))
    else:
        _add_stage(_name)
cli.add_command(audit)
cli.add_command(faithfulness)
cli.add_command(growth)
cli.add_command(import_command)
cli.add_command(judge)
cli.add_command(spread)
cli.add_command(settings)
cli.add_command(utility)
cli.add_command(words)
_add_shared("all", "Run every stage that the configuration needs, in order; finished ones return at once.", _run_all)


def _run_stages(config: Config, *names: str) -> None:
    """Those of the stages that are needed."""
    alone = import_module("cldm_trainer.training.processes").in_first if launch.several(config.run) else _call
    for name in names:
        if alone(partial(_begin, name, config)):
            work = partial(run_stage, name, config)
            (_call if name in SHARED else alone)(work)


def _call(work: Callable[[], Any]) -> Any:
    return work()


def _begin(name: str, config: Config) -> bool:
    """Whether a stage is needed; prints its name if so."""
    needed = is_needed(name, config)
    if needed:
        click.echo(f"-- {name}", err=True)
    return needed


@cli.command()
@_CONFIG
@click.argument("bundle", type=click.Path(), metavar="BUNDLE")
@click.option("--new-images", is_flag=True, help="The run's images look otherwise: leave the texture and the "
              "standardisation of the latents, which are then made from them.")
def adopt(config_path: str, bundle: str, new_images: bool) -> None:
    """Start a run from the weights of BUNDLE: to continue its training, or to train other models on its codecs."""
    from ..conditions.kind import Design
    from ..training.run_folder import RunFolder

    config = load_config(config_path)
    folder = import_module("cldm_trainer.adopt.bundle").adopt(Design.of(config), config.texture, RunFolder.of(config),
                                                              Path(bundle), new_images)
    click.echo(f"{folder}: holds the weights of {bundle}. Raise a stage's steps to continue training.")


@cli.command()
@_CONFIG
@click.option("--what", type=click.Choice(["generator", "segmenter", "anatomy", "all"]), default="all",
              show_default=True, help="Which bundles to write.")
@click.option("--nnunet", default="", type=click.Path(), metavar="DIR",
              help="Write only the segmenter bundle of this nnU-Net result folder (2-D or 3-D, no cascade).")
@click.option("--force", is_flag=True, help="Replace bundles that exist.")
@click.option("--torchscript/--no-torchscript", default=True, show_default=True,
              help="Also write every graph as a TorchScript trace, for users of torch and for GPUs.")
@MONAI_COMPAT
def export(config_path: str, what: str, nnunet: str, force: bool, torchscript: bool, monai_compat: bool) -> None:
    """Write the trained networks as bundles and check them against torch. With TensorRT and a GPU, also build this
    machine's engines."""
    config = load_config(config_path)
    if nnunet:
        config, what = replace(config, export=replace(config.export, nnunet=nnunet)), "segmenter"
    with BusyLines("export", aloud=True) as say:
        written = import_module("cldm_trainer.export").run(config, force=force, torchscript=torchscript, what=what,
                                                           monai_compat=monai_compat, say=say)
    agreed = {Path(config.export.segmenter): "graphs agree with torch, labels with nnU-Net's own predictor",
              Path(config.export.anatomy): "graphs agree with torch"}
    for folder in written:
        agreement = agreed.get(folder, "graphs and sampling loop agree with torch")
        click.echo(f"{folder}: written; {agreement} (see its MODEL_CARD.md).")
        if warning := import_module("cldm_trainer.export.quality").warning_of(folder):
            click.echo(f"warning: {warning}", err=True)
    describe_to_monai(written, monai_compat, force)
    engines = import_module("cldm_trainer.export.engines")
    with BusyLines("engines", aloud=True) as say:
        built = engines.build_or_skip(written, config.export.batch_size, say)
    click.echo(built)


@cli.command()
@_CONFIG
@click.option("--out", default="docs", show_default=True, type=click.Path(), metavar="DIR",
              help="Where results.md, results.json and the pictures go.")
@click.option("--grid", default="examples/grid.csv", show_default=True, type=click.Path(), metavar="CSV",
              help="Requested attributes.")
def results(config_path: str, out: str, grid: str) -> None:
    """Measure the exported bundles on the cohort and write the results. Makes the cohort if it is missing. Continues
    where it was stopped."""
    config, command = load_config(config_path), f"cldm-train results --config {config_path}"
    _run_stages(config, "phantom", "prepare")
    with BusyLines("results", aloud=True) as say:
        page = import_module("cldm_trainer.results").run(config, command, out=Path(out), grid=Path(grid), say=say)
    click.echo(str(page))


@cli.command()
@_CONFIG
@click.option("--out", default=None, type=click.Path(), metavar="DIR",
              help="Where validity.md, validity.json and figures/validity.svg go; and results.md, which shows them "
                   "first. [default: the run's folder]")
def validity(config_path: str, out: str | None) -> None:
    """Test whether segmenters are ranked alike on synthetic images and on the cohort's. Trains small segmenters, if
    [validity] says so. Continues where it was stopped."""
    config, command = load_config(config_path), f"cldm-train validity --config {config_path}"
    _run_stages(config, "phantom", "prepare")
    cohort = import_module("cldm_trainer.results.new_patients").cohort_of_results(config)
    target = Path(out) if out else config.run_folder / "validity"
    with BusyLines("validity", aloud=True) as say:
        page = import_module("cldm_trainer.results.validity.run").run(config, command, cohort, target, say)
    tell(page, out)


@cli.command()
@_CONFIG
@click.option("--out", default="docs", show_default=True, type=click.Path(), metavar="DIR",
              help="Where benchmarks.md, benchmarks/bench.jsonl and figures/quality-speed.png go.")
@click.option("--rounds", default=None, type=WholeNumber(min=1), metavar="R",
              help="How often each contender is timed. [default: bench.rounds]")
@click.option("--only", default="", metavar="TEXT", help="Only contenders whose names contain TEXT. [default: all]")
def bench(config_path: str, out: str, rounds: int | None, only: str) -> None:
    """Time the exported bundles against MONAI, diffusers and nnU-Net, and measure the quality of every setting."""
    config, command = load_config(config_path), f"cldm-train bench --config {config_path}"
    if rounds is not None:
        config = replace(config, bench=replace(config.bench, rounds=rounds))
    with BusyLines("bench", aloud=True) as say:
        file = import_module("cldm_trainer.bench").run(config, Path(config_path), command, out=Path(out), only=only,
                                                       say=say)
    click.echo(str(file))


@cli.command()
@_CONFIG
@click.option("--provider", default="cpu", show_default=True, metavar="NAME", help="What runs the graphs.")
@click.pass_context
def verify(context: click.Context, config_path: str, provider: str) -> None:
    """Check the exported bundles: the hashes, every graph, and a whole sampling run against the reference."""
    replay = import_module("cldm_runtime.cli.verify").verify
    export = load_config(config_path).export
    for folder in filter(None, (export.generator, export.segmenter, export.anatomy)):
        click.echo(folder, err=True)
        context.invoke(replay, bundle=Path(folder), provider=provider)


@cli.command()
@_CONFIG
def show(config_path: str) -> None:
    """Print the resolved configuration."""
    click.echo(json.dumps(load_config(config_path).resolved(), indent=2))


def main() -> None:
    """Entry point: one message and an exit code for what a user can mend, a traceback only for our own defects. A
    terminal that is lost or a log that is full ends nothing."""
    with unfailing_streams():
        _main()


def _main() -> None:
    if launch.started_here():
        launch.stop_with_starter()
    try:
        cli(standalone_mode=False)
    except CldmError as error:
        launch.leave(f"error: {error}", error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        launch.leave("interrupted; the same command continues from the last checkpoint.", 130)
    except Exception as error:
        if launch.lost_another(error):
            launch.leave("error: another process of this training has ended; see its message. The same command "
                         "continues from the last checkpoint.", WorkerError.exit_code)
        if message := explain(error) or as_message(error):
            launch.leave(f"error: {message}", message.exit_code)
        if launch.started_here():
            launch.leave(traceback.format_exc(), 1)
        raise
