"""What callers of the Python API pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cldm_runtime.errors import (
    InputError,
    as_array,
    checked_count,
    checked_kind,
    checked_number,
    checked_path,
    checked_seed,
)


class Tensor:
    """As torch's: needs to be detached, and is no numpy array while it lies on a GPU."""

    def __init__(self, on_gpu: bool) -> None:
        self.on_gpu = on_gpu

    def detach(self) -> "Tensor":
        return self

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        if self.on_gpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return np.array([1.0, 2.0])


def test_arrays_lists_and_tensors_are_arrays() -> None:
    assert as_array(Tensor(on_gpu=False), "here").tolist() == [1.0, 2.0]
    assert as_array([[1, 2]], "here").shape == (1, 2)
    with pytest.raises(InputError, match=r"here: cannot be read as an array \(can't convert cuda.*tensor\.cpu\(\)"):
        as_array(Tensor(on_gpu=True), "here")


@pytest.mark.parametrize("values", [None, "a", [1, "b"], [[1], [2, 3]], {"a": 1}, 1j])
def test_what_is_no_array_of_numbers_is_refused(values: object) -> None:
    with pytest.raises(InputError, match="here: "):
        as_array(values, "here")


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1, np.uint64(7), np.array(7)])
def test_integers_are_seeds(seed: int) -> None:
    assert checked_seed(seed) == int(seed) and type(checked_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, None, 1.0, "1", np.random.default_rng(1), np.random.RandomState(1)])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(InputError, match=r"seed = .*expected an integer from 0 to 2\*\*64 - 1"):
        checked_seed(seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -1, None, 2.0, "3"])
def test_what_is_no_number_of_things_is_refused(count: object) -> None:
    assert checked_count("n", np.int8(1)) == 1
    with pytest.raises(InputError, match=r"n = .*expected an integer of 1 or more"):
        checked_count("n", count)  # type: ignore[arg-type]


def test_texts_bytes_and_paths_are_paths() -> None:
    assert {checked_path(path, "here") for path in ("a/b", b"a/b", Path("a/b"))} == {Path("a/b")}
    for path in (None, 3, ["a"]):
        with pytest.raises(InputError, match=r"here: found .*, expected a path"):
            checked_path(path, "here")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "1", None, [1], 1j])
def test_what_is_no_finite_number_is_refused(number: object) -> None:
    assert checked_number("w", np.float32(0.5)) == 0.5
    with pytest.raises(InputError, match=r"w = .*: expected a finite number"):
        checked_number("w", number)  # type: ignore[arg-type]


def test_another_class_is_refused() -> None:
    checked_kind(Path("a"), Path, "here")
    with pytest.raises(InputError, match="here: found str, expected PurePath"):
        checked_kind("a", Path.__mro__[1], "here")
