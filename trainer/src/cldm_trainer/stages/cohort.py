"""`cldm-train prepare`: the raw dataset becomes the cohort that every other stage reads."""

from pathlib import Path

import click

from cldm_runtime.scans.prepare import prepare

from ..config import Config


def run(config: Config) -> None:
    """Write cohort.h5 where it is missing, and print a line for each subset."""
    raw_folder = Path(config.prepare.raw) if config.prepare.raw else Path(config.cohort.folder) / "raw"
    counts = prepare(raw_folder, config.cohort_file, config.prepare, config.cohort.domain)
    click.echo(f"{config.cohort_file}")
    for name, count in counts.items():
        line = f"{count.patients:5d} patients {count.slices:6d} slices ({count.dropped} dropped: no closed ring)"
        click.echo(f"  {name:8s} {line}")
