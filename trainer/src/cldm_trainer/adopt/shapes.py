"""What shape a network gives, and a message where it cannot take what it is given."""

import torch
from torch import nn

from cldm_runtime.errors import InputError

from ..training.faults import first_line


@torch.no_grad()
def shape_of(where: str, module: nn.Module, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one output sample, for zeros of the given shapes. Raises InputError that begins with `where`."""
    try:
        output: torch.Tensor = module(*(torch.zeros(1, *shape) for shape in shapes))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        taken = " and ".join(str(list(shape)) for shape in shapes)
        raise InputError(f"{where}: the network does not take {taken} ({first_line(error)}). Give the sizes that it "
                         "was trained with.") from error
    return tuple(output.shape[1:])


def require_shape(where: str, module: nn.Module, expected: tuple[int, ...], *shapes: tuple[int, ...]) -> None:
    """Raise InputError, as `shape_of`, also where the output is of another shape than expected."""
    found = shape_of(where, module, *shapes)
    if found != expected:
        raise InputError(f"{where}: the network makes {list(found)}, expected {list(expected)}. Give the sizes that it "
                         "was trained with.")
