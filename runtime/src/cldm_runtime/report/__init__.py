"""The report of an evaluation: page, tables, charts, pictures, score files."""
