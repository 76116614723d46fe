"""`cldm bench`: how fast a bundle generates on this machine."""

import json
import sys
from pathlib import Path

import click

from ..bench.bundle_bench import Sampling, bench_bundle
from ..bench.contest import BATCHES, ContestOptions
from ..bench.rows import append_rows, speed_table
from ..diffusion.samplers import SAMPLERS
from ..engines.engine import PROVIDERS
from ..engines.processor import available_cores
from ..errors import ProviderError, list_faults
from .numbers import Number, NumberRange, WholeNumber
from .options import bundle_option, load_generator_bundle
from .progress import show_progress


@click.command()
@bundle_option
@click.option("--provider", "providers", type=click.Choice(PROVIDERS), multiple=True, default=("cpu",),
              show_default=True, help="What runs the networks; may be given several times.")
@click.option("--sampler", type=click.Choice(list(SAMPLERS)), help="Sampler.  [default: from bundle]")
@click.option("--steps", "steps", type=WholeNumber(min=1), metavar="K", multiple=True,
              help="Sampling steps; may be given several times.  [default: from bundle]")
@click.option("--guidance", type=Number(), metavar="W", help="Weight of guidance.  [default: from bundle]")
@click.option("--batch-size", "batches", type=WholeNumber(min=1), metavar="B", multiple=True, default=BATCHES,
              show_default=True, help="Batch sizes to try; the fastest is timed.")
@click.option("--threads", type=WholeNumber(min=1), metavar="N", help="Threads.  [default: all cores]")
@click.option("--rounds", type=WholeNumber(min=1), metavar="R", default=5, show_default=True,
              help="How often each is timed.")
@click.option("--seconds", type=NumberRange(min=0), metavar="S", default=0.0, show_default=True,
              help="Least duration of each timing; 0: one batch.")
@click.option("--seed", type=WholeNumber(0, 2**63 - 1), metavar="S", default=0, show_default=True,
              help="Seed of the images.")
@click.option("--cpp", type=click.Path(exists=True, dir_okay=False, executable=True, resolve_path=True, path_type=Path),
              metavar="PROGRAM", help="Also time this build of cldm-cpp.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="Add the rows to this file, as JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON lines instead of a table.")
def bench(bundle_folder: Path, providers: tuple[str, ...], sampler: str | None, steps: tuple[int, ...],
          guidance: float | None, batches: tuple[int, ...], threads: int | None, rounds: int, seconds: float, seed: int,
          cpp: Path | None, out: Path | None, as_json: bool) -> None:
    """Time a bundle: its networks alone, and the whole path from requests to images in memory and to a file.

    Each runs in its own process at its fastest batch size, in turn with the others.

    \b
    Examples:
      cldm bench
      cldm bench --bundle exported/lge-teacher --steps 8 --steps 25 --rounds 3 --out bench.jsonl
      cldm bench --cpp cpp_bench/build/cldm-cpp --batch-size 8 --rounds 7 --seconds 5
    """
    bundle = load_generator_bundle(bundle_folder).path
    options = ContestOptions(rounds, seconds, batches, threads or available_cores())
    samplings = [Sampling(sampler, count, guidance) for count in steps or (None,)]
    command = " ".join(["cldm bench", f"--bundle {bundle.name}", *(f"--steps {count}" for count in steps),
                        *(["--cpp"] if cpp else [])])
    with show_progress("timing", 0, sys.stderr) as progress:
        rows = bench_bundle(bundle, samplings, providers, options, command, seed, _say, cpp=cpp, progress=progress)
    if out is not None:
        append_rows(out, rows)
    faults = [f"{row['name']}: {row['error']}" for row in rows if row["error"] is not None]
    if len(faults) == len(rows):
        raise ProviderError(list_faults(f"bundle {bundle}: nothing could be timed.", faults))
    click.echo("\n".join(json.dumps(row) for row in rows) if as_json else speed_table(rows))


def _say(text: str) -> None:
    """What is done now, in a log; on a terminal there is a bar."""
    if not sys.stderr.isatty():
        click.echo(text, err=True)
