"""`cldm-train phantom`: the cohort that the domain draws, as users have their data."""

import sys
from pathlib import Path

import click

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.scans.phantom_cohort import write_phantom_cohort
from cldm_runtime.scans.settings import RAW_FOLDER, CohortSettings


def run(cohort: CohortSettings, workers: int) -> None:
    """Write what is missing of the raw dataset in <cohort folder>/raw, and say how much that was."""
    folder = Path(cohort.folder) / RAW_FOLDER
    with show_progress("phantom volumes", 0, sys.stderr) as progress:
        written, total = write_phantom_cohort(cohort, folder, workers=workers, progress=progress)
    click.echo(f"{folder}: {written} volumes made, {total} in all")
