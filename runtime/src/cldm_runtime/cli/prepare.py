"""`cldm prepare`: a folder of scans becomes the cohort that models are trained on and measured with."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from ..bundle.declarations import find_domain
from ..domains.domain import Domain
from ..errors import InputError
from ..files.atomic import whole_stream
from ..report.contact_sheet import contact_sheet
from ..scans.counts import count_lines, warnings
from ..scans.label_map import ENHANCING_TUMOUR
from ..scans.prepare import prepare as prepare_scans
from ..scans.settings import CohortSettings, PrepareSettings, raw_folder, read_settings
from ..store import open_dataset
from .audited import AuditedCommand
from .numbers import WholeNumber
from .progress import show_progress
from .run_log import note


@click.command(cls=AuditedCommand)
@click.argument("folder", required=False, metavar="", type=click.Path(path_type=Path))
@click.option("--config", "config", type=click.Path(path_type=Path), metavar="FILE",
              help="TOML file with [cohort] and [prepare]; the trainer's, for example. It has to be given.")
@click.option("--et-label", type=WholeNumber(1, 255), metavar="VALUE",
              help="Value of the enhancing tumour in label maps of BraTS from before 2023: 4.")
@click.option("--overwrite", is_flag=True, help="Replace a cohort.h5 that is there.")
def prepare(folder: Path | None, config: Path | None, et_label: int | None, overwrite: bool) -> None:
    """Crop, resample and normalise a folder of scans and label maps into the file cohort.h5 of the cohort's folder.

    docs/your-own-data.md lists the datasets that are read as they are. All other sections of FILE are ignored. Needs
    the extra `scans`; no torch. `cldm-train prepare` writes the same bytes.

    \b
    Example:
      cldm prepare --config my.toml
    """
    if folder is not None or config is None:
        raise InputError("prepare: what is prepared, and how, stands in a TOML file. For the defaults, write\n"
                         'cohort.folder = "data/my-cohort"\n'
                         f'prepare.raw = "{folder or "FOLDER WITH THE SCANS"}"\n'
                         f"into {config or 'my.toml'}, and run: cldm prepare --config {config or 'my.toml'}. All keys: "
                         "docs/settings.md.")
    settings = read_settings(config)
    scans = settings.prepare
    if et_label is not None:
        target = scans.labels.get(ENHANCING_TUMOUR, ENHANCING_TUMOUR)
        scans = replace(scans, labels={**scans.labels, str(et_label): target})
    prepare_cohort(settings.cohort, scans, overwrite=overwrite)


def prepare_cohort(cohort: CohortSettings, settings: PrepareSettings, *, overwrite: bool = False) -> None:
    """Write the cohort file, unless it is there and made from the same, and print a line for each subset."""
    notes: list[str] = []
    with show_progress("preparing", 0, sys.stderr) as progress:
        counts = prepare_scans(raw_folder(cohort, settings), cohort.file, settings, cohort.domain, overwrite=overwrite,
                               progress=progress, notes=notes)
    note(made=sum(count.samples for count in counts.values()), output=os.path.abspath(cohort.file))
    domain = find_domain(cohort.domain)
    click.echo("\n".join([str(cohort.file), *count_lines(counts, domain)]))
    _write_contact_sheet(cohort.file, domain, notes)
    for text in notes:
        click.echo(f"Note: {text}", err=True)
    for warning in warnings(counts, domain):
        click.echo(f"Warning: {warning}", err=True)


def _write_contact_sheet(cohort: Path, domain: Domain, notes: list[str]) -> None:
    """Show what was understood of the scans, in a picture next to the cohort; the same picture is kept."""
    sheet = cohort.with_suffix(".png")
    with open_dataset(cohort) as dataset:
        picture = contact_sheet(dataset, domain)
    if sheet.is_file() and sheet.read_bytes() == picture:
        return
    with whole_stream(sheet) as stream:
        stream.write(picture)
    notes.append(f"{sheet} shows what was understood: first, middle and last slice of stacks, outlined. Look at it.")
