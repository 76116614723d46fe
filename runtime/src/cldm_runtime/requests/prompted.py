"""A run whose samples all come from one prompt."""

from ..domains.domain import Domain
from ..errors import InputError, list_faults
from .grid import Grid, GridRow, digest_of, infeasible_rows
from .prompts import PROMPT, read_prompt, told


def grid_from_prompt(text: str, domain: Domain, feasible: bool = True) -> Grid:
    """One row that asks for what a text asks for; `notes` say what was understood. Raises InputError for a text of
    which nothing is understood, that contradicts itself, or (feasible) that no anatomy can meet."""
    faults: list[str] = []
    understood = read_prompt(text, domain, domain.attribute_names, {}, faults)
    row = GridRow(1, understood.numbers, told=told(understood), guessed=bool(understood.taken))
    if feasible and not faults:
        faults = [fault.removeprefix("line 1: ") for fault in infeasible_rows([row], domain)]
    if faults:
        raise InputError(list_faults(f"--{PROMPT}: nothing was written.", [*faults, *row.told]))
    return Grid(PROMPT, (row,), digest_of(text.encode(), [row]), notes=row.told, prompt=text)
