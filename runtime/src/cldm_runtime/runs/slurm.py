"""Slurm: an array job that does the shards of a run, and a following job that merges them."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, ProviderError
from ..files.atomic import write_bytes


def write_scripts(command: Sequence[str], out: Path, shards: int, array: str, cpus: int) -> tuple[Path, Path]:
    """Write the array job and the merge, `<out>.sbatch` and `<out>.merge.sbatch`, and return their paths.

    command: the program and its arguments, without those for scaling out. array: the shards to do, in Slurm's notation.
    cpus: of each task, which starts as many workers.
    """
    logs = shlex.quote(f"{out}.%A_%a.log")
    head = [f"#SBATCH --job-name=cldm-{''.join(c if c.isalnum() else '-' for c in out.stem)}", "#SBATCH --ntasks=1",
            f"#SBATCH --chdir={shlex.quote(os.getcwd())}"]
    array_lines = ["#!/bin/sh", *head, f"#SBATCH --cpus-per-task={cpus}", f"#SBATCH --array={array}",
                   f"#SBATCH --output={logs}", "#SBATCH --requeue", "set -eu",
                   f"exec {shlex.join(command)} --shards {shards}"]
    merge_lines = ["#!/bin/sh", *head, f"#SBATCH --output={shlex.quote(f'{out}.merge.log')}", "set -eu",
                   f"exec {shlex.join(command)} --merge"]
    return (_write(out.with_name(f"{out.name}.sbatch"), array_lines),
            _write(out.with_name(f"{out.name}.merge.sbatch"), merge_lines))


def submit(array: Path, merge: Path) -> tuple[str, str]:
    """Submit both jobs with sbatch and return their numbers. The merge starts when every shard is done, and is
    cancelled if one fails.

    Raises ProviderError if there is no sbatch, or it rejects a job.
    """
    if shutil.which("sbatch") is None:
        raise ProviderError(f"sbatch is not installed here. Copy {array} and {merge} to where it is, or leave --submit "
                            "out.")
    first = _sbatch("--parsable", str(array))
    return first, _sbatch("--parsable", f"--dependency=afterok:{first}", "--kill-on-invalid-dep=yes", str(merge))


def _sbatch(*arguments: str) -> str:
    done = subprocess.run(["sbatch", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProviderError(f"sbatch {shlex.join(arguments)} was refused: {' '.join(done.stderr.split())}")
    return done.stdout.strip().split(";")[0]


def _write(path: Path, lines: Sequence[str]) -> Path:
    try:
        write_bytes(path, ("\n".join(lines) + "\n").encode("utf-8"))
        rights = path.stat().st_mode
        path.chmod(rights | (rights & 0o444) >> 2)  # whoever may read it may run it
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). Choose another --out.") from error
    return path
