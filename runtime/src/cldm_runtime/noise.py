"""Random numbers that belong to the sample.

A stream is fixed by (seed, sample index, purpose, step) and by nothing else: not by the batch, the worker or the order
of calls. The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with

    key     = (seed, sample index)
    counter = (block, 0, step, purpose), the first block being number 1

Normals use integer arithmetic, so that every language and machine gets the same bits: a 64-bit word is cut into five
12-bit fields, each looks up a table of 4096 normal quantiles (int32, unit variance in units of 2**-24), and the sum is
multiplied by 2**-24 / sqrt(5) in float64 and rounded to float32.
"""

import math
from enum import IntEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_FIELD_BITS = 12
_FIELDS = 5
_MASK = (1 << _FIELD_BITS) - 1
_SCALE = 2.0**-24 / math.sqrt(_FIELDS)
_FEW = 8  # up to so few numbers, Python is faster than numpy


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of the file format: never reuse or renumber one."""

    INITIAL = 0  # the noise that sampling starts from
    STEP = 1  # fresh noise of a stochastic sampler, one stream a step
    TEXTURE = 2  # the decoder's texture noise
    ANATOMY = 3  # drawing a label map
    CONDITION = 4  # drawing attributes that the user left out
    ACQUISITION = 5  # phantom: contrast, coil and scanner noise
    COHORT = 6  # phantom: what belongs to the patient
    READER = 7  # phantom: how a reader draws its contours
    SCAN = 8  # of a generated image: its scanner's noise, and how it was acquired
    GRID = 9  # the rows of a grid by design; the index is that of the column, or of the round
    PROTOCOL = 10  # phantom: how a patient was imaged
    LIKE = 11  # the noise that a given image gets, towards which a sample is drawn
    EDIT = 12  # drawing a lesion in a given label map; the index is that of the map
    RETRY = 13  # seeds of further tries; the index is the number of the try


@cache
def _normal_table() -> NDArray[np.int32]:
    with files(__package__).joinpath("normal_table.npy").open("rb") as stream:
        table: NDArray[np.int32] = np.load(stream, allow_pickle=False)
    return table


@cache
def _normal_list() -> list[int]:
    return [int(entry) for entry in _normal_table()]


class Stream:
    """A sequence of random numbers, consumed from the front.

    seed and index are unsigned 64-bit integers.
    """

    def __init__(self, seed: int, index: int, purpose: Purpose, step: int = 0) -> None:
        key = np.array([seed, index], dtype=np.uint64)
        counter = np.array([0, 0, step, int(purpose)], dtype=np.uint64)
        self._philox = np.random.Philox(key=key, counter=counter)

    def raw(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 64-bit words."""
        return self._philox.random_raw(count)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One float64 in [low, high)."""
        return low + (high - low) * ((int(self.raw(1)[0]) >> 11) * 2.0**-53)

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """`count` float64 in [0, 1), with 53 random bits each."""
        return (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """One normal number."""
        return mean + deviation * float(self.normals((1,))[0])

    def normals(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normals of the given shape, in C order."""
        words = self.raw(math.prod(shape))
        if len(words) <= _FEW:
            entries = _normal_list()
            sums = [sum(entries[(word >> field * _FIELD_BITS) & _MASK] for field in range(_FIELDS))
                    for word in words.tolist()]
            return np.array([total * _SCALE for total in sums], dtype=np.float32).reshape(shape)
        table, index = _normal_table(), np.empty_like(words)
        total = np.zeros(words.shape, dtype=np.int32)  # wide enough: no entry reaches 2**27
        for _ in range(_FIELDS):
            np.bitwise_and(words, np.uint64(_MASK), out=index)
            total += table.take(index.view(np.int64), mode="clip")  # none is clipped; this mode checks nothing first
            words >>= np.uint64(_FIELD_BITS)
        return (total * _SCALE).astype(np.float32).reshape(shape)

    def choice(self, weights: NDArray[np.float64]) -> int:
        """Index drawn with the given non-negative weights."""
        cumulative = np.cumsum(weights)
        return int(np.searchsorted(cumulative, self.uniform() * cumulative[-1], side="right"))


def seed_of_try(seed: int, number: int) -> int:
    """The seed of all noise of try `number` of a run's samples. Try 0 has the run's own seed; what is requested of a
    sample always comes from that one. Below 2**63, so that a command line takes it."""
    return seed if number == 0 else int(Stream(seed, number, Purpose.RETRY).raw(1)[0]) >> 1


def normals(seed: int, indices: NDArray[np.int64], purpose: Purpose, shape: tuple[int, ...],
            step: int = 0) -> NDArray[np.float32]:
    """(len(indices), *shape) standard normals, one independent stream for each sample index."""
    return np.stack([Stream(seed, int(index), purpose, step).normals(shape) for index in indices])
