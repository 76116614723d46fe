"""What a finished run of `cldm gen` made, for people and for programs."""

import json
import os
from pathlib import Path
from typing import Any

import click

from ..generation.plan import Plan
from ..runs.shards import as_ranges
from ..store import FilterRecord, open_dataset, read_filter

_NAMED = 20  # of given up rows and ranges of samples in a line of text


def say_made(plan: Plan, out: Path, seconds: float, as_json: bool) -> None:
    """Print what this process made."""
    drawn, record = _acceptance(plan, out), _filter_record(plan, out)
    if as_json:
        click.echo(json.dumps({"out": os.fspath(out), "samples": plan.samples, "seconds": round(seconds, 3),
                               "plan_sha256": plan.sha256, **drawn, **filter_figures(record)}))
        return
    click.echo(f"{out}: {plan.samples if record is None else record.accepted} images in {seconds:.1f} s.")
    if record is not None:
        click.echo(filter_text(record))
    if drawn:
        click.echo(f"label maps: {drawn['anatomy_acceptance']:.0%} of {drawn['anatomy_draws']} draws accepted.")


def say_merged(plan: Plan, out: Path) -> None:
    """Print what many processes made."""
    record = _filter_record(plan, out)
    click.echo(f"{out}: {plan.samples if record is None else record.accepted} images.")
    if record is not None:
        click.echo(filter_text(record))


def _filter_record(plan: Plan, out: Path) -> FilterRecord | None:
    """What a quality filter did; None without one."""
    if plan.keep is None:
        return None
    with open_dataset(out) as dataset:
        return read_filter(dataset.metadata, out)


def filter_text(record: FilterRecord) -> str:
    """What a quality filter did, in two or three lines."""
    means = ", ".join(f"{name} {mean:.3g}" for name, mean in record.means.items())
    text = (f"kept if {record.rule}: {record.accepted} of {record.asked} samples; {record.rejected} candidates "
            f"rejected, {len(record.given_up)} samples given up after {record.tries} tries. Means over all candidates: "
            f"{means or 'none is defined'}.")
    if not record.given_up:
        return text
    rows = _shortened([f"{row} ({count})" for row, count in record.given_up_rows.items()])
    lost = f"given up: samples {_shortened(as_ranges(record.given_up).split(','))}"
    return f"{text}\n{lost}" + (f"; by row of the grid, from 0 as /grid_row: {rows}" if rows else "")


def _shortened(words: list[str]) -> str:
    return ", ".join([*words[:_NAMED], *(["..."] if len(words) > _NAMED else [])])


def filter_figures(record: FilterRecord | None) -> dict[str, Any]:
    """What a quality filter did, as plain values; empty without one."""
    return {} if record is None else {
        "samples": record.accepted, "asked": record.asked, "rejected": record.rejected,
        "given_up": list(record.given_up), "given_up_rows": dict(record.given_up_rows)}


def _acceptance(plan: Plan, out: Path) -> dict[str, float]:
    """How many label maps a learned anatomy drew, and the share that met the request; empty without one."""
    anatomy = plan.generator.domain.anatomy
    if anatomy is None or anatomy.identity()["anatomy"] != "learned":
        return {}
    with open_dataset(out) as dataset:
        draws = int(dataset.metadata["anatomy_draws"])
    return {"anatomy_draws": draws, "anatomy_acceptance": round(plan.samples / draws, 4)}
