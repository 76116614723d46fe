"""The tree of errors that this package raises on purpose, and checks of what callers of the Python API pass.

Every message says what was found, what was expected and what to do. The command line prints the message alone and
exits with the class's `exit_code`; a traceback always means a defect of ours.
"""

import math
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_FAULTS = 200
_MOST_TEXT = 65_536


class CldmError(Exception):
    """An error that a user can fix. `exit_code` is the exit status of the command line.

    A message may quote untrusted input: control characters are escaped, and a text of more than 65 536 characters is
    cut.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_readable(message))


class InputError(CldmError):
    """A flag, a grid, a masks file or another input is wrong."""

    exit_code = 2


class UnknownName(InputError, KeyError):
    """A name that a record lacks. Also a KeyError, as mappings of Python raise it."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class OutOfRange(InputError, IndexError):
    """A row that a file lacks. Also an IndexError, as sequences of Python raise it."""


class BundleError(CldmError):
    """A bundle is missing, damaged, altered, too new or inconsistent."""

    exit_code = 3


class DatasetError(CldmError):
    """An HDF5 dataset cannot be read, written or trusted."""

    exit_code = 4


class ProviderError(CldmError):
    """The requested execution provider is not available."""

    exit_code = 5


class WorkerError(CldmError):
    """A worker process ended before its work was done: it was killed, or ran out of memory."""

    exit_code = 6


class InterruptedRun(CldmError):
    """The user stopped the run. The parts on disk stay, and the run can be resumed."""

    exit_code = 130


def list_faults(headline: str, faults: Sequence[str]) -> str:
    """One message for many faults: the headline, then a line for each of the first 200."""
    more = len(faults) - _MOST_FAULTS
    rest = [f"  - ... and {more} more"] if more > 0 else []
    return "\n".join([headline, *(f"  - {fault}" for fault in faults[:_MOST_FAULTS]), *rest])


def _readable(text: str) -> str:
    short = text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT - 4] + " ..."
    return "".join(character if character.isprintable() or character == "\n"
                   else character.encode("unicode_escape").decode() for character in short)


# Checks of what callers of the Python API pass: a faulty argument is an InputError, not an error of numpy deep inside.

def as_array(values: Any, where: str) -> "NDArray[Any]":
    """Numbers as a numpy array: of an array, a list, or a tensor of torch on the CPU. Raises InputError for others."""
    import numpy as np  # here, for every command imports this module

    try:
        array = np.asarray(values.detach() if hasattr(values, "detach") else values)  # of torch: without its gradient
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{where}: cannot be read as an array ({error}). Pass numbers in a numpy array, a list, or a "
                         "tensor on the CPU: tensor.cpu().") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: found {type(values).__name__}, expected an array of numbers.")
    return array


def checked_path(path: Any, what: str) -> Path:
    """The path that a text or a path object gives. Raises InputError. what: its name for the message."""
    try:
        return Path(os.fsdecode(path))
    except TypeError as error:
        raise InputError(f"{what}: found {path!r}, expected a path.") from error


def checked_kind(value: Any, kind: type, what: str) -> None:
    """Raises InputError for a value of another class. what: its name for the message."""
    if not isinstance(value, kind):
        raise InputError(f"{what}: found {type(value).__name__}, expected {kind.__name__}.")


def checked_number(name: str, number: SupportsFloat) -> float:
    """A finite number. Raises InputError."""
    try:
        value = math.nan if isinstance(number, str) else float(number)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} = {number!r}: expected a finite number.")
    return value


def checked_count(name: str, count: SupportsIndex) -> int:
    """A number of things as a Python integer. Raises InputError for what is no integer of at least 1."""
    number = _index(count)
    if number is None or number < 1:
        raise InputError(f"{name} = {count!r}: expected an integer of 1 or more.")
    return number


def checked_seed(seed: SupportsIndex) -> int:
    """A seed as a Python integer. Raises InputError for what is no integer from 0 to 2**64 - 1."""
    number = _index(seed)
    if number is None or not 0 <= number < 2**64:
        raise InputError(f"seed = {seed!r}: expected an integer from 0 to 2**64 - 1. A random generator is not taken: "
                         "draw an integer from it, for example int(generator.integers(2**63)).")
    return number


def _index(value: SupportsIndex) -> int | None:
    """Python's and numpy's integers, and tensors that hold one; None for anything else."""
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):
        return None
