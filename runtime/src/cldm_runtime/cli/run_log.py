"""An optional log of runs, for sites that must be able to say who made what, with which bundle.

    export CLDM_AUDIT_LOG=/var/log/cldm/audit.jsonl      # then gen, segment, evaluate and sign write to it

A run writes one line of JSON when it begins, before it does anything, and one with all the facts when it ends; each
line holds the SHA-256 of the line before it (without its line feed), so that what is altered, removed or put in between
shows. Several runs may share a file: a line is added under a lock and is on the disk before the run goes on. A line
that a power loss cut off stays as it is, and the next one says so. Whoever may write to the file can also rewrite all
of it, or cut its end off: keep the hash of the last line elsewhere from time to time.
"""

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CldmError, DatasetError, InputError
from ..version import __version__

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle

AUDIT_LOG = "CLDM_AUDIT_LOG"
FORMAT, FORMAT_VERSION = "cldm-audit", 1
BEFORE_THE_FIRST = "0" * 64
_HEAD = f'{{"format": "{FORMAT}", '.encode()  # of the file: nothing else is ever appended to
_BLOCK = 64 * 2**10
_INTERRUPTED = 130
_facts: ContextVar[dict[str, Any] | None] = ContextVar("facts of the run", default=None)


@dataclass(frozen=True)
class LogCheck:
    """A log whose chain is whole: how many lines and finished runs it has, the hash of its last line, the numbers of
    the lines that were cut off, and of those that began a run which has not ended (it was killed, or goes on)."""

    lines: int
    runs: int
    last_sha256: str
    torn: tuple[int, ...]
    unfinished: tuple[int, ...]


@contextmanager
def record_run(command: str, arguments: Sequence[str]) -> Iterator[None]:
    """Log what is done inside, if $CLDM_AUDIT_LOG names a file. Raises InputError where that cannot be written: before
    anything is done, or at the end of a run that went well; one that failed keeps its own error."""
    log_file = os.environ.get(AUDIT_LOG)
    if not log_file:
        yield
        return
    path, facts = Path(log_file), _who_and_what(command, arguments)
    began = _append(path, {"event": "begin", **facts}, "Nothing was done")
    facts |= {"began": began, "ended": None, "bundles": [], "seed": None, "plan_sha256": None, "asked": None,
              "made": None, "output": None, "exit_code": 0, "error": None}
    token = _facts.set(facts)
    try:
        yield
    except BaseException as error:
        facts["exit_code"], facts["error"] = _outcome(error)
        try:
            _append_end(path, facts)
        except InputError as lost:  # the exit code is that of the run
            click.echo(f"error: {lost}", err=True)
        raise
    finally:
        _facts.reset(token)
    _append_end(path, facts)


def _append_end(path: Path, facts: dict[str, Any]) -> None:
    facts["ended"] = _now()
    _append(path, {"event": "end", **facts}, f"The run has ended with exit code {facts['exit_code']} "
            f"({facts['error'] or 'done'}), and the log lacks that")


def note(*bundles: "Bundle", **facts: str | int) -> None:
    """Tell the log, if there is one, of bundles that the run under way uses and of: seed, plan_sha256, asked and made
    (samples), output (path)."""
    record = _facts.get()
    if record is None:
        return
    if unknown := facts.keys() - record.keys():
        raise TypeError(f"unknown facts {sorted(unknown)}")
    record["bundles"] += [{"name": bundle.manifest.name, "version": bundle.manifest.bundle_version,
                           "manifest_sha256": bundle.manifest_sha256} for bundle in bundles]
    record |= facts


def verify_log(path: Path, holds: str = "") -> LogCheck:
    """Check the chain. `holds`: a hash that was noted earlier; one of the lines must have it.

    Raises DatasetError that names the first broken line.
    """
    previous, torn, began, runs, number = BEFORE_THE_FIRST, [], {}, 0, 0
    was_torn = has_hash = False
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                record = _parse(path, number, line)
                if was_torn and not (record and record.get("after_torn_line") is True):
                    raise _broken(path, number - 1, "is not a line of this log")
                if record is None:
                    torn.append(number)
                elif record.get("previous") != previous:
                    raise _broken(path, number, "does not follow the line before it: one of the two was altered, or "
                                                "lines between them were removed")
                elif record.get("event") == "begin":
                    began[_digest(line)] = number
                else:
                    runs += 1
                    began.pop(str(record.get("began")), None)
                previous, was_torn = _digest(line), record is None
                has_hash = has_hash or previous == holds
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). Give an audit log.") from error
    if was_torn:
        raise _broken(path, number, "was cut off, or is not a line of this log; if a power loss did it, the next run "
                                    "that is logged will say so")
    if holds and not has_hash:
        raise DatasetError(f"{path}: none of its {number} lines has the SHA-256 {holds}. Its end was cut off, or all "
                           "of it was rewritten.")
    return LogCheck(number, runs, previous, tuple(torn), tuple(began.values()))


def _who_and_what(command: str, arguments: Sequence[str]) -> dict[str, Any]:
    return {"command": command, "arguments": list(arguments), "user": _user(), "host": platform.node(),
            "process": os.getpid(), "folder": os.getcwd(), "begun": _now(), "runtime_version": __version__}


def _append(path: Path, facts: dict[str, Any], otherwise: str) -> str:
    """Add a line, on the disk when this returns; its SHA-256. `otherwise`: what is so if that fails."""
    try:
        with _locked(path) as descriptor:
            last, torn = _last_line(descriptor)
            previous = BEFORE_THE_FIRST if last is None else _digest(last)
            line = json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, "previous": previous,
                               **({"after_torn_line": True} if torn else {}), **facts}).encode()
            data = (b"\n" if torn else b"") + line + b"\n"
            while data:
                data = data[os.write(descriptor, data):]
            os.fsync(descriptor)
    except (OSError, ImportError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the audit log cannot be written ({why}). {otherwise}. Mend it, or name another file "
                         f"in {AUDIT_LOG}.") from error
    return _digest(line)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open log, which nobody else writes to meanwhile. Raises OSError, and ImportError on Windows."""
    import fcntl  # here, because Windows has none

    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = os.pread(descriptor, len(_HEAD), 0)
        first = data.partition(b"\n")[0]  # shorter than the head if it was cut off
        if first != _HEAD[:len(first)] or (data and not first):
            raise OSError("it holds something else")
        yield descriptor
    finally:
        os.close(descriptor)
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _last_line(descriptor: int) -> tuple[bytes | None, bool]:
    """The last line, None in an empty file, and whether it was cut off before its line feed."""
    start, data = os.fstat(descriptor).st_size, b""
    while start > 0 and b"\n" not in data[:-1]:
        step = min(_BLOCK, start)
        start -= step
        data = os.pread(descriptor, step, start) + data
    if not data:
        return None, False
    return data.removesuffix(b"\n").rpartition(b"\n")[2], not data.endswith(b"\n")


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it is none. Raises DatasetError for one of a newer format."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    if record.get("format_version") != FORMAT_VERSION:
        raise DatasetError(f"{path}, line {number}: format_version is {record.get('format_version')!r}, expected "
                           f"{FORMAT_VERSION}. If it is newer, update: pip install --upgrade cldm-runtime.")
    return record


def _broken(path: Path, number: int, what: str) -> DatasetError:
    return DatasetError(f"{path}: line {number} {what}. Up to there the chain is whole; nothing from there on can be "
                        "relied on.")


def _outcome(error: BaseException) -> tuple[int, str]:
    """Exit code and message of what ended a run."""
    if isinstance(error, CldmError | click.ClickException):
        return error.exit_code, str(error)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return _INTERRUPTED, "interrupted"
    return 1, f"{type(error).__name__}: {error}"


def _user() -> str:
    """Of the operating system; the environment is ignored."""
    number = os.getuid() if hasattr(os, "getuid") else -1
    try:
        import pwd  # here, because Windows has none

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
