"""`cldm gen` that gets a signal once so many samples are done:

    python tests/stopped_run.py SIGNAL SAMPLES --n 40 ...

It prints the process ids of its workers before. A shell without job control has its background programs ignore SIGINT,
and their children with them, so that it is asked for again.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cldm_runtime.cli import gen, main


@contextmanager
def stop(label: str, total: int, stream: object, brief: bool = False) -> Iterator[Callable[[int, int], None]]:
    """In the place of the progress that is shown."""
    def progress(done: int, total: int) -> None:
        if done >= int(sys.argv[2]):
            print(*(process.pid for process in multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), int(sys.argv[1]))

    yield progress


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gen.show_progress = stop
    sys.exit(main.run(gen.gen, sys.argv[3:]))
