"""The nearest request that an anatomy can meet: follow what was reached, until a request is met."""

from collections.abc import Callable, Mapping

from ..errors import InputError

_MOST_MOVES = 12


class UnmetRequest(InputError):
    """No label map met a request. reached: attributes of the nearest one; None if there was none."""

    def __init__(self, message: str, reached: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.reached = reached


def nearest_request(request: Mapping[str, float],
                    attempt: Callable[[Mapping[str, float]], UnmetRequest | None]) -> dict[str, float] | None:
    """The request with its values moved to what label maps reached; None if they are not met after a few moves.

    attempt: None for a request that is met. A value that the request leaves out stays so.
    """
    moved = dict(request)
    for _ in range(_MOST_MOVES):
        unmet = attempt(moved)
        if unmet is None:
            return moved
        if unmet.reached is None:
            return None
        moved = {name: float(f"{unmet.reached.get(name, value):.6g}") for name, value in moved.items()}
    return None
