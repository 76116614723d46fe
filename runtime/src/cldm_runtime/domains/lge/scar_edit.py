"""Edits of the scar in a given wall: replaced, added to, grown, shrunk, moved or removed. Nothing but the wall changes.

A drawn scar meets the request within the tolerances of the attributes, measured on the whole label map after the edit;
its centre and layer are those of the new pixels.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ...errors import InputError
from ...noise import Stream
from ..edit_rules import EditRequest, EditRules, edit_stream
from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, LV_CAVITY, NAMES, Wall, find_wall
from .contradictions import contradictions
from .lesion_fit import TOLERANCE, LesionFit, LesionStyle, WallCanvas, painted
from .place import (
    ANGLE,
    APEX,
    INSERTION,
    LAYER,
    LAYERS,
    PLACE_ATTRIBUTES,
    SEGMENT,
    level_of,
    level_of_segment,
    measure_place,
    scar_angle,
    scar_layer,
    segment_centre,
    segment_of,
    to_theta,
    turned,
)
from .prior import complete
from .stack import is_closed_ring

REPLACE, ADD, GROW, SHRINK, MOVE, REMOVE = OPERATIONS = ("replace", "add", "grow", "shrink", "move", "remove")
SIZE, DEPTH, SURFACE, POSITION = NAMES
OPERATION = "operation"
_ANGLE_TOLERANCE = PLACE_ATTRIBUTES[0].tolerance
_TAKEN = {GROW: (SIZE,), SHRINK: (SIZE,), MOVE: (ANGLE, SEGMENT), REMOVE: ()}  # by the operations that draw no scar
_ATTEMPTS, _CORRECTIONS = 8, 3
_ORIGIN = dict(zip(LAYERS, (0.0, 0.5, 1.0, 0.0), strict=True))  # wall radius that a lesion of this layer grows from
_DEPTHS = dict(zip(LAYERS, ((0.25, 0.6), (0.25, 0.45), (0.25, 0.55), (0.8, 0.95)), strict=True))  # where left out
_ARCS, _WIDEST_ARC = (0.1, 0.45), 0.9  # shares of the circumference
_THICKNESS = 0.45  # of a wall, in radii of the middle of the wall: measures distances in a wall that is bent straight


def edit_faults(asked: EditRequest) -> list[str]:
    """See `EditFaults`."""
    operation, numbers = operation_of(asked), asked.numbers
    given = [name for name in (*NAMES[:3], ANGLE, SEGMENT, LAYER) if name in numbers or name in asked.words]
    taken = _TAKEN.get(operation, tuple(given))
    faults = [f"operation {operation} takes no {name}: leave the cell empty, or choose another operation"
              for name in given if name not in taken]
    if ANGLE in numbers and SEGMENT in numbers:
        faults.append(f"{ANGLE} and {SEGMENT} both say where the scar lies: give one of them")
    faults += _segment_faults(numbers)
    if operation in (GROW, SHRINK) and not numbers.get(SIZE):
        faults.append(f"operation {operation} needs the {SIZE} to {operation} to, above 0")
    if operation == MOVE and ANGLE not in numbers and SEGMENT not in numbers:
        faults.append(f"operation move needs {ANGLE} or {SEGMENT}")
    if LAYER in asked.words and numbers.get(SIZE) == 0:
        faults.append(f"{LAYER} needs a scar, but {SIZE} = 0: leave one of the cells empty")
    return faults + contradictions(numbers)


def _segment_faults(numbers: Mapping[str, float]) -> list[str]:
    segment = numbers.get(SEGMENT)
    if segment is None:
        return []
    if segment != round(segment) or segment == APEX:
        return [f"{SEGMENT} = {segment:g}: give a whole number from 1 to 16; 17 is the tip, which is no ring"]
    return [] if INSERTION in numbers else [
        f"{SEGMENT} needs {INSERTION}, the anterior RV insertion in degrees clockwise from 12 o'clock: add the column, "
        f"or give {ANGLE}"]


def map_faults(labels: LabelMap, asked: EditRequest) -> list[str]:
    """See `MapFaults`."""
    operation = operation_of(asked)
    if operation == REMOVE:
        return []
    wall, cavity = labels >= HEALTHY, labels == LV_CAVITY
    inside = cavity if cavity.any() else ndimage.binary_fill_holes(wall) & ~wall
    inner = find_wall(labels).inner
    if not is_closed_ring(wall, inside) or inner is None or not inner.any():
        return ["has no closed wall around a cavity, so no scar can be drawn in it"]
    if operation in (GROW, SHRINK, MOVE) and not (labels >= INFARCT).any():
        return [f"has no scar to {operation}"]
    if SEGMENT in asked.numbers:
        position, level = asked.numbers.get(POSITION), level_of_segment(int(asked.numbers[SEGMENT]))
        if position is None or not np.isfinite(position):
            return [f"{SEGMENT} needs the slice's position, which is unknown: add the column {POSITION}"]
        if level_of(position) != level:
            return [f"segment {asked.numbers[SEGMENT]:g} is {level}, but the slice at {position:.2g} is "
                    f"{level_of(position)}"]
    return []


def edit_scar(labels: LabelMap, asked: EditRequest, seed: int, number: int,
              table: NDArray[np.float64] | None = None) -> LabelMap:
    """See `DrawEdit`."""
    operation = operation_of(asked)
    if operation == REMOVE or (operation == REPLACE and asked.numbers.get(SIZE) == 0):
        return healed(labels)
    if operation in (GROW, SHRINK):
        return resized(labels, asked.numbers[SIZE], operation)
    if operation == MOVE:
        return moved_scar(labels, _wanted_angle(asked.numbers) or 0.0, asked.numbers.get(INSERTION, 0.0))
    return _drawn(labels if operation == ADD else healed(labels), asked, seed, number, table)


def operation_of(asked: EditRequest) -> str:
    """What is done; a scar is replaced where nothing else is asked."""
    return asked.words.get(OPERATION, REPLACE)


def healed(labels: LabelMap) -> LabelMap:
    """The label map without scar."""
    return np.where(labels >= HEALTHY, HEALTHY, labels).astype(np.uint8)


def resized(labels: LabelMap, size: float, operation: str) -> LabelMap:
    """The label map with a scar that holds the share `size` of the wall: grown by the wall nearest to it, or shrunk by
    what is nearest to healthy wall. Larger scars contain the smaller ones. Raises InputError."""
    wall, scar = labels >= HEALTHY, labels >= INFARCT
    count, now = max(1, round(size * int(wall.sum()))), int(scar.sum())
    if (count < now) if operation == GROW else (count > now):
        raise InputError(f"the scar holds {now / int(wall.sum()):.3g} of the wall, so it does not {operation} to "
                         f"{size:g}. Take the operation {SHRINK if operation == GROW else GROW}.")
    changed = np.flatnonzero(wall & ~scar if operation == GROW else scar)
    beyond = ~scar if operation == GROW else ~(wall & ~scar)
    if operation == SHRINK and scar.sum() == wall.sum() and count < now:
        raise InputError("the scar fills the wall, so it has no border to shrink from. Take the operation replace.")
    distance = ndimage.distance_transform_edt(beyond).reshape(-1)[changed]
    nearest = changed[np.argsort(distance, kind="stable")[:abs(count - now)]]
    edited = labels.copy()
    edited.reshape(-1)[nearest] = INFARCT if operation == GROW else HEALTHY
    return edited


def moved_scar(labels: LabelMap, angle_deg: float, rv_insertion_deg: float = 0.0) -> LabelMap:
    """The label map with its scar turned about the cavity within the wall, to a centre at `angle_deg`. Raises
    InputError for a scar that lies on all sides, and where the wall does not take it there."""
    wall, now = find_wall(labels), measure_place(labels, rv_insertion_deg).angle_deg
    if not np.isfinite(now):
        raise InputError("the scar lies on all sides of the cavity, so it has no centre to move.")
    assert wall.theta is not None and wall.radius is not None
    clockwise = np.deg2rad(angle_deg - now)
    _, source = cKDTree(_straight(wall.theta, wall.radius)).query(_straight(wall.theta + clockwise, wall.radius))
    edited, values = labels.copy(), labels.reshape(-1)[wall.index]
    edited.reshape(-1)[wall.index] = values[source]
    error = turned(measure_place(edited, rv_insertion_deg).angle_deg - angle_deg)
    if not abs(error) <= _ANGLE_TOLERANCE:
        raise InputError(f"the scar does not fit at {angle_deg:g} degrees: its centre would be off by {error:.0f}. "
                         "Choose another place, or the operation replace.")
    return edited


def _straight(theta: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) points whose distances are those in a wall of even thickness."""
    return np.stack([np.cos(theta), np.sin(theta), _THICKNESS * radius], axis=1)


def _drawn(labels: LabelMap, asked: EditRequest, seed: int, number: int,
           table: NDArray[np.float64] | None) -> LabelMap:
    wall = find_wall(labels)
    if wall.theta is None or wall.radius is None:
        raise InputError("has no closed wall around a cavity, so no scar can be drawn in it.")
    scar = labels.reshape(-1)[wall.index] >= INFARCT
    canvas = WallCanvas(labels, wall, wall.theta, wall.radius, scar if scar.any() else None)
    if round(asked.numbers.get(SIZE, 1.0) * wall.index.size) <= np.count_nonzero(scar) and scar.any():
        raise InputError(f"{SIZE} = {asked.numbers[SIZE]:g} is that of the whole wall after the edit, and the scar "
                         f"that is there holds {scar.mean():.3g}. Ask for more, or take the operation replace.")
    unmet: list[str] = []
    for attempt in range(_ATTEMPTS):
        stream = edit_stream(seed, number, attempt)
        style = LesionStyle.draw(stream)
        style = replace(style, foci=style.foci[:1])
        request = _completed(asked, stream, table)
        infarct, unmet = _placed(canvas, style, request, asked)
        if not unmet:
            return painted(canvas, infarct)
    raise InputError(f"no scar of {_text(asked)} fits the wall; the last of {_ATTEMPTS} had {', '.join(unmet)}. Ask "
                     "for values nearer to that, or for less.")


def _text(asked: EditRequest) -> str:
    numbers = [f"{name} = {value:.3g}" for name, value in asked.numbers.items() if name != POSITION]
    words = [f"{name} = {word}" for name, word in asked.words.items() if name != OPERATION]
    return ", ".join([*numbers, *words]) or "any kind"


def _completed(asked: EditRequest, stream: Stream, table: NDArray[np.float64] | None) -> dict[str, float]:
    """Size, transmurality and endocardial surface length of the scar to be drawn."""
    request = {name: asked.numbers[name] for name in NAMES if name in asked.numbers}
    drawn_depth, drawn_arc = stream.uniform(), stream.uniform(*_ARCS)  # drawn whether used or not
    layer = asked.words.get(LAYER)
    if layer is None:
        low, high = 0.25, 0.92
        if not set(request) & set(NAMES[:3]):
            request[DEPTH] = low + (high - low) * drawn_depth
        return complete(request, stream, table)
    low, high = _DEPTHS[layer]
    depth = request.get(DEPTH, low + (high - low) * drawn_depth)
    size = request.get(SIZE, drawn_arc * depth)
    if DEPTH not in request:
        depth = min(1.0, max(depth, size / _WIDEST_ARC))
    return {SIZE: size, DEPTH: depth, SURFACE: request.get(SURFACE, size / depth)}


def _placed(canvas: WallCanvas, style: LesionStyle, request: Mapping[str, float],
            asked: EditRequest) -> tuple[NDArray[np.bool_], list[str]]:
    """(P,) the wall's infarct, and what of it does not meet the request."""
    wanted, insertion = _wanted_angle(asked.numbers), asked.numbers.get(INSERTION, 0.0)
    layer, towards = asked.words.get(LAYER), wanted
    for _ in range(_CORRECTIONS):
        if towards is not None:
            style = replace(style, foci=((to_theta(towards, insertion), 0.0),))
        fit = LesionFit(canvas, style, request)
        infarct = fit.solve(None if layer is None else _ORIGIN[layer])
        new = infarct if canvas.present is None else infarct & ~canvas.present
        off = 0.0 if wanted is None else turned(scar_angle(new, canvas.theta, insertion) - wanted)
        if towards is None or not abs(off) > _ANGLE_TOLERANCE / 4:  # NaN too: turning does not help
            break
        towards -= off
    error = fit.error(infarct)
    unmet = [f"{name} {request[name] + error[name]:.3g}" for name in error
             if name in asked.numbers and abs(error[name]) > TOLERANCE[name]]
    return infarct, unmet + _misplaced_by(new, canvas.wall, asked)


def _misplaced_by(new: NDArray[np.bool_], wall: Wall, asked: EditRequest) -> list[str]:
    numbers, layer = asked.numbers, scar_layer(new, wall)
    assert wall.theta is not None
    angle = scar_angle(new, wall.theta, numbers.get(INSERTION, 0.0))
    unmet = [f"{LAYER} {layer}"] if layer != asked.words.get(LAYER, layer) else []
    if ANGLE in numbers and not abs(turned(angle - numbers[ANGLE])) <= _ANGLE_TOLERANCE:
        unmet.append(f"{ANGLE} {angle:.0f}")
    if SEGMENT in numbers and not (np.isfinite(angle) and segment_of(angle, numbers[POSITION]) == numbers[SEGMENT]):
        unmet.append(f"its centre at {angle:.0f} degrees")
    return unmet


def _wanted_angle(numbers: Mapping[str, float]) -> float | None:
    return segment_centre(int(numbers[SEGMENT])) if SEGMENT in numbers else numbers.get(ANGLE)


SCAR_EDIT = EditRules("scar", tuple(each for each in PLACE_ATTRIBUTES if each.name != LAYER),
                      {OPERATION: OPERATIONS, LAYER: LAYERS}, edit_faults, map_faults, edit_scar,
                      EditRequest(words={OPERATION: REMOVE}))
