"""How the arrays of a dataset are turned: which axis runs through the slices, and one orientation for all cases.

A generator learns the position in the stack, and left from right. Both mean nothing where some stacks run the other way
or some patients are mirrored. What the headers say is followed; where they leave a doubt, it is an error.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .nnunet_raw import Case
from .sources import read_geometry
from .volume_files import Geometry

AXES = "zyx"  # of an array, whose first axis is the file's third
_SAME = 1.05  # two spacings whose ratio is smaller do not tell axes apart
_CLEAR = 2.0  # a spacing this many times the others is that of gaps between slices
_MANY = 2  # an axis with this many times the voxels of another is hardly that of the slices
_KEEP = 0.5  # how much better another turn must fit than the array as it is stored
_ACROSS = 0.25  # cosine below which a stack runs across the others, not along them

FLIPPED = {0: "slices reversed", 1: "rows flipped", 2: "columns flipped"}


@dataclass(frozen=True)
class Turn:
    """What is done with an array (z, y, x): its axes come into the order `axes`, then `flipped` ones are reversed."""

    axes: tuple[int, ...] = (0, 1, 2)
    flipped: tuple[int, ...] = ()

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.flip(array.transpose(self.axes), self.flipped)

    def numbers(self, count: int) -> NDArray[np.int64]:
        """(count,) the number in the file of each slice of the turned array."""
        return np.arange(count)[::-1] if 0 in self.flipped else np.arange(count)

    def words(self, first: int) -> str:
        """What it does beyond bringing axis `first` to the front; "" for nothing."""
        rest = [axis for axis in range(3) if axis != first]
        crossed = ["rows and columns exchanged"] if self.axes[0] == first and list(self.axes[1:]) != rest else []
        return ", ".join([*crossed, *(FLIPPED[axis] for axis in self.flipped)])


AS_STORED = Turn()


def slice_axis(geometry: Geometry, wanted: str = "") -> int:
    """The array axis through the slices: the wanted one, else the only axis of length 1, else that of the gaps.

    The gaps are clearly wider than the pixels, or the pixels are square and the gaps are not as wide. Where spacings
    say nothing, the order of the file stands: z. Raises InputError that shows both readings where there is a doubt.
    """
    if wanted:
        return AXES.index(wanted)
    single = [axis for axis in range(3) if geometry.shape[axis] == 1]
    if single:
        return single[0]
    likely = _axis_of_gaps(geometry.spacing_mm)
    widths, sizes = geometry.spacing_mm, geometry.shape
    others = max(widths[axis] for axis in range(3) if axis != likely)
    if widths[likely] >= _CLEAR * others and sizes[likely] < _MANY * min(sizes):
        return likely
    fewest = int(np.argmin(sizes))
    if likely == 0 and sizes[0] <= 2 * _MANY * sizes[fewest]:
        return 0
    _refuse(geometry, likely or fewest)


def _axis_of_gaps(widths: Sequence[float]) -> int:
    """The axis whose spacing differs from two equal ones, else that of the largest; z where all are equal."""
    if max(widths) < _SAME * min(widths):
        return 0
    for axis in range(3):
        pair = [widths[other] for other in range(3) if other != axis]
        if max(pair) < _SAME * min(pair):
            return axis
    return int(np.argmax(widths))


def _refuse(geometry: Geometry, other: int) -> NoReturn:
    raise InputError("the axis through the slices is in doubt. By the order of the file it is z: "
                     f"{_reading(geometry, 0)}. By spacing and size it is {AXES[other]}: {_reading(geometry, other)}. "
                     'Say which one it is: prepare.slice_axis = "z", "y" or "x"')


def _reading(geometry: Geometry, axis: int) -> str:
    shape, spacing = ([values[i] for i in range(3) if i != axis] for values in (geometry.shape, geometry.spacing_mm))
    return (f"{geometry.shape[axis]} slices, {geometry.spacing_mm[axis]:g} mm apart, of {shape[0]} x {shape[1]} pixels "
            f"of {spacing[0]:g} x {spacing[1]:g} mm")


def plan_turns(cases: Sequence[Case], channel: int, *, slices: bool, wanted: str, reorient: bool,
               faults: list[str], notes: list[str]) -> Mapping[str, Turn]:
    """How each case is turned, so that all lie as most of them do; a dataset whose files agree is not turned.

    slices: the axis through the slices comes first, and no other axis takes its place. A file that says nothing of its
    orientation is taken as stored. Appends a fault for each case that is in doubt, and a note on what is done.
    """
    known: dict[str, Geometry] = {}
    first: dict[str, int] = {}
    for case in cases:
        try:
            known[case.name] = geometry = read_geometry(case.image_files[min(channel, len(case.image_files) - 1)])
            first[case.name] = slice_axis(geometry, wanted) if slices else 0
        except InputError as error:
            faults.append(f"case {case.name}: {str(error).removeprefix(f'case {case.name}: ')}")
    ordered = {name: _front(axis) for name, axis in first.items()}
    if len(axes := Counter(first.values())) > 1:
        notes.append("the axis through the slices differs: " + "; ".join(
            f"{AXES[axis]} in {some_cases([name for name in first if first[name] == axis])}" for axis in sorted(axes)))
    turns = {name: Turn(axes) for name, axes in ordered.items()}
    directions = {name: geometry.directions[list(ordered[name])] for name, geometry in known.items()
                  if geometry.directions is not None and name in ordered}
    if not reorient or not directions:
        return turns
    if len(directions) < len(turns):
        notes.append("these files do not say how they lie in space, and are taken as stored: "
                     + some_cases([name for name in turns if name not in directions]))
    reference = _most_common(list(directions.values()))
    for name, vectors in directions.items():
        if slices and known[name].shape[first[name]] > 1 and abs(float(vectors[0] @ reference[0])) < _ACROSS:
            faults.append(f"case {name}: its slices run across those of the others, so that which of its ends is which "
                          "cannot be said. Turn the file, leave the case out, or set prepare.reorient = false to take "
                          "all arrays as stored")
        turns[name] = _aligned(vectors, reference, ordered[name], slices)
    notes.extend(_words(turns, first))
    return turns


def _front(axis: int) -> tuple[int, ...]:
    return (axis, *(other for other in range(3) if other != axis))


def _most_common(directions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The directions of the largest group of cases that lie alike; the first of equal groups."""
    def key(vectors: NDArray[np.float64]) -> tuple[int, ...]:
        main = np.abs(vectors).argmax(axis=1)
        return (*main.tolist(), *np.sign(vectors[range(3), main]).astype(int).tolist())

    common = Counter(map(key, directions)).most_common(1)[0][0]
    return next(vectors for vectors in directions if key(vectors) == common)


def _aligned(vectors: NDArray[np.float64], reference: NDArray[np.float64], ordered: tuple[int, ...],
             slices: bool) -> Turn:
    """The turn after which `vectors` (of the axes in order `ordered`) lie as the reference, never mirrored to it."""
    orders = [(0, 1, 2), (0, 2, 1)] if slices else list(permutations(range(3)))
    best, score = Turn(ordered), -np.inf
    hand = np.linalg.det(reference) > 0
    for order, signs in product(orders, product((1, -1), repeat=3)):
        turned = vectors[list(order)] * np.array(signs)[:, None]
        if (np.linalg.det(turned) > 0) != hand:
            continue
        stored = order == (0, 1, 2) and signs == (1, 1, 1)
        fit = float((turned * reference).sum()) + _KEEP * stored
        if slices:  # which end of the stack is which matters more than how the slices lie
            fit += 10 * float(turned[0] @ reference[0])
        if fit > score + 1e-6:
            flipped = tuple(axis for axis in range(3) if signs[axis] < 0)
            best, score = Turn(tuple(ordered[axis] for axis in order), flipped), fit
    return best


def _words(turns: Mapping[str, Turn], first: Mapping[str, int]) -> list[str]:
    """A note for each way in which cases are turned."""
    groups: dict[str, list[str]] = {}
    for name, turn in turns.items():
        if words := turn.words(first[name]):
            groups.setdefault(words, []).append(name)
    return [f"turned as their headers say, to lie as most cases do ({words}): {some_cases(names)}"
            for words, names in groups.items()]


def some_cases(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} cases ({', '.join(names[:most])}{more})" if len(names) > 1 else f"case {names[0]}"
