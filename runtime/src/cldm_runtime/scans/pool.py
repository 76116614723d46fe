"""Worker processes of `prepare` and of the phantom: one that is killed is one message, as in `cldm gen`."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ..errors import WorkerError

WORKERS = "prepare.workers"  # the setting


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of that number of processes; None for fewer than 2, and within a daemon process, which may start none.

    Raises WorkerError where a process is killed or has no memory left.
    """
    if workers < 2 or multiprocessing.current_process().daemon:
        yield None
        return
    try:
        with ProcessPoolExecutor(workers) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise WorkerError(f"one of {workers} worker processes was killed before its work was done. Out of memory? Set "
                          f"a smaller {WORKERS} than {workers} and start again; 1 works in one process.") from error
    except MemoryError as error:
        raise WorkerError(f"a worker process ran out of memory ({error}). Set a smaller {WORKERS} than {workers} and "
                          "start again; 1 works in one process.") from error
