"""What `cldm gen --prompt` asks for."""

from pathlib import Path

from ..errors import InputError
from ..generation.generator import Generator
from ..requests.infeasible import POLICIES, settle
from ..requests.prompted import grid_from_prompt
from ..requests.sources import GridRequests, RequestSource


def prompted_requests(generator: Generator, conditions: int, prompt: str, other: Path | None,
              infeasible: str) -> RequestSource:
    """One row in words. other: a file that also says what to draw."""
    if other is not None:
        raise InputError(f"--prompt and {other} both say what to draw. Pass one of them; a grid may have a column "
                         "prompt.")
    generator.check_asked(True)
    grid = settle(grid_from_prompt(prompt, generator.domain, infeasible == POLICIES[0]), generator.domain, infeasible)
    return GridRequests.spread(grid, conditions, generator.canvas)
