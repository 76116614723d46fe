"""Which end of a stack is which: what the settings say, held against what the labels show."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..domains.stack_rules import StackRules
from .geometry import Turn, some_cases

_MOST = 0.8  # a share of the stacks that is no accident


@dataclass(frozen=True)
class Stack:
    """A case as it was cut: how it was turned, its labelled slices, and the end of the stack that its first labelled
    slice shows by its labels; "" where they do not tell."""

    turn: Turn
    slices: int
    first_end: str


def check_directions(stacks: Mapping[str, Stack], rules: StackRules, first_slice: str, *, stated: bool,
                     faults: list[str], notes: list[str]) -> None:
    """Append a fault where the labels contradict the direction that is assumed, a note where it was stated.

    first_slice: the end that the first slice is taken for. stated: whether the user or dataset.json says so.
    """
    several = {name: stack for name, stack in stacks.items() if stack.slices > 1}
    telling = [name for name, stack in several.items() if stack.first_end]
    against = [name for name in telling if several[name].first_end != first_slice]
    reverse = [name for name, stack in several.items() if 0 in stack.turn.flipped]
    if reverse and not telling and 2 * len(reverse) == len(several):
        faults.append(f"half of the stacks run in the other direction by their headers: {some_cases(reverse)}; neither "
                      f"the labels nor a majority say which of them begin at the {first_slice}. Save all files in one "
                      "direction, for example with nibabel.as_closest_canonical")
    if not against:
        return
    other = next(end for end in rules.ends if end != first_slice)
    found = (f"the labels of {some_cases(against)} of {len(telling)} that tell look as if the stack begins at the "
             f"{other}; it is taken to begin at the {first_slice}")
    if stated:
        notes.append(f"{found}, as first_slice says. {rules.attribute} is upside down if that is wrong.")
    elif len(against) > _MOST * len(telling):
        faults.append(f'{found}. Set prepare.first_slice = "{other}"; or "{first_slice}", if the labels mislead')
    else:
        faults.append(f"{found}, and the headers give no other direction. Reverse the slices of those files, or leave "
                      f'the cases out. If the labels mislead, set prepare.first_slice = "{first_slice}"')
