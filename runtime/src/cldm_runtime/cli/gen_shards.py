"""`cldm gen` in shards: what --shard, --status and --engine do."""

import json
import os
import sys
import time
from pathlib import Path

import click

from .. import audit_log
from ..clusters import slurm
from ..clusters.ray import generate_on_ray
from ..errors import InputError
from ..generate import generate_shard, missing_parts, parts_folder
from ..plan import Plan
from ..shards import Shard, as_ranges, parse_shard, shard_of_this_task
from .progress import show_progress

ENGINES = ("local", "ray", "slurm")


def run_on_ray(plan: Plan, out: Path, shards: int, address: str | None) -> None:
    with show_progress("generating", plan.samples, sys.stderr) as progress:
        generate_on_ray(plan, out, shards, address, progress)
    click.echo(f"{out}: {plan.samples} images.")


def chosen_shard(text: str | None, count: int | None, status: bool) -> Shard | None:
    """The shard to do; None: the whole run."""
    if text is not None:
        if count is not None:
            raise InputError("--shard I/K says both which shard and of how many. Leave --shards out.")
        return parse_shard(text)
    return None if count is None or status else shard_of_this_task(count)


def run_shard(plan: Plan, out: Path, shard: Shard, workers: int, as_json: bool) -> None:
    start, parts = time.monotonic(), shard.of(plan.parts)
    with show_progress(f"shard {shard}", sum(map(len, parts)), sys.stderr) as progress:
        done = generate_shard(plan, out, shard, progress, workers)
    audit_log.note(made=sum(map(len, parts)))
    told = {"out": os.fspath(out), "shard": str(shard), "parts": len(parts), "done_now": done,
            "seconds": round(time.monotonic() - start, 3), "plan_sha256": plan.sha256}
    click.echo(json.dumps(told) if as_json else f"{parts_folder(out)}: shard {shard} is there, {len(parts)} parts, "
               f"{done} of them done now.")


def write_slurm_job(plan: Plan, out: Path, shards: int, cpus: int, submit: bool) -> None:
    """The jobs of this very command, for the shards that are not finished."""
    unfinished = _unfinished(plan, out, shards)
    if not unfinished:
        click.echo(f"{out}: all {len(plan.parts)} parts are there. Merge them with --merge.")
        return
    scaling = {"--engine", "slurm", "--engine=slurm", "--submit", "--shards", f"--shards={shards}"}
    arguments = [argument for place, argument in enumerate(sys.argv[1:], 1)
                 if argument not in scaling and sys.argv[place - 1] != "--shards"]
    gen = [] if arguments[:1] == ["gen"] else ["gen"]  # cldm gen, or cldm-gen
    command = [sys.executable, "-m", "cldm_runtime", *gen, *arguments]
    array, merge = slurm.write_scripts(command, out, shards, as_ranges(unfinished), cpus)
    if submit:
        first, second = slurm.submit(array, merge)
        click.echo(f"submitted: array job {first}, and {second}, which merges when it is done.")
    else:
        click.echo(f"written: {array} and {merge}. sbatch the first; the second when all of its tasks are done.")


def _unfinished(plan: Plan, out: Path, shards: int) -> list[int]:
    """Numbers of the shards that have parts missing."""
    missing, numbers = {part.number for part in missing_parts(plan, out)}, list(range(len(plan.parts)))
    return [number for number in range(shards) if missing & set(Shard(number, shards).of(numbers))]


def print_status(plan: Plan, out: Path, shards: int, as_json: bool) -> None:
    """What is missing; the shards as Slurm's --array takes them."""
    parts = [part.number for part in missing_parts(plan, out)]
    unfinished = _unfinished(plan, out, shards)
    told = {"out": os.fspath(out), "parts": len(plan.parts), "missing_parts": as_ranges(parts), "shards": shards,
            "missing_shards": as_ranges(unfinished)}
    if as_json:
        click.echo(json.dumps(told))
    elif not parts:
        click.echo(f"{out}: all {len(plan.parts)} parts are there.")
    else:
        click.echo(f"{out}: {len(parts)} of {len(plan.parts)} parts are missing: {as_ranges(parts)}\n"
                   f"of {shards} shards: --array={as_ranges(unfinished)}")
