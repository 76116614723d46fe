"""Errors of the machine that reach the command line: a name that no file can have, a full disk, too many open files, no
memory. They are no defects of this program, so they become a message with an exit code."""

import errno
import os

from ..errors import CldmError, DatasetError, InputError, WorkerError

_NAMES = {errno.ENAMETOOLONG: "Choose a shorter name", errno.ELOOP: "Its links lead in a circle: mend them",
          errno.EACCES: "Change its rights, or choose another file", errno.EISDIR: "Give the name of a file",
          errno.EPERM: "Change its rights, or choose another file", errno.ENOTDIR: "Give the path of a folder there",
          errno.EROFS: "Choose a folder that can be written to"}
_STATES = {errno.ENOSPC: "Free some space and run again", errno.EDQUOT: "Free some space and run again",
           errno.EMFILE: "Pass fewer --workers, or raise the limit of this shell: ulimit -n",
           errno.ENFILE: "Close other programs and run again", errno.EIO: "Check the disk and run again",
           errno.ESTALE: "Mount the network folder again and run again"}
_MEMORY = "out of memory ({}). Pass fewer --workers or a smaller --batch-size, or use a machine with more memory."


def as_message(error: Exception) -> CldmError | None:
    """The error as a message; None for what may be a defect of ours."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return WorkerError(_MEMORY.format(error))
    if not isinstance(error, OSError):
        return None
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    for kind, advice in ((InputError, _NAMES), (DatasetError, _STATES)):
        if error.errno in advice:
            return kind(f"{where}{error.strerror}. {advice[error.errno]}.")
    return None
