"""`cldm verify` of a dataset: is every sample there, once, and as it was written?"""

import json
import sys
from pathlib import Path

import click

from ..errors import DatasetError, list_faults
from ..runs.shards import as_ranges
from ..store import check_samples, expected_samples, open_dataset, read_filter
from .progress import show_progress


def verify_dataset(path: Path, as_json: bool) -> None:
    """Print what was found. Raises DatasetError for a file that lost, doubled or damaged a sample, and names the parts
    of the run that mend it."""
    with open_dataset(path) as dataset:
        count, metadata = len(dataset), dataset.metadata
        if dataset.checksum is None:
            click.echo(json.dumps({"samples": count, "checked": False}) if as_json else
                       f"{path}: {count} samples; the structure is sound, there are no checksums to compare with.")
            return
        asked = int(json.loads(str(metadata.get("plan", "{}"))).get("samples", count))
        indices = expected_samples(asked, read_filter(metadata, path))
        expected = len(indices)
        with show_progress("checking", count, sys.stderr) as progress:
            done = 0

            def count_rows(rows: int) -> None:
                nonlocal done
                progress(done := done + rows, count)

            faults = check_samples(dataset, indices, count_rows)
    ranges_of = {name: as_ranges(getattr(faults, name).tolist()) for name in ("missing", "doubled", "damaged")}
    size = metadata.get("part_samples")
    parts = as_ranges(sorted(set((faults.all // int(size)).tolist()))) if size else ""
    if as_json:
        click.echo(json.dumps({"samples": count, "checked": True, "passed": not faults, **ranges_of, "parts": parts}))
    elif not faults:
        click.echo(f"{path}: {count} samples, each there once and as it was written.")
    if faults:
        mend = f"parts {parts}; " if parts else ""
        raise DatasetError(list_faults(
            f"{path}: {len(faults.all)} of {expected} samples are not as they were written ({mend}repair it: cldm run "
            "repair with the arguments of the command that made it).",
            [f"{name}: {ranges}" for name, ranges in ranges_of.items() if ranges]))
