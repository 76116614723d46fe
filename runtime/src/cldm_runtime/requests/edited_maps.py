"""Given label maps with their lesions edited, as the rows of a grid say."""

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..domains.edit_rules import EditRequest, EditRules
from ..errors import InputError, list_faults
from .edit_grid import edit_of
from .grid import Grid, GridRow
from .sources import MaskRequests, SampleRequest
from .turns import place_of

_MOST_FAULTS = 20
_LEFT_OUT_SHOWN = 5


@dataclass(frozen=True)
class EditedMapRequests:
    """Requests for given label maps whose lesions are edited.

    The rows take turns, and the k-th sample of a row shows the k-th map of `choices[row]`, modulo their number. What a
    row leaves open is drawn from (seed, number of the map), and the noise of a sample belongs to its map: all rows show
    the same heart in the same noise. left_out: a note for each row that some maps do not take.
    """

    grid: Grid
    counts: NDArray[np.int64]
    masks: MaskRequests
    rules: EditRules
    choices: tuple[tuple[int, ...], ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def spread(cls, grid: Grid, samples: int, masks: MaskRequests, rules: EditRules, seed: int,
               skip: bool = False) -> "EditedMapRequests":
        """Tries every pair of a row and a map that occurs. skip: leave out the maps that a row cannot be drawn in;
        otherwise, and where no map is left for a row, raises InputError that lists them."""
        if not masks.canvas.maps:
            raise InputError(f"--edit {rules.name}: this bundle's images are not made from label maps, so no edited "
                             "map would show. Use a bundle that is conditioned on them (cldm inspect).")
        requests = cls(grid, grid.counts(samples), masks, rules, ())
        choices, notes, faults = [], [], []
        for number, row in enumerate(grid.rows):
            taken, refused = requests._tried(row, int(requests.counts[number]), seed, skip)
            choices.append(taken)
            if refused and (not skip or not taken):
                faults += refused
            elif refused:
                more = f", and {len(refused) - _LEFT_OUT_SHOWN} more" if len(refused) > _LEFT_OUT_SHOWN else ""
                shown = "; ".join(refused[:_LEFT_OUT_SHOWN])
                notes.append(f"{grid.name}: {len(refused)} map(s) left out. {shown}{more}")
        if faults:
            listed = faults if len(faults) <= _MOST_FAULTS else [*faults[:_MOST_FAULTS], "... and others"]
            raise InputError(list_faults(f"{grid.name}: cannot be drawn in these maps; nothing was written. Change the "
                                         "rows, leave the maps out, or pass --infeasible skip.", listed))
        return replace(requests, choices=tuple(choices), left_out=tuple(notes))

    def _tried(self, row: GridRow, count: int, seed: int, skip: bool) -> tuple[tuple[int, ...], list[str]]:
        """The maps that a row is drawn in, as many as it needs, and what is wrong with those before them."""
        outcomes = ((source, self._fault(row, source, seed)) for source in range(len(self.masks.rows)))
        taken: list[int] = []
        refused: list[str] = []
        for source, fault in outcomes if skip else islice(outcomes, count):
            if len(taken) == count:
                break
            taken += [] if fault else [source]
            refused += [f"line {row.line}, map {source}: {fault}"] if fault else []
        return tuple(taken), refused

    def _fault(self, row: GridRow, source: int, seed: int) -> str:
        """Why a map cannot be edited as a row says; "" if it can."""
        before, asked = self.masks.rows.mask(source), self.asked(row, source)
        if faults := self.rules.map_faults(before, asked):
            return "; ".join(faults)
        try:
            self.rules.draw(before, asked, seed, source, self.masks.canvas.table)
        except InputError as error:
            return str(error)
        return ""

    def asked(self, row: GridRow, source: int) -> EditRequest:
        """What a row asks of a map, with what the file knows of that map and no map shows, such as its position."""
        values, domain = self.masks.rows.known_attributes(source), self.masks.canvas.domain
        if values is None:
            return edit_of(row)
        unmeasured = [attribute.name for attribute in domain.attributes if not attribute.measurable]
        return edit_of(row, {name: float(value) for name, value in zip(domain.attribute_names, values, strict=True)
                             if name in unmeasured and np.isfinite(value)})

    def given_row(self, index: int) -> int:
        """The given map that sample `index` shows."""
        number, before = place_of(index, self.counts)
        return self.choices[number][before % len(self.choices[number])]

    def request(self, seed: int, index: int) -> SampleRequest:
        number, before = place_of(index, self.counts)
        row, choice = self.grid.rows[number], self.choices[number]
        source, turn = choice[before % len(choice)], before // len(choice)
        given = self.masks.rows.mask(source)
        edited = self.rules.draw(given, self.asked(row, source), seed, source, self.masks.canvas.table)
        request = self.masks.request_for(edited, source, seed, index, row)
        rules = self.masks.canvas.domain.place
        place = None if rules is None else rules.values(row.request, row.words)
        return replace(request, requested=self._stated(request.requested, row), grid_row=number, place=place,
                       noise_number=source + turn * len(self.masks.rows), given_row=source, before=given)

    def _stated(self, values: NDArray[np.float32], row: GridRow) -> NDArray[np.float32]:
        """(A,) attributes, with those that no map shows as the row states them."""
        stated = [row.request.get(attribute.name, value) if not attribute.measurable else value
                  for attribute, value in zip(self.masks.canvas.domain.attributes, values, strict=True)]
        return np.array(stated, dtype=np.float32)

    def identity(self) -> dict[str, str | int]:
        stated = {"infeasible": "skip"} if self.left_out else {}
        stated |= {"prompt": self.grid.prompt} if self.grid.prompt else {}
        return {**self.masks.identity(), "edit": self.rules.name, "grid_sha256": self.grid.sha256,
                "grid_rows": len(self.grid), **stated}

    def notes(self) -> list[str]:
        return [*self.masks.notes(), *(f"{self.grid.name}, {note}" for note in self.grid.notes), *self.left_out]

