"""What stops a training and can be mended by its user, as messages: divergence, memory, devices, disks, lost processes.

Libraries raise RuntimeError for most of these, so their texts decide. This module imports no torch: the command line
uses it for every command.
"""

import errno
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cldm_runtime.errors import CldmError, InputError, ProviderError, WorkerError

_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory",
           "alloc_failed", "unable to allocate", "std::bad_alloc")
_DEVICE = ("not compiled with cuda", "no nvidia driver", "no cuda gpus are available", "invalid device ordinal",
           "no cuda-capable device", "all cuda-capable devices are busy", "driver version is insufficient",
           "driver on your system is too old", "no kernel image is available")
_PROCESS = ("6 feet under", "no longer alive", "dataloader worker", "process pool was terminated abruptly")
_DISK = ("no space left on device", "disk quota exceeded", "file write failed", "failed writing file", "unexpected pos",
         "unable to synchronously")  # the last: HDF5
_DISK_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_LONGEST = 300


def explain(error: BaseException, where: str = "") -> CldmError | None:
    """The message for an error of a library that a user can mend; None for any other error.

    where: what was being done, such as "diffusion, step 120".
    """
    text, kind = str(error).lower(), type(error).__name__
    begin, reason = f"{where}: " if where else "", first_line(error)
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or _holds(text, _MEMORY):
        return WorkerError(f"{begin}out of memory ({reason}). Lower batch_size of the stage in the configuration, or "
                           "prepare.workers, or use a machine with more memory. The same command continues from the "
                           "last checkpoint.")
    if isinstance(error, AssertionError | RuntimeError) and _holds(text, _DEVICE):
        return ProviderError(f'{begin}the GPU cannot be used ({reason}). Set run.accelerator = "cpu", or install a '
                             "torch and a driver that know this GPU; run.devices must not exceed the number of GPUs.")
    if kind == "BrokenProcessPool" or (isinstance(error, RuntimeError) and _holds(text, _PROCESS)):
        return WorkerError(f"{begin}a worker process ended before its work was done ({reason}). It was probably "
                           "killed because memory ran out: lower prepare.workers or segmenter.loader_processes, and "
                           "repeat the command.")
    if _holds(text, _DISK) or (isinstance(error, OSError) and error.errno in _DISK_ERRNO):
        return InputError(f"{begin}a file cannot be written or read ({reason}). Free space, or choose a folder that "
                          "you may write to in run.folder and cohort.folder. The same command continues from the last "
                          "checkpoint.")
    return None


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to 300 characters; the name of its class where there is no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST]


@contextmanager
def explained(where: Callable[[], str] = str) -> Iterator[None]:
    """Errors of libraries that a user can mend leave the block as messages. where: as in `explain`, asked at the error.

    Raises CldmError.
    """
    try:
        yield
    except CldmError:
        raise
    except Exception as error:
        known = explain(error, where())
        if known is None:
            raise
        raise known from error


@dataclass(frozen=True)
class Checkpoint:
    """The last file that a training can continue from. step: None where there is no such file."""

    file: Path
    step: int | None


def require_finite(figures: Mapping[str, float], setting: str, step: int, last: Checkpoint) -> None:
    """Raise InputError where a loss or the norm of gradients is not finite.

    figures: by name. setting: of the learning rate, with its value. last: lies in the stage's folder.
    """
    wrong = " and ".join(f"the {name} is {value}" for name, value in figures.items() if not math.isfinite(value))
    if wrong:
        folder = last.file.parent
        raise diverged(folder, f"{wrong} at step {step}", setting, last)


def diverged(folder: Path, what: str, setting: str, last: Checkpoint) -> InputError:
    """The error of a training in `folder` that cannot go on. what: was seen, and when."""
    begin = f"{folder.name}: training diverged: {what}."
    if last.step is None:
        return InputError(f"{begin} No checkpoint was saved yet. Lower {setting}, and repeat the command.")
    return InputError(f"{begin} The last good checkpoint is {last.file}, of step {last.step}. Lower {setting}. Then "
                      f"delete {folder}, or choose another run.name: a stage is trained with one learning rate from "
                      "its beginning. Repeat the command.")


def rate_setting(stage: str, rate: float, *, critic: bool = False) -> str:
    """Where the configuration says the learning rate of a stage, and its value."""
    if critic and stage == "image-codec":
        return f"adversarial_rate in [image_codec] (it is {rate:g})"
    if stage == "segmenter":
        return f"learning_rate in [segmenter] (it is {rate:g})"
    first, _, _ = stage.partition("-")  # of finish-0 and small-decoder, too
    section = {"finish": "finish", "small": "small_codec"}.get(first, stage.replace("-", "_"))
    return f"learning_rate in [{section}.optimiser] (it is {rate:g})"
