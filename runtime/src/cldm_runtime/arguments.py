"""What callers of the Python API pass: arrays, numbers of things, seeds. Faulty ones are an InputError here, not an
error of numpy deep inside."""

import operator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


def as_array(values: Any, where: str) -> NDArray[Any]:
    """Numbers as a numpy array: of an array, a list, or a tensor of torch on the CPU. Raises InputError for others."""
    try:
        array = np.asarray(values.detach() if hasattr(values, "detach") else values)  # of torch: without its gradient
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{where}: cannot be read as an array ({error}). Pass numbers in a numpy array, a list, or a "
                         "tensor on the CPU: tensor.cpu().") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: found {type(values).__name__}, expected an array of numbers.")
    return array


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
