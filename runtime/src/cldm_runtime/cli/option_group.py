"""Options that belong together, which a command gets as one value."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

Command = Callable[..., Any]


def option_group(parameter: str, make: Callable[..., Any], options: Mapping[str, Callable[[Command], Command]]
                 ) -> Callable[[Command], Command]:
    """A decorator that gives a command the options, and what `make` makes of their values as `parameter`. options: by
    name, which is that of an argument of `make`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def gathered(**values: Any) -> Any:
            return command(**{parameter: make(**{name: values.pop(name) for name in options})}, **values)

        decorated: Command = gathered
        for option in reversed(list(options.values())):
            decorated = option(decorated)
        return decorated

    return decorate
