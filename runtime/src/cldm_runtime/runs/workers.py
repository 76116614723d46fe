"""Worker processes: each opens the bundle for itself and does whole parts of a run.

They are spawned (never forked from a process that runs networks), receive the run as a recipe, and end when the process
that started them ends, in any way. A worker reports through its pipe:

    (count, None)          a batch of `count` samples is computed
    (0, None)              its part is committed: it waits for the next one
    (0, (error, trace))    it failed, and ends
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import NoReturn

from ..errors import CldmError, WorkerError
from .run import Part, Run

_PATIENCE_S = 5.0  # for a process to end


def most_workers() -> int | None:
    """1 in a daemonic process, as those of a task queue or a multiprocessing.Pool are: it may start no processes. Else
    None: as many as one likes."""
    return 1 if multiprocessing.current_process().daemon else None


def write_parts_with(workers: int, run: Run, parts: Iterable[Part], done: Callable[[int], None]
                     ) -> Generator[Part, None, None]:
    """Have worker processes write the parts, and yield each when it is committed, in any order.

    done: called after each batch with its number of samples. Raises the error of a worker, or WorkerError for a worker
    that ended without one. When the iterator is closed, in any way, all workers end.
    """
    waiting, pool = iter(parts), _Pool()
    try:
        pool.start(workers, run)
        busy = {connection: part for connection, part in zip(pool.connections, waiting, strict=False)}
        for connection, part in busy.items():
            pool.send(connection, part)
        while busy:
            ready, committed = set(wait(busy)), []
            for connection in [each for each in busy if each in ready]:
                count = pool.receive(connection)
                if count:
                    done(count)
                    continue
                committed.append(busy.pop(connection))
                if following := next(waiting, None):
                    busy[connection] = following
                    pool.send(connection, following)
            yield from committed  # last, so that no worker waits while the caller uses them
    finally:
        pool.stop()


class _Pool:
    """Worker processes, and a pipe to each."""

    def __init__(self) -> None:
        self._processes: dict[Connection, SpawnProcess] = {}

    @property
    def connections(self) -> list[Connection]:
        return list(self._processes)

    def start(self, count: int, run: Run) -> None:
        context = multiprocessing.get_context("spawn")
        with _without_interrupts():
            for number in range(count):
                try:
                    self._start_one(context, number)
                except OSError as error:
                    raise WorkerError(f"worker {number} of {count} cannot be started ({error.strerror or error}). Pass "
                                      "fewer --workers, or raise the limits of this shell: ulimit -n (open files), "
                                      "ulimit -u (processes).") from error
        for connection in self.connections:
            self.send(connection, (run, run.sha256))

    def _start_one(self, context: SpawnContext, number: int) -> None:
        ours, theirs = context.Pipe()
        with theirs:
            process = context.Process(target=_work, args=(theirs,), name=f"worker {number}", daemon=True)
            try:
                process.start()
            except OSError:
                ours.close()
                raise
        self._processes[ours] = process

    def send(self, connection: Connection, item: object) -> None:
        try:
            connection.send(item)
        except OSError:
            self._mourn(connection)

    def receive(self, connection: Connection) -> int:
        """The count that a worker sends. Raises its error."""
        try:
            count, failure = connection.recv()
        except (EOFError, OSError):
            self._mourn(connection)
        if failure is not None:
            error, trace = failure
            if not isinstance(error, CldmError):
                error.add_note(f"In a worker process:\n{trace}")
            raise error
        return int(count)

    def _mourn(self, connection: Connection) -> NoReturn:
        process = self._processes[connection]
        process.join(_PATIENCE_S)
        code = process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = " Out of memory? Pass fewer --workers or a smaller --batch-size." if code == -9 else ""
        raise WorkerError(f"{process.name} {how} before its part was done.{hint}")

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for connection, process in self._processes.items():
            process.join(_PATIENCE_S)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
            connection.close()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here ignore Ctrl-C, which a terminal sends to all. A Ctrl-C during the block acts after it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C: KeyboardInterrupt. A program that has its own handler keeps it."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(connection: Connection) -> None:
    """The main function of a worker: receives the run, then parts, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run, sha256 = connection.recv()
        if run.sha256 != sha256:
            raise run.altered()
        while True:
            run.write_part(connection.recv(), lambda count: connection.send((count, None)))
            connection.send((0, None))
    except (EOFError, BrokenPipeError):
        return  # the process that started this one has ended
    except MemoryError as error:
        memory = WorkerError(f"a worker ran out of memory ({error}). Pass fewer --workers or a smaller --batch-size.")
        connection.send((0, (memory, "")))
    except Exception as error:
        connection.send((0, (error, traceback.format_exc())))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
