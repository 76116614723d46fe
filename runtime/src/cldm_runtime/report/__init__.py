"""The report of an evaluation: page, tables, charts, pictures, score files."""

from .page import write_report

__all__ = ["write_report"]
