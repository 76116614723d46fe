"""Starts the processes that train a model together on this machine, and ends them together.

Each is the same command again, with its number in the environment. Where srun or torchrun starts them, nothing
here does. This module imports no torch: whoever starts processes has no use for it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import click

from cldm_runtime.errors import InputError, WorkerError

from ..config import RunConfig

_FOLDER = "CLDM_TRAIN_FAILURES"  # set for started processes: where one that fails says why
_OF_NODES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
_GRACE_S = 10.0  # that the others have to end by themselves once one has failed


def several(run: RunConfig) -> bool:
    """Whether a run is trained by more than one process."""
    return run.devices * run.nodes > 1


def started_by() -> tuple[str, int]:
    """What started this process together with others, and how many there are; ("", 1) where nothing did."""
    if _FOLDER in os.environ:
        return "cldm-train", int(os.environ["WORLD_SIZE"])
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun", int(os.environ["WORLD_SIZE"])
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return "srun", int(os.environ["SLURM_STEP_NUM_TASKS"])
    return "", 1


def must_start(run: RunConfig) -> bool:
    """Whether this process has to start those of the run. Raises InputError where another number was started."""
    starter, count = started_by()
    if starter and count != run.devices * run.nodes:
        raise InputError(f"{starter} started {count} processes, but {run.devices} devices x {run.nodes} nodes take "
                         f"{run.devices * run.nodes}. Give --devices the processes of each node and --nodes their "
                         "nodes.")
    return several(run) and not starter


def run_together(arguments: Sequence[str], run: RunConfig) -> int:
    """`cldm-train` with these arguments in `run.devices` processes of this node. Returns the exit code.

    SIGTERM and SIGINT are passed on. The first process to fail says why and gives the exit code; the others are ended
    with it. Raises InputError where there are several nodes and the environment does not say which is this.
    """
    command = [sys.executable, "-P", "-m", "cldm_trainer.cli", *arguments]
    shared = {**os.environ, **_meeting_point(run), "WORLD_SIZE": str(run.devices * run.nodes)}
    read, write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="cldm-train-") as folder:
        # A group of their own: a terminal's Ctrl-C reaches them through this process, once.
        children = [subprocess.Popen(command, env={**shared, "LOCAL_RANK": str(number), _FOLDER: folder}, stdin=read,
                                     process_group=0) for number in range(run.devices)]
        with _passing_signals_on(children) as passed:
            killed = _wait(children)
        reasons = sorted(Path(folder).glob("*.txt"))  # by the time at which they were written
        code = _outcome(children, killed, reasons, bool(passed))
    os.close(read)
    os.close(write)  # open until here: see `stop_with_starter`
    return code


def _meeting_point(run: RunConfig) -> dict[str, str]:
    """Where the processes of all nodes find each other."""
    if run.nodes == 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return dict(zip(_OF_NODES, ("127.0.0.1", str(free.getsockname()[1]), "0"), strict=True))
    missing = [name for name in _OF_NODES if name not in os.environ]
    if missing:
        raise InputError(f"{run.nodes} nodes: {', '.join(missing)} not set. Start this command by srun or torchrun, or "
                         "on every node with MASTER_ADDR (name of the first node), MASTER_PORT (a port that is free "
                         f"there) and NODE_RANK (0 to {run.nodes - 1}).")
    return {name: os.environ[name] for name in _OF_NODES}


@contextlib.contextmanager
def _passing_signals_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Every SIGTERM and SIGINT goes to every child. Gives those that came."""
    passed: list[int] = []

    def pass_on(number: int, _: object) -> None:
        passed.append(number)
        for child in children:
            child.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield passed
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> set[int]:
    """Until all have ended. Returns the numbers of those that were killed, because another one had failed."""
    killed: set[int] = set()
    failed_at = None
    while any(child.poll() is None for child in children):
        if failed_at is None and any(child.returncode for child in children):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE_S:
            left = {number for number, child in enumerate(children) if child.poll() is None}
            for number in left:
                children[number].kill()  # in a wait for the one that failed, SIGTERM would not reach it
            killed |= left
        time.sleep(0.05)
    return killed


def _outcome(children: Sequence[subprocess.Popen[bytes]], killed: set[int], reasons: Sequence[Path],
             interrupted: bool) -> int:
    """Say why the processes ended, if not because they were done, and return the exit code of them all."""
    by_signal = {number: -child.returncode for number, child in enumerate(children)
                 if child.returncode < 0 and number not in killed}
    if by_signal and not interrupted:
        number, code = next(iter(by_signal.items()))
        click.echo(f"error: process {number} of {len(children)} was ended by {signal.Signals(code).name}, and the "
                   "others with it. The same command goes on from the last checkpoint.", err=True)
        return WorkerError.exit_code
    if reasons:
        click.echo(reasons[0].read_text(encoding="utf-8"), err=True)
        return children[int(reasons[0].stem.split("-")[1])].returncode
    if by_signal:
        click.echo("interrupted; the same command goes on from the last checkpoint.", err=True)
        return 130
    return max(child.returncode for child in children)


def started_here() -> bool:
    """Whether `run_together` started this process."""
    return _FOLDER in os.environ


def stop_with_starter() -> None:
    """Let SIGTERM come, as if from outside, when the process that started this one is gone."""
    def watch() -> None:
        os.read(0, 1)  # the pipe that its end closes
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def lost_another(error: Exception) -> bool:
    """Whether torch says that a process of the training is gone: that process has written its own message."""
    kinds = {"DistBackendError", "DistNetworkError", "DistStoreError"}  # by name: torch is not imported here
    return type(error).__name__ in kinds or (isinstance(error, RuntimeError) and "by peer" in str(error))


def leave(text: str, code: int) -> NoReturn:
    """End this process with a message, once for all that were started together."""
    if not started_here():
        click.echo(text, err=True)
        sys.exit(code)
    path = Path(os.environ[_FOLDER], f"{time.monotonic_ns():020d}-{os.environ['LOCAL_RANK']}.txt")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:  # the folder of temporary files is full
        click.echo(text, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: a tidy end may wait for the other processes
