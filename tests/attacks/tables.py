"""Attacks on grid.csv."""

from pathlib import Path

from .corpus import ATTACKS, Maker, hole, pipe


def file_of(content: str | bytes) -> Maker:
    def maker(folder: Path) -> Path:
        file = folder / "grid.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return maker


ATTACKS["grid"] = {
    "binary": file_of(bytes(range(256)) * 1000),
    "zeros": file_of(b"infarct_size\n" + bytes(10_000)),
    "utf16": file_of("infarct_size\n0.1\n".encode("utf-16")),
    "a_formula": file_of("infarct_size\n=1+1\n@SUM(A1)\n"),
    "one_giant_cell": file_of("infarct_size\n" + "1" * 10_000_000),
    "a_number_of_many_digits": file_of("infarct_size\n" + "9" * 100_000),
    "a_million_columns": file_of(",".join(map(str, range(1_000_000)))),
    "a_million_empty_columns": file_of("," * 1_000_000),
    "a_million_rows": file_of("slice_position\n" + "1\n" * 1_000_000),
    "a_million_blank_rows": file_of("\n" * 5_000_000),
    "a_hundred_thousand_faults": file_of("infarct_size\n" + "\x1b[2Jx\n" * 90_000),
    "an_open_quote": file_of('infarct_size\n"' + "0.1\n" * 10_000),
    "repeated_columns": file_of("infarct_size,infarct_size\n0.1,0.9\n"),
    "not_a_number": file_of("infarct_size\nnan\n1e999\n-inf\n"),
    "a_file_of_a_terabyte": lambda folder: hole(folder / "grid.csv"),
    "a_pipe": lambda folder: pipe(folder / "grid.csv"),
    "a_folder": lambda folder: folder,
    "zeros_without_end": lambda folder: Path("/dev/zero"),
}
