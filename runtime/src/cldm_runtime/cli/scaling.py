"""How commands divide a run among machines: what --shard, --shards, --engine, --merge and --status do."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from ..errors import InputError
from ..runs import slurm
from ..runs.execute import do_shard, merge_parts, missing_parts
from ..runs.ray import run_on_ray
from ..runs.run import Run
from ..runs.shards import Shard, as_ranges, parse_shard, shard_of_this_task
from . import run_log as audit_log
from .numbers import WholeNumber
from .option_group import option_group
from .progress import show_progress

ENGINES = ("local", "ray", "slurm")
_OPTIONS = {
    "shard": click.option("--shard", metavar="I/K", help="Do shard I of K (I from 0). Parts go to a folder that other "
                          "machines may share; finished ones are kept. Put them together with cldm run merge."),
    "shards": click.option("--shards", type=WholeNumber(min=1), metavar="K", help="Do the shard whose index a Slurm "
                           "array or a Kubernetes Indexed Job has set."),
    "engine": click.option("--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True,
                           help="Who does the shards. ray: one task each on a Ray cluster. slurm: an array job, whose "
                                "scripts are written next to the output. Both need --shards K."),
    "ray_address": click.option("--ray-address", metavar="ADDRESS", help="Address of the Ray cluster.  [default: as "
                                "ray.init finds it]"),
    "submit": click.option("--submit", is_flag=True, help="With --engine slurm: hand the scripts to sbatch."),
    "merge": click.option("--merge", is_flag=True, help="As cldm run merge."),
    "status": click.option("--status", is_flag=True, help="As cldm run status, for this very command; --shards K also "
                           "names the unfinished shards."),
}
SCALING_NAMES = tuple(_OPTIONS)


@dataclass(frozen=True)
class Scaling:
    """The values of these options."""

    shard: str | None
    shards: int | None
    engine: str
    ray_address: str | None
    submit: bool
    merge: bool
    status: bool

    @property
    def given(self) -> bool:
        """Whether one of these options divides, shows or merges the run."""
        return bool(self.shard or self.shards or self.merge or self.status or self.engine != "local")

    def check(self, others: Mapping[str, bool]) -> None:
        """Raises InputError for options that exclude each other. others: name of a flag -> whether it was given."""
        flags = {**others, "--shard": bool(self.shard), "--merge": self.merge, "--status": self.status}
        passed = [name for name, flag in flags.items() if flag]
        if len(passed) > 1:
            raise InputError(f"{' and '.join(passed)} exclude each other. Pass one of them.")
        if self.shard and self.shards:
            raise InputError("--shard I/K already says of how many. Leave --shards out.")
        if (self.engine != "local" and (passed or self.shards is None)) or (self.submit and self.engine != "slurm"):
            raise InputError(f"--engine {self.engine}: expected --shards K with it, none of {', '.join(flags)}, and "
                             "--submit with slurm alone.")


scaling_options = option_group("scaling", Scaling, _OPTIONS)
"""Gives a command the options, and their values as `scaling`."""


def share_out(run: Run, scaling: Scaling, command: str, workers: int, as_json: bool) -> bool:
    """Do what the options say, and report it. True if the result of the run is complete. command: its name."""
    if scaling.engine == "slurm":
        _write_slurm_job(run, scaling.shards or 1, command, workers, scaling.submit)
    elif scaling.engine == "ray":
        with show_progress(f"{command} on ray", run.samples, sys.stderr) as progress:
            run_on_ray(run, scaling.shards or 1, scaling.ray_address, progress)
        return True
    elif scaling.status:
        _print_status(run, scaling.shards or 1, as_json)
    elif scaling.merge:
        with show_progress("merging", run.samples, sys.stderr) as progress:
            merge_parts(run, progress)
        return True
    else:
        shard = shard_of_this_task(scaling.shards or 1) if scaling.shard is None else parse_shard(scaling.shard)
        _do_shard(run, shard, workers, as_json)
    return False


def _do_shard(run: Run, shard: Shard, workers: int, as_json: bool) -> None:
    start, parts = time.monotonic(), shard.of(run.ranges)
    with show_progress(f"shard {shard}", sum(map(len, parts)), sys.stderr) as progress:
        done = do_shard(run, shard, progress, workers)
    audit_log.note(made=sum(map(len, parts)))
    result = {"out": os.fspath(run.out), "shard": str(shard), "parts": len(parts), "done_now": done,
            "seconds": round(time.monotonic() - start, 3), "plan_sha256": run.sha256}
    click.echo(json.dumps(result) if as_json else f"{run.folder}: shard {shard} is complete, {len(parts)} parts, "
               f"{done} of them computed now.")


def _write_slurm_job(run: Run, shards: int, command: str, cpus: int, submit: bool) -> None:
    """Write jobs that repeat this command line for the unfinished shards."""
    unfinished = _unfinished(run, shards)
    if not unfinished:
        click.echo(f"{run.out}: all {len(run.ranges)} parts are there. Merge them with cldm run merge.")
        return
    arguments = _without_scaling(sys.argv[1:])
    name = [] if arguments[:1] == [command] else [command]  # cldm gen, or cldm-gen
    workers = [] if any(argument.split("=")[0] == "--workers" for argument in arguments) else ["--workers", str(cpus)]
    line = [sys.executable, "-m", "cldm_runtime", *name, *arguments, *workers]
    array, merge = slurm.write_scripts(line, run.stem, shards, as_ranges(unfinished), cpus)
    if submit:
        first, second = slurm.submit(array, merge)
        click.echo(f"submitted: array job {first}, and {second}, which merges when it is done.")
    else:
        click.echo(f"written: {array} and {merge}. sbatch the first; the second when all of its tasks are done.")


def _without_scaling(arguments: Sequence[str]) -> list[str]:
    """A command line without the options that divide it among machines."""
    remaining, rest = list[str](), iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name in ("--engine", "--shards"):
            if not value:
                next(rest, None)
        elif name != "--submit":
            remaining.append(argument)
    return remaining


def _unfinished(run: Run, shards: int) -> list[int]:
    """Numbers of the shards that have parts missing."""
    missing, numbers = {part.number for part in missing_parts(run)}, list(range(len(run.ranges)))
    return [number for number in range(shards) if missing & set(Shard(number, shards).of(numbers))]


def _print_status(run: Run, shards: int, as_json: bool) -> None:
    """What is missing; the shards as Slurm's --array takes them."""
    parts = [part.number for part in missing_parts(run)]
    unfinished, count = _unfinished(run, shards), len(run.ranges)
    state = {"out": os.fspath(run.out), "parts": count, "missing_parts": as_ranges(parts), "shards": shards,
            "missing_shards": as_ranges(unfinished)}
    if as_json:
        click.echo(json.dumps(state))
    elif not parts:
        click.echo(f"{run.out}: all {count} parts are there.")
    else:
        click.echo(f"{run.out}: {len(parts)} of {count} parts are missing: {as_ranges(parts)}\n"
                   f"of {shards} shards: --array={as_ranges(unfinished)}")
