"""Requests that contradict themselves, whatever the anatomy."""

from collections.abc import Mapping

from .attributes import ATTRIBUTES

_DEPTH_TOLERANCE = ATTRIBUTES[1].tolerance  # of the transmurality


def contradictions(request: Mapping[str, float]) -> list[str]:
    """Why no label map at all can meet the request; empty if it does not contradict itself."""
    size, depth = request.get("infarct_size"), request.get("transmurality")
    surface = request.get("endocardial_surface_length")
    if size == 0 or (size is None and surface is None and depth == 0):
        faults = []
        if depth is not None:
            faults.append("transmurality is undefined without infarct: leave the cell empty")
        if surface:
            faults.append(f"endocardial_surface_length = {surface:g} needs infarct, but infarct_size = 0")
        return faults
    if depth == 0:
        return ["transmurality = 0 is impossible with infarct: leave the cell empty, or set infarct_size to 0"]
    if size is not None and depth is not None and depth < size - _DEPTH_TOLERANCE:
        return [f"transmurality = {depth:g} is below infarct_size = {size:g}: an infarct that goes all the way "
                f"round has a transmurality equal to its size; raise transmurality to {size:g} or more"]
    return []


def without_contradictions(request: Mapping[str, float]) -> dict[str, float]:
    """The request without what contradicts it: no depth and no surface without infarct, no depth below the size."""
    size, depth = request.get("infarct_size"), request.get("transmurality")
    surface = request.get("endocardial_surface_length")
    without_depth = {name: value for name, value in request.items() if name != "transmurality"}
    if size == 0 or (size is None and surface is None and depth == 0):
        absent = {"infarct_size": 0.0} | ({} if surface is None else {"endocardial_surface_length": 0.0})
        return without_depth | absent
    if size is None:
        return without_depth if depth == 0 else dict(request)
    return dict(request) if depth is None else {**request, "transmurality": max(size, depth)}
