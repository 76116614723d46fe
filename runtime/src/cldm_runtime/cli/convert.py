"""`cldm convert`: datasets to the files of other programs, and back."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.numbers import whole_number
from ..scans.conversion.convert import DATASET
from ..scans.conversion.convert import convert as convert_samples
from ..scans.conversion.formats import FORMATS
from .audited import AuditedCommand
from .progress import show_progress
from .run_log import note


@click.command(cls=AuditedCommand)
@click.argument("source", metavar="DATASET|FOLDER", type=click.Path(path_type=Path))
@click.option("--to", "layout", required=True, type=click.Choice([*FORMATS, DATASET]),
              help="nnunet: nnU-Net raw. nifti, png, dicom, npz: images and label maps, file by file. h5: a "
                   "dataset file.")
@click.option("--out", "target", required=True, type=click.Path(path_type=Path), metavar="PATH",
              help="Folder to write, new or empty; for h5, the file.")
@click.option("--rows", metavar="ROWS", help="Only these rows, counted from 0: 7, 0:100 (100 is not among them), or "
                                             "several, separated by commas.  [default: all]")
@click.option("--subset", metavar="NAME", help="Only this subset, for example test.  [default: all]")
@click.option("--labels/--no-labels", default=True, show_default=True, help="With the label maps.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier conversion wrote.")
def convert(source: Path, layout: str, target: Path, rows: str | None, subset: str | None, labels: bool,
            overwrite: bool) -> None:
    """Convert a dataset file to the files of other programs, or a folder of such files back to a dataset file.

    The folder appears whole or not at all. samples.csv has the attributes of every sample, and samples.json what all
    share: with them, the way back gives the same dataset. DICOM images are marked as synthetic or derived, their label
    maps are SEG. Segmentations stay behind. nnunet and nifti need the extra `scans`, dicom needs `dicom`.

    \b
    Examples:
      cldm convert out/samples.h5 --to nnunet --out out/nnunet
      cldm convert cohort.h5 --to png --subset test --no-labels --out out/png
      cldm convert out/samples.h5 --to dicom --out out/dicom
      cldm convert out/nnunet --to h5 --out out/again.h5
    """
    def choose(count: int, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        return chosen_rows(source, count, columns, rows, subset)

    with show_progress("converting", 0, sys.stderr) as progress:
        done = convert_samples(source, layout, target, choose=choose, labels=labels, overwrite=overwrite,
                               progress=progress)
    note(made=done.samples, output=os.path.abspath(target))
    what = "a dataset" if layout == DATASET else FORMATS[layout].title
    click.echo(f"{target}: {done.samples} samples as {what}.")
    for text in done.notes:
        click.echo(f"Note: {text}", err=True)


def chosen_rows(source: Path, count: int, columns: Mapping[str, NDArray[Any]], rows: str | None, subset: str | None
                ) -> NDArray[np.int64]:
    """The rows of --rows that are of the subset, in the order of the file. Raises InputError for none."""
    kept = np.ones(count, np.bool_) if rows is None else np.zeros(count, np.bool_)
    for part in [] if rows is None else rows.split(","):
        kept[_range(part, count)] = True
    if subset is not None:
        named = columns.get("subset", np.array([], np.str_))
        if subset not in named:
            known = ", ".join(sorted(set(named.tolist()))) or "no subsets at all"
            raise InputError(f"{source}: has no subset {subset!r}. Found: {known}.")
        kept &= named == subset
    if not kept.any():
        raise InputError(f"{source}: none of its {count} rows is among --rows {rows} and of the subset {subset!r}. "
                         "Leave one of the two out.")
    return np.flatnonzero(kept)


def _range(text: str, count: int) -> slice:
    """7 or 0:100, of rows that are there. Raises InputError."""
    try:
        low, colon, high = text.partition(":")
        start = whole_number(low) if low.strip() or not colon else 0
        stop = start + 1 if not colon else whole_number(high) if high.strip() else count
    except ValueError as error:
        raise InputError(f"--rows: found {text!r}, expected a row such as 7, or a range such as 0:100.") from error
    if not 0 <= start < stop <= count:
        raise InputError(f"--rows: found {text!r}, expected rows from 0 to {count - 1}; the end of a range is not "
                         f"among them, so the last is {count - 1}:{count}.")
    return slice(start, stop)
