"""Errors of the machine that reach the command line: a name that no file can have, a full disk, too many open files, no
memory. They are no defects of this program, so they become a message with an exit code."""

import errno
import os
from collections.abc import Collection

from ..errors import CldmError, DatasetError, InputError, WorkerError

_NAMES = {errno.ENAMETOOLONG: "Choose a shorter name", errno.ELOOP: "Its links lead in a circle: mend them",
          errno.EACCES: "Change its rights, or choose another file", errno.EISDIR: "Give the name of a file",
          errno.EPERM: "Change its rights, or choose another file", errno.ENOTDIR: "Give the path of a folder there",
          errno.EROFS: "Choose a folder that can be written to"}
_STATES = {errno.ENOSPC: "Free some space and run again", errno.EDQUOT: "Free some space and run again",
           errno.ENFILE: "Close other programs and run again", errno.EIO: "Check the disk and run again",
           errno.ESTALE: "Mount the network folder again and run again"}
_FEWER, _SMALLER = "--workers", "--batch-size"


def as_message(error: Exception, options: Collection[str] = ()) -> CldmError | None:
    """The error as a message that advises options of the command alone; None for what may be a defect of ours."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        less = [f"fewer {_FEWER}"] * (_FEWER in options) + [f"a smaller {_SMALLER}"] * (_SMALLER in options)
        advice = f"Pass {' or '.join(less)}, or use" if less else "Close other programs, or use"
        return WorkerError(f"out of memory ({error}). {advice} a machine with more memory.")
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        advice = f"Pass fewer {_FEWER}, or raise" if _FEWER in options else "Raise"
        return DatasetError(f"{error.strerror}. {advice} the limit of this shell: ulimit -n.")
    if not isinstance(error, OSError):
        return None
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    for kind, remedies in ((InputError, _NAMES), (DatasetError, _STATES)):
        if error.errno in remedies:
            return kind(f"{where}{error.strerror}. {remedies[error.errno]}.")
    return None
