"""`cldm-train phantom`: the cohort that the domain draws, as users have their data."""

from pathlib import Path

import click

from cldm_runtime.scans.phantom_cohort import subset_sizes, write_phantom_cohort

from ..config import Config


def run(config: Config) -> None:
    """Write what is missing of the raw dataset in <cohort folder>/raw, and say how much that was."""
    folder = Path(config.cohort.folder) / "raw"
    made = write_phantom_cohort(config.cohort, folder, workers=config.prepare.workers)
    click.echo(f"{folder}: {made} volumes made, {sum(subset_sizes(config.cohort).values())} in all")
