"""`cldm audit-log`: is the log of runs as it was written?"""

import dataclasses
import json
from pathlib import Path

import click

from .run_log import verify_log


@click.group("audit-log")
def audit_log() -> None:
    """The log of runs that CLDM_AUDIT_LOG=FILE turns on: who, when, with which bundle, seed and outcome."""


@audit_log.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--holds", default="", metavar="SHA256", help="Hash of the last line at an earlier time. Also check that "
              "this line is still there: then nothing was cut off or rewritten.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(file: Path, holds: str, as_json: bool) -> None:
    """Check the chain of hashes in FILE; exits with 4 and names the first line that is broken.

    \b
    Example:
      cldm audit-log verify /var/log/cldm/audit.jsonl
    """
    check = verify_log(file, holds.strip().lower())
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(check)))
        return
    click.echo(f"{file}: {check.lines} lines of {check.runs} runs that ended, the chain is whole.")
    for state, numbers in (("cut off while they were written", check.torn),
                          ("of runs that were killed or are still going on", check.unfinished)):
        if numbers:
            click.echo(f"lines {', '.join(map(str, numbers))}: {state}.")
    click.echo(f"sha256 of the last line: {check.last_sha256}. Keep it elsewhere for --holds.")
