"""What becomes of grid rows that no anatomy can meet: an error, no samples, or values nearby."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from ..domains.domain import Anatomy, Domain
from ..errors import InputError, list_faults
from .grid import Grid, GridRow, Progress
from .grid_table import shortened

POLICIES = ERROR, SKIP, NEAREST = ("error", "skip", "nearest")
_Request = tuple[tuple[str, float], ...]


def settle(grid: Grid, domain: Domain, policy: str, progress: Progress = lambda done, total: None) -> Grid:
    """The grid with rows that no anatomy can meet given no weight (skip), or moved to values nearby (nearest). Rows
    keep their numbers. ERROR leaves the grid as `read_grid` checked it.

    Raises InputError where no row is left, and for rows without feasible values nearby.
    """
    anatomy = domain.anatomy
    if policy == ERROR or anatomy is None:
        return grid
    settled = list(_settled(grid, anatomy, policy, progress))
    notes = [note for _, note in settled if note]
    rows = tuple(row for row, _ in settled)
    if not any(row.weight for row in rows):
        raise InputError(list_faults(f"{grid.name}: no anatomy can meet any row; nothing was written.",
                                     shortened(notes)))
    return replace(grid, rows=rows, infeasible=policy, notes=(*grid.notes, *shortened(notes))) if notes else grid


def _settled(grid: Grid, anatomy: Anatomy, policy: str, progress: Progress) -> Iterator[tuple[GridRow, str]]:
    """Each row with a note, which is empty for a row that can be met."""
    @cache
    def fault(request: _Request) -> str:
        return next(iter(anatomy.faults(dict(request))), "")

    @cache
    def nearest(request: _Request) -> dict[str, float] | None:
        return anatomy.nearest(dict(request))

    for number, row in enumerate(grid.rows, 1):
        progress(number, len(grid.rows))
        key = tuple(row.request.items())
        found = fault(key) if row.weight else ""
        if not found:
            yield row, ""
        elif policy == SKIP:
            yield replace(row, weight=0.0), f"line {row.line} is left out: {found}"
        else:
            moved = nearest(key)
            if moved is None:
                raise InputError(f"{grid.name}, line {row.line}: {found}. No values nearby can be met: change the row, "
                                 "or leave such rows out with --infeasible skip.")
            yield replace(row, request=moved), f"line {row.line} is moved to {_text(moved)}: {found}"


def _text(request: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.3g}" for name, value in request.items())
