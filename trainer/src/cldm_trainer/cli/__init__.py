"""The command line of the trainer: parse, one call, print."""

from .commands import STAGES, arguments, cli, main, run_stage

__all__ = ["STAGES", "arguments", "cli", "main", "run_stage"]
