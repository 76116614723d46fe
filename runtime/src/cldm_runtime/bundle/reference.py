"""reference.npz: inputs and their expected outputs, with which every machine and language can check itself.

Keys, with <role> a graph of the manifest and <tensor> one of its inputs or outputs:

    <role>/in/<tensor>   <role>/out/<tensor>   one call of that graph
    loop/in/<tensor>                           a whole sampling run, generators only: x, the inputs of the condition
                                               encoders (one_hot; attributes, defined) and the decoder's noise inputs
    loop/out/latent      loop/out/image        the expected outputs of the run
    loop/steps           () int64              steps of the run; the other settings, guidance included, are the
                                               manifest's sampling defaults

The samples of the loop are 0, 1, ..., N - 1. Their noise is that of the streams of `reference.seed`, bit for bit.
Tolerances in the manifest have the keys "<role>/<tensor>", "loop/latent" and "loop/image".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, list_faults
from ..files.atomic import write_bytes
from ..files.digest import sha256_of_bytes
from ..files.npz import npz_bytes

LOOP = "loop"
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ReferenceCase:
    """Inputs and expected outputs, by tensor name."""

    inputs: Tensors
    outputs: Tensors

    def resized(self, count: int) -> "ReferenceCase":
        """`count` samples: the first ones or, if there are fewer, all of them repeated."""
        def resize(arrays: Tensors) -> dict[str, NDArray[Any]]:
            return {name: array[np.arange(count) % len(array)] for name, array in arrays.items()}

        return ReferenceCase(resize(self.inputs), resize(self.outputs))


@dataclass(frozen=True)
class Reference:
    """One case for each graph; for a generator also the loop's case and its number of steps."""

    graphs: Mapping[str, ReferenceCase]
    loop: ReferenceCase | None = None
    loop_steps: int | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of the file, by key."""
        cases = {**self.graphs, **({LOOP: self.loop} if self.loop else {})}
        arrays = {f"{role}/{side}/{name}": np.asarray(tensor) for role, case in cases.items()
                  for side, tensors in (("in", case.inputs), ("out", case.outputs)) for name, tensor in tensors.items()}
        if self.loop_steps is not None:
            arrays[f"{LOOP}/steps"] = np.array(self.loop_steps, dtype=np.int64)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Tensors) -> "Reference":
        """The cases of the file's arrays. Raises BundleError with a list of all invalid keys."""
        sides_of: dict[str, dict[str, dict[str, NDArray[Any]]]] = {}
        faults, steps = [], None
        for key, array in arrays.items():
            parts = key.split("/")
            if key == f"{LOOP}/steps" and array.shape == () and np.issubdtype(array.dtype, np.integer):
                steps = int(array)
            elif not array.shape or not len(array):
                faults.append(f"{key}: holds no sample")
            elif len(parts) == 3 and parts[1] in ("in", "out"):
                sides_of.setdefault(parts[0], {"in": {}, "out": {}})[parts[1]][parts[2]] = array
            else:
                faults.append(f"{key}: expected <role>/in/<tensor>, <role>/out/<tensor> or {LOOP}/steps (one integer)")
        if faults:
            raise BundleError(list_faults("the reference file has unknown keys. Export the bundle again.", faults))
        cases = {role: ReferenceCase(sides["in"], sides["out"]) for role, sides in sides_of.items()}
        loop = cases.pop(LOOP, None)
        return cls(cases, loop, steps)


def reference_maps(arrays: Tensors) -> NDArray[np.uint8]:
    """(N, *spatial) label maps that a generator's loop was run for. Raises BundleError where the file has none."""
    one_hot = arrays.get(f"{LOOP}/in/one_hot")
    if one_hot is None or one_hot.ndim < 3:
        raise BundleError("the reference file has no label maps of the sampling loop. Export the bundle again.")
    return np.asarray(one_hot.argmax(axis=1), dtype=np.uint8)


def write_reference(path: Path, arrays: Tensors) -> str:
    """Write the arrays of `Reference.to_arrays` and return the SHA-256 of the file. The same arrays give the same
    digest. Raises OSError."""
    data = npz_bytes(arrays)
    write_bytes(path, data)
    return sha256_of_bytes(data)
